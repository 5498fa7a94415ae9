"""A session's commit log against a writer that refuses, dies and comes back at the worst times."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from actors.address import Address, Ref
from actors.messages import (
    Committed,
    Created,
    CreateStored,
    DeleteStored,
    Opened,
    OpenFailed,
    OpenStored,
    Refused,
    Restarted,
    Stale,
    StoreCommit,
)
from actors.refusals import no_session
from actors.session.commit_log import AnotherWriter, CommitLog
from actors.session.session_state import SessionState, changed_head
from protocol.errors import StorageUnavailable, StuiError
from storage.document import SessionHead
from storage.store import StaleWriter
from tests.storage.memory_store import MemoryStore, MemoryTransaction
from tests.storage.samples import a_change, a_session

SESSION = a_session()
OWNER = cast("Ref", "the session")
REFUSAL = StorageUnavailable("The disk is full.")


class ModelWriter(Address):
    """A writer that handles its messages when it is told to, as the real one would.

    `answers` are on their way to the session, in order. What is told to a dead one is lost.
    """

    __slots__ = ("alive", "answers", "inbox", "store")

    def __init__(self) -> None:
        super().__init__("writer")
        self.store = MemoryStore(lambda: 0.0)
        self.inbox: list[Any] = []
        self.answers: list[Any] = []
        self.alive = True

    def tell(self, message: Any) -> bool:
        if self.alive:
            self.inbox.append(message)
        return self.alive

    def write(self, count: int) -> None:
        """Write a batch, and answer."""
        batch, self.inbox = self.inbox[:count], self.inbox[count:]
        self.answers += self._written(batch)

    def refuse(self, count: int) -> None:
        """Write nothing of a batch, and say so."""
        batch, self.inbox = self.inbox[:count], self.inbox[count:]
        for message in batch:
            refusal: Any = OpenFailed(REFUSAL)
            if not isinstance(message, OpenStored):
                refusal = Refused(message.token, REFUSAL)
            self.answers.append(refusal)

    def die(self, written: int) -> None:
        """Die in a flush: so much was written of what waits; nobody hears of any of it."""
        self._written(self.inbox[:written])
        self.inbox = []
        self.alive = False

    def restart(self) -> None:
        self.alive = True
        self.answers.append(Restarted("writer"))

    def _written(self, batch: list[Any]) -> list[Any]:
        if not batch:
            return []
        with self.store.transaction() as transaction:
            return [_answer(transaction, message) for message in batch]


def _answer(transaction: MemoryTransaction, message: Any) -> Any:
    try:
        match message:
            case CreateStored(_, token, change):
                return Created(token, transaction.create_session(change))
            case StoreCommit(_, token, commit):
                transaction.apply(commit)
                return Committed(token)
            case DeleteStored(_, token, _, session_id, fence, _):
                transaction.delete_session(session_id, fence)
                return Committed(token)
            case OpenStored(_, session_id):
                return Opened(transaction.open_session(session_id))
    except StaleWriter:
        return Stale(message.token)
    except KeyError:
        return OpenFailed(no_session(message.session_id))
    raise AssertionError(message)


class Session:
    """What a session actor does with its log, and no more: it makes numbered changes.

    It dies where it finds that somebody else may have opened the session. That is also so where its
    own opening was the last thing that a dying writer did; its successor finds what was stored.
    """

    def __init__(self, writer: ModelWriter) -> None:
        self.writer = writer
        self.log = CommitLog(SESSION, OWNER, writer)
        self.acknowledged: list[int] = []
        self.refused: list[int] = []
        self.deleted = False
        self.made = 0
        self.opened = False
        self.dead = False

    def create(self) -> None:
        self.log.create(a_change(), lambda _: None, self._could_not_create)

    def _could_not_create(self, _: StuiError) -> None:
        self.dead = True

    def change(self) -> None:
        self.made += 1
        number = self.made
        head = self.log.latest.head
        step = changed_head(
            self.log.latest,
            msgspec.structs.replace(
                head, revision=head.revision + 1, name=f"{head.name or ''} {number}"
            ),
        )

        def done(state: SessionState) -> None:
            assert numbers(state.head)[-1] == number
            self.acknowledged.append(number)

        self.log.commit(step, done, lambda _: self.refused.append(number))

    def delete(self) -> None:
        def done(_: SessionState) -> None:
            self.deleted = True

        self.log.delete(None, done, lambda _: None)

    def take(self, answer: Any) -> None:
        match answer:
            case Created():
                self.log.created(answer)
                self.opened = True
            case Opened(session):
                try:
                    self.log.opened(session)
                except AnotherWriter:
                    self.dead = True
                self.opened = True
            case OpenFailed(error):
                if not self.log.open_failed(error):
                    assert error.retryable, "the session is not there any more"
                    self.writer.answers.append(Restarted("writer"))
            case Committed():
                self.log.committed(answer)
            case Refused():
                self.log.refused(answer)
            case Stale():
                self.log.stale(answer)
            case Restarted() if not self.log.settled or not self.opened:
                self.log.open()


def numbers(head: SessionHead | None) -> list[int]:
    """The changes that are in a head, in order."""
    return [int(number) for number in (head.name or "").split()] if head else []


class LogAndWriter(RuleBasedStateMachine):
    counts = st.integers(1, 5)

    @initialize()
    def create(self) -> None:
        self.writer = ModelWriter()
        self.session = Session(self.writer)
        self.session.create()

    @precondition(lambda self: self.session.opened and not self.session.dead)
    @rule()
    def change(self) -> None:
        self.session.change()

    @precondition(lambda self: self.writer.inbox)
    @rule(count=counts)
    def write(self, count: int) -> None:
        self.writer.write(count)

    @precondition(lambda self: self.writer.inbox)
    @rule(count=counts)
    def refuse(self, count: int) -> None:
        self.writer.refuse(count)

    @precondition(lambda self: self.writer.alive)
    @rule(written=st.integers(0, 5))
    def die(self, written: int) -> None:
        self.writer.die(written)

    @precondition(lambda self: not self.writer.alive)
    @rule()
    def restart(self) -> None:
        self.writer.restart()

    @precondition(lambda self: self.writer.answers)
    @rule(count=counts)
    def deliver(self, count: int) -> None:
        for _ in range(count):
            if self.writer.answers and not self.session.dead:
                self.session.take(self.writer.answers.pop(0))

    @invariant()
    def what_was_acknowledged_is_stored_once_in_order_and_nothing_refused_is(self) -> None:
        stored = numbers(self.writer.store.head(SESSION))
        assert stored == sorted(set(stored))
        assert set(self.session.acknowledged) <= set(stored)
        assert not set(self.session.refused) & set(stored)
        assert self.session.acknowledged == sorted(set(self.session.acknowledged))

    @invariant()
    def what_is_shown_is_stored(self) -> None:
        shown = numbers(self.session.log.durable.head)
        assert numbers(self.writer.store.head(SESSION))[: len(shown)] == shown

    def teardown(self) -> None:
        """Without more trouble all ends well: each change is stored or was refused."""
        if not self.writer.alive:
            self.writer.restart()
        settle(self.session)
        self.what_was_acknowledged_is_stored_once_in_order_and_nothing_refused_is()
        if not self.session.dead:
            assert self.session.log.settled
            stored = numbers(self.writer.store.head(SESSION))
            assert stored == self.session.acknowledged == numbers(self.session.log.durable.head)
            assert sorted([*stored, *self.session.refused]) == list(range(1, self.session.made + 1))


LogAndWriter.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True
)
TestLogAndWriter = LogAndWriter.TestCase


@pytest.fixture
def session() -> Session:
    """A session that was created."""
    made = Session(ModelWriter())
    made.create()
    settle(made)
    return made


def settle(session: Session) -> None:
    """Let the writer and the session do all that they have to."""
    while not session.dead and (session.writer.inbox or session.writer.answers):
        session.writer.write(len(session.writer.inbox))
        if session.writer.answers:
            session.take(session.writer.answers.pop(0))


def test_a_removal_that_the_dying_writer_had_done_is_done(session: Session) -> None:
    session.delete()
    session.writer.die(written=1)
    session.writer.restart()
    settle(session)
    assert session.deleted


def test_changes_in_front_of_a_removal_that_the_dying_writer_had_done_are_done(
    session: Session,
) -> None:
    session.change()
    session.delete()
    session.writer.die(written=2)
    session.writer.restart()
    settle(session)
    assert session.acknowledged == [1]
    assert session.deleted


@pytest.mark.parametrize("written", [0, 1])
def test_a_removal_that_was_lost_with_the_writer_is_done_by_the_next(
    session: Session, written: int
) -> None:
    session.change()
    session.delete()
    session.writer.die(written)
    session.writer.restart()
    settle(session)
    assert session.deleted
    assert session.writer.store.head(SESSION) is None


def test_what_comes_behind_a_removal_is_not_stored_and_no_reason_to_look_for_the_session(
    session: Session,
) -> None:
    session.delete()
    session.change()  # before it is known that the session is gone
    settle(session)
    session.change()
    session.writer.answers.append(OpenFailed(no_session(SESSION)))
    settle(session)
    assert session.deleted
    assert session.log.settled
    assert session.acknowledged == session.refused == []


def test_a_session_that_somebody_else_has_opened_is_given_up(session: Session) -> None:
    rival = Session(session.writer)
    rival.log.open()
    settle(rival)
    session.change()
    settle(session)
    assert session.dead
    assert session.acknowledged == []
