"""A store that is a few dicts: what the contract means, in the shortest form; forgets at exit."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from protocol.ids import ClientId, ImageId, SessionId
from protocol.requests import JsonText
from storage.document import (
    Change,
    Context,
    ContextHead,
    Evaluation,
    ImageRecord,
    RememberedReply,
    SessionHead,
    StoredEvent,
    StoredSection,
)
from storage.fences import first_commit
from storage.store import (
    Commit,
    OpenedSession,
    Preferences,
    SessionContents,
    SessionCounts,
    StaleWriter,
    StoredContext,
)


@dataclass
class _Session:
    fence: int
    number: int
    head: SessionHead
    used_at: float
    dirty_since: float | None
    running: int | None = None
    sections: dict[StoredSection, JsonText] = field(default_factory=dict)
    evaluations: dict[int, Evaluation] = field(default_factory=dict)
    contexts: dict[int, Context] = field(default_factory=dict)
    events: dict[int, StoredEvent] = field(default_factory=dict)

    def shown(self) -> SessionHead:
        return msgspec.structs.replace(self.head, used_at=self.used_at)


class MemoryTransaction:
    """Implements `storage.store.Transaction`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.fences = 0
        self.seconds = 0.0
        self.sessions: dict[SessionId, _Session] = {}
        self.replies: dict[tuple[str, str], RememberedReply] = {}
        self.images: dict[ImageId, ImageRecord] = {}
        self.preferences: dict[ClientId, Preferences] = {}

    def copy(self) -> MemoryTransaction:
        other = MemoryTransaction(self.clock)
        other.fences, other.seconds = self.fences, self.seconds
        other.sessions = {key: _copied(value) for key, value in self.sessions.items()}
        other.replies, other.images = dict(self.replies), dict(self.images)
        other.preferences = dict(self.preferences)
        return other

    def create_session(self, change: Change) -> int:
        head = change.head
        if head.session_id in self.sessions:
            raise StaleWriter(head.session_id)
        self.fences += 1
        first = 1 if change.follows is None else first_commit(self.fences, change.follows)
        session = _Session(self.fences, first - 1, head, head.used_at, None)
        self.sessions[head.session_id] = session
        self._write(session, change)
        return self.fences

    def open_session(self, session_id: SessionId) -> OpenedSession:
        session = self.sessions[session_id]
        previous, self.fences = session.fence, self.fences + 1
        session.fence = self.fences
        running = None if session.running is None else session.evaluations[session.running]
        return OpenedSession(
            session.fence,
            previous,
            session.number,
            session.shown(),
            dict(session.sections),
            running,
        )

    def apply(self, commit: Commit) -> None:
        session = self._session(commit.session_id, commit.fence)
        if commit.number != session.number + 1:
            raise StaleWriter(commit.session_id)
        self._write(session, commit.change)

    def delete_session(self, session_id: SessionId, fence: int) -> None:
        self._session(session_id, fence)
        del self.sessions[session_id]
        self.replies = {key: value for key, value in self.replies.items() if key[0] != session_id}

    def remember(self, reply: RememberedReply) -> None:
        self.replies[reply.scope, reply.request_id] = reply

    def touch(self, session_id: SessionId, used_at: float) -> None:
        if session := self.sessions.get(session_id):
            session.used_at = max(session.used_at, used_at)

    def mark_filed(self, session_id: SessionId, number: int) -> None:
        if session := self.sessions.get(session_id):
            session.dirty_since = self.clock() if session.number > number else None

    def put_image(self, image: ImageRecord) -> None:
        self.images[image.image_id] = image

    def remove_image(self, image_id: ImageId) -> None:
        self.images.pop(image_id, None)

    def put_preferences(self, client_id: ClientId, text: JsonText) -> int:
        before = self.preferences.get(client_id)
        revision = before.revision + 1 if before else 1
        self.preferences[client_id] = Preferences(text, revision)
        return revision

    def set_running_time(self, seconds: float) -> None:
        self.seconds = seconds

    def prune_replies(self, before: float) -> int:
        kept = {key: value for key, value in self.replies.items() if value.at >= before}
        pruned = len(self.replies) - len(kept)
        self.replies = kept
        return pruned

    def _session(self, session_id: SessionId, fence: int) -> _Session:
        session = self.sessions.get(session_id)
        if session is None or session.fence != fence:
            raise StaleWriter(session_id)
        return session

    def _write(self, session: _Session, change: Change) -> None:
        session.number += 1
        session.head = change.head
        session.used_at = max(session.used_at, change.head.used_at)
        if session.dirty_since is None:
            session.dirty_since = self.clock()
        session.sections |= change.sections
        for evaluation in [*change.history, *([change.evaluation] if change.evaluation else [])]:
            session.evaluations[evaluation.number] = evaluation
            if evaluation.state == "running":
                session.running = evaluation.number
            elif evaluation.number == session.running:
                session.running = None
        for number in change.dropped_contexts:
            session.contexts.pop(number, None)
        session.contexts |= {context.head.number: context for context in change.contexts}
        session.events |= {event.seq: event for event in change.events}
        if change.keep_events is not None:
            newest = sorted(session.events, reverse=True)[: change.keep_events]
            session.events = {seq: session.events[seq] for seq in newest}
        if change.keep_evaluations is not None:
            newest = sorted(session.evaluations)[-max(change.keep_evaluations, 1) :]
            first = min([*newest, *([session.running] if session.running else [])], default=0)
            session.evaluations = {
                number: each for number, each in session.evaluations.items() if number >= first
            }
        if reply := change.reply:
            self.remember(reply)


