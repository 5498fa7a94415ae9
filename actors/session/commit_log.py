"""A session's commits that are under way: what is durable, and what will be.

Changes are made on top of one another and sent on without waiting; what is seen from outside is the
state after the last change that is durable. Nothing here is shared: a session owns its log.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from actors.address import Address, Ref
from actors.messages import (
    Committed,
    Created,
    CreateStored,
    DeleteStored,
    OpenStored,
    Refused,
    Stale,
    StoreCommit,
)
from actors.session.session_events import SessionEvents
from actors.session.session_state import SessionState, Step, stored_state
from protocol.errors import SessionNotFound, StuiError
from protocol.ids import SessionId
from storage.document import Change, RememberedReply
from storage.store import Commit, OpenedSession

Done = Callable[[SessionState], None]
Failed = Callable[[StuiError], None]


class AnotherWriter(Exception):
    """Somebody else has opened the session; this actor must not go on."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A change that is not known to be durable. Without a change it is the session's removal."""

    token: int
    number: int
    change: Change | None
    reply: RememberedReply | None
    after: SessionState
    done: Done
    failed: Failed


class CommitLog:
    """Sends a session's changes to the writer, in order, and keeps them until they are durable.

    `durable` is what may be seen from outside; `latest` is what the next change builds on.
    """

    def __init__(
        self,
        session_id: SessionId,
        owner: Ref,
        writer: Address,
        events: SessionEvents | None = None,
    ) -> None:
        self._session_id, self._owner, self._writer = session_id, owner, writer
        self._events = events
        self._tokens = itertools.count(1)
        self._under_way: list[_UnderWay] = []
        self._fence = 0
        self._number = 0
        self._held = True  # nothing is sent while the session is not open
        self._removed = False

    durable: SessionState
    latest: SessionState

    @property
    def settled(self) -> bool:
        """Whether everything is durable."""
        return not self._under_way

    def create(self, initial: Change, done: Done, failed: Failed) -> None:
        """Store a new session."""
        self.durable = self.latest = stored_state(initial.head, initial.sections)
        self._add(initial, None, self.latest, done, failed)
        self._send(self._under_way[0])

    def open(self) -> None:
        """Ask for the session, at first or from a new writer; changes are held back meanwhile."""
        self._held = True
        self._writer.tell(OpenStored(self._owner, self._session_id))

    def commit(self, step: Step, done: Done, failed: Failed) -> None:
        """Make a step durable, then call DONE; or call FAILED, with nothing written."""
        if self._removed:
            return
        self._add(step.change, None, step.after, done, failed)
        self._send(self._under_way[-1])

    def go_on_from(self, state: SessionState) -> None:
        """Let the next change build on STATE, which differs in what is not worth a commit.

        That is stored with the next change of the same part; until then it may be forgotten.
        """
        self.latest = state

    def let_go(self) -> None:
        """Keep nothing of the session: its actor has ended, and is collected only some time."""
        self._under_way.clear()
        for state in ("durable", "latest"):
            vars(self).pop(state, None)  # neither is there before it is open

    def delete(self, reply: RememberedReply | None, done: Done, failed: Failed) -> None:
        """Remove the session.

        From then on nothing is stored any more: what comes behind it is neither done nor has it
        failed, so DONE has to see to those who wait for that.
        """
        self._add(None, reply, self.latest, done, failed)
        self._send(self._under_way[-1])

    def created(self, message: Created) -> None:
        """The session is stored."""
        self._take_over(message.fence, 1)

    def opened(self, session: OpenedSession) -> None:
        """The session is this actor's; what the writer does not have yet is sent again.

        Raises `AnotherWriter` where somebody else has had it meanwhile.
        """
        if self._fence == 0 and not self._under_way:
            self.durable = self.latest = stored_state(session.head, session.sections)
            self._number = session.number
        elif self._fence not in {0, session.previous_fence}:
            raise AnotherWriter(self._session_id)
        self._take_over(session.fence, session.number)

    def open_failed(self, error: StuiError) -> bool:
        """Whether the session is as it should be although it could not be opened.

        That is so when it was about to be created, and is created again, and when its removal was
        under way, and is done.
        """
        if not isinstance(error, SessionNotFound):
            return False
        if self._removed:
            return True
        if any(entry.change is None for entry in self._under_way):
            while self._under_way and self._finish(self._under_way.pop(0)).change is not None:
                pass
            return True
        if self._fence == 0 and self._under_way:
            self._send(self._under_way[0])
            return True
        return False

    def committed(self, message: Committed) -> None:
        """A change is durable, and all before it are."""
        while self._under_way and self._under_way[0].token <= message.token:
            self._finish(self._under_way.pop(0))

    def refused(self, message: Refused) -> None:
        """Nothing of a change was written; what builds on it is undone too."""
        kept = [entry for entry in self._under_way if entry.token < message.token]
        dropped = self._under_way[len(kept) :]
        if not any(entry.token == message.token for entry in dropped):
            return  # undone before, together with an earlier one
        self._under_way = kept
        self.latest = kept[-1].after if kept else self.durable
        self._number = dropped[0].number - 1
        for entry in dropped:
            if self._events is not None and entry.change is not None:
                self._events.undone(entry.change.events)
        for entry in dropped:
            entry.failed(message.error)

    def stale(self, message: Stale) -> None:
        """The writer did not expect this change.

        That is right for what was undone meanwhile. Otherwise an earlier one was lost with a writer
        that died, or somebody else has opened the session: opening it again tells.
        """
        if any(entry.token == message.token for entry in self._under_way) and not self._held:
            self.open()

    def _take_over(self, fence: int, stored: int) -> None:
        """Go on after commit number STORED."""
        done = [entry for entry in self._under_way if entry.number <= stored]
        # New tokens, because answers to what was sent before may still come: they mean nothing now.
        self._under_way = [
            replace(entry, token=next(self._tokens)) for entry in self._under_way[len(done) :]
        ]
        if self._under_way and self._under_way[0].number != stored + 1:
            raise AnotherWriter(self._session_id)
        self._fence, self._held = fence, False
        if self._events is not None:
            self._events.opened(fence)
        for entry in self._under_way:
            self._send(entry)
        for entry in done:
            self._finish(entry)

    def _add(
        self,
        change: Change | None,
        reply: RememberedReply | None,
        after: SessionState,
        done: Done,
        failed: Failed,
    ) -> None:
        self._number += 1
        token = next(self._tokens)
        self._under_way.append(_UnderWay(token, self._number, change, reply, after, done, failed))
        self.latest = after

    def _send(self, entry: _UnderWay) -> None:
        head = self.latest.head
        if entry.number == 1 and entry.change is not None:
            self._writer.tell(CreateStored(self._owner, entry.token, entry.change))
        elif self._held:
            return
        elif entry.change is None:
            self._writer.tell(
                DeleteStored(
                    self._owner,
                    entry.token,
                    head.client_id,
                    self._session_id,
                    self._fence,
                    entry.reply,
                )
            )
        else:
            commit = Commit(self._session_id, self._fence, entry.number, entry.change)
            self._writer.tell(StoreCommit(self._owner, entry.token, commit))

    def _finish(self, entry: _UnderWay) -> _UnderWay:
        self.durable = entry.after
        if entry.change is None:
            self._removed, self._under_way = True, []
        entry.done(entry.after)
        if self._events is not None and entry.change is not None:
            self._events.durable(entry.change.events)
        return entry


def remembering(step: Step, reply: RememberedReply | None) -> Step:
    """The step, with the outcome of the request that asked for it."""
    if reply is None:
        return step
    return replace(step, change=msgspec.structs.replace(step.change, reply=reply))