def _copied(session: _Session) -> _Session:
    other = copy.copy(session)
    other.sections, other.evaluations = dict(session.sections), dict(session.evaluations)
    other.contexts, other.events = dict(session.contexts), dict(session.events)
    return other


def _oldest_first(found: Iterable[SessionHead]) -> list[SessionHead]:
    return sorted(found, key=lambda head: (head.created_at, head.session_id))


class MemoryStore:
    """Implements `storage.store.Store`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._state = MemoryTransaction(clock)

    @contextmanager
    def transaction(self) -> Iterator[MemoryTransaction]:
        state = self._state.copy()
        yield state
        self._state = state

    def close(self) -> None:
        """Nothing is held."""

    def running_time(self) -> float:
        return self._state.seconds

    def head(self, session_id: SessionId) -> SessionHead | None:
        session = self._state.sessions.get(session_id)
        return session.shown() if session else None

    def heads_of_client(self, client_id: ClientId, *, open_only: bool = False) -> list[SessionHead]:
        found = [
            head
            for head in self._heads()
            if head.client_id == client_id and (head.state == "open" or not open_only)
        ]
        return _oldest_first(found)

    def heads_ended_before(self, ended_at: float, limit: int) -> list[SessionHead]:
        found = [
            (head.ended_at, head)
            for head in self._heads()
            if head.state != "open" and head.ended_at is not None and head.ended_at < ended_at
        ]
        return [head for _, head in sorted(found, key=lambda pair: pair[0])][:limit]

    def heads_expired_before(self, expired_at: float, limit: int) -> list[SessionHead]:
        found = [
            head
            for head in self._heads()
            if head.state == "open" and head.used_at + head.timeout < expired_at
        ]
        return sorted(found, key=lambda head: head.used_at)[:limit]

    def heads_of_image(self, image_id: ImageId | None) -> list[SessionHead]:
        named = [head for head in self._heads() if head.image_id is not None]
        return _oldest_first(head for head in named if image_id in (None, head.image_id))

    def heads_trashed(self) -> list[SessionHead]:
        return _oldest_first(head for head in self._heads() if head.state == "trashed")

    def counts(self, now: float) -> SessionCounts:
        opened = [head for head in self._heads() if head.state == "open"]
        in_use = [head for head in opened if head.used_at + head.timeout > now]
        expired = [head for head in opened if head.used_at + head.timeout <= now]
        return SessionCounts(
            total=len(in_use),
            clients=len({head.client_id for head in in_use}),
            closed=sum(head.state == "closed" for head in self._heads()),
            expired=len(expired),
            trashed=sum(head.state == "trashed" for head in self._heads()),
            by_image=dict(Counter(head.image_id for head in in_use if head.image_id)),
            expired_by_image=dict(Counter(head.image_id for head in expired if head.image_id)),
        )

    def session_count_of_image(self, image_id: ImageId) -> int:
        return sum(head.image_id == image_id and head.state == "open" for head in self._heads())

    def evaluations(self, session_id: SessionId, after: int, limit: int) -> list[Evaluation]:
        session = self._state.sessions.get(session_id)
        found = session.evaluations if session else {}
        return [found[number] for number in sorted(found) if number > after][:limit]

    def evaluation(self, session_id: SessionId, number: int) -> Evaluation | None:
        session = self._state.sessions.get(session_id)
        return session.evaluations.get(number) if session else None

    def contexts(self, session_id: SessionId) -> list[StoredContext]:
        session = self._state.sessions.get(session_id)
        found = session.contexts if session else {}
        return [StoredContext(number, found[number].head) for number in sorted(found)]

    def context_heads(self, session_id: SessionId) -> list[ContextHead]:
        return [each.head for each in self.contexts(session_id) if each.head is not None]

    def context(self, session_id: SessionId, number: int) -> Context | None:
        session = self._state.sessions.get(session_id)
        return session.contexts.get(number) if session else None

    def events(self, session_id: SessionId, after: int, limit: int) -> list[StoredEvent]:
        session = self._state.sessions.get(session_id)
        found = session.events if session else {}
        return [found[seq] for seq in sorted(found) if seq > after][:limit]

    def first_event(self, session_id: SessionId) -> int | None:
        session = self._state.sessions.get(session_id)
        return min(session.events, default=None) if session else None

    def preferences(self, client_id: ClientId) -> Preferences | None:
        return self._state.preferences.get(client_id)

    def remembered(self, scope: str, request_id: str) -> RememberedReply | None:
        return self._state.replies.get((scope, request_id))

    def images(self) -> list[ImageRecord]:
        return [self._state.images[image_id] for image_id in sorted(self._state.images)]

    def unfiled(self, changed_before: float, limit: int) -> list[SessionId]:
        found = [
            (session.dirty_since, session_id)
            for session_id, session in self._state.sessions.items()
            if session.dirty_since is not None and session.dirty_since < changed_before
        ]
        return [session_id for _, session_id in sorted(found)][:limit]

    def contents(self, session_id: SessionId) -> SessionContents | None:
        session = self._state.sessions.get(session_id)
        if session is None:
            return None
        return SessionContents(
            session.number,
            session.shown(),
            dict(session.sections),
            self.evaluations(session_id, 0, len(session.evaluations)),
            [session.contexts[number] for number in sorted(session.contexts)],
        )

    def _heads(self) -> list[SessionHead]:
        return [session.shown() for session in self._state.sessions.values()]
