"""A session's commits when its writer dies, comes back, refuses, or knows less than it told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.messages import (
    Committed,
    Created,
    CreateStored,
    DeleteStored,
    OpenStored,
    Publish,
    Refused,
    Stale,
    StoreCommit,
)
from actors.refusals import no_session
from actors.session.commit_log import AnotherWriter, CommitLog, remembering
from actors.session.session_events import SessionEvents
from actors.session.session_state import SessionState, changed_head
from protocol.errors import StorageUnavailable, StuiError
from storage.store import OpenedSession
from tests.machinery.played import Listener, Played
from tests.storage.samples import a_change, a_reply, a_session

SESSION = a_session()
REFUSAL = StorageUnavailable("The disk is full.")


class Log(Played):
    """A log, and what became of each change that was made."""

    def __init__(self) -> None:
        super().__init__()
        self.events = SessionEvents(SESSION, self.services)
        self.log = CommitLog(SESSION, Listener().ref, self.writer, self.events)
        self.ends: list[tuple[str, Any]] = []

    def open(self, number: int, *, fence: int = 2, previous: int = 1) -> None:
        """Let the writer hand the session over, at this commit."""
        head = a_change(revision=number).head
        self.log.opened(OpenedSession(fence, previous, number, head, {}, None))

    def change(self, name: str) -> None:
        """Make a change with an event."""
        head = msgspec.structs.replace(self.log.latest.head, name=name)
        step = self.events.recorded(name, changed_head(self.log.latest, head))
        self.log.commit(step, self._done(name), self._failed(name))

    def delete(self) -> None:
        self.log.delete(a_reply(), self._done("deleted"), self._failed("deleted"))

    def create(self) -> None:
        self.log.create(a_change(), self._done("created"), self._failed("created"))

    def sent(self) -> list[Any]:
        """What the writer was told since this was asked last."""
        sent, self.writer.inbox = self.writer.inbox, []
        return sent

    def told(self) -> list[str]:
        """The names of the events that clients were told."""
        published = [each for each in self.gateway.told if isinstance(each, Publish)]
        return [event.event for each in published for event in each.events]

    def _done(self, name: str) -> Any:
        def done(state: SessionState) -> None:
            assert self.log.durable is state
            self.ends.append((name, "done"))

        return done

    def _failed(self, name: str) -> Any:
        def failed(error: StuiError) -> None:
            self.ends.append((name, error))

        return failed


@pytest.fixture
def log() -> Log:
    """The log of a session that is open at its fifth commit."""
    log = Log()
    log.log.open()
    log.open(5)
    log.sent()
    return log


def _numbers(sent: list[Any]) -> list[tuple[int, int]]:
    """The fences and the numbers of commits."""
    assert all(isinstance(each, StoreCommit) for each in sent)
    return [(each.commit.fence, each.commit.number) for each in sent]


# --- in its order


def test_changes_are_sent_at_once_and_end_in_their_order(log: Log) -> None:
    for name in ("a", "b", "c"):
        log.change(name)
    sent = log.sent()
    assert _numbers(sent) == [(2, 6), (2, 7), (2, 8)]
    assert (log.log.latest.head.name, log.log.durable.head.name) == ("c", None)
    log.log.committed(Committed(sent[1].token))
    assert log.ends == [("a", "done"), ("b", "done")]
    assert log.told() == ["a", "b"]
    assert log.log.durable.head.name == "b"
    log.log.committed(Committed(sent[1].token))
    log.log.committed(Committed(sent[2].token))
    assert log.ends == [("a", "done"), ("b", "done"), ("c", "done")]
    assert log.told() == ["a", "b", "c"]
    assert log.log.settled


def test_whoever_looks_when_a_change_is_done_sees_that_it_is(log: Log) -> None:
    seen: list[bool] = []
    step = changed_head(log.log.latest, log.log.latest.head)
    log.log.commit(step, lambda _: seen.append(log.log.settled), lambda _: None)
    log.log.committed(Committed(log.sent()[0].token))
    assert seen == [True]


# --- refused


def test_what_builds_on_a_refused_change_is_undone_with_it(log: Log) -> None:
    for name in ("a", "b", "c"):
        log.change(name)
    first, second, third = log.sent()
    log.log.refused(Refused(second.token, REFUSAL))
    assert log.ends == [("b", REFUSAL), ("c", REFUSAL)]
    assert log.log.latest.head.name == "a"
    log.log.refused(Refused(third.token, REFUSAL))
    log.log.stale(Stale(third.token))
    assert len(log.ends) == 2
    log.change("d")
    (again,) = log.sent()
    assert again.commit.number == 7
    log.log.committed(Committed(first.token))
    log.log.committed(Committed(again.token))
    assert log.told() == ["a", "d"]
    assert log.ends[2:] == [("a", "done"), ("d", "done")]


def test_events_behind_a_refused_change_are_told(log: Log) -> None:
    log.change("a")
    log.events.tell("passing")
    assert log.told() == []
    log.log.refused(Refused(log.sent()[0].token, REFUSAL))
    assert log.told() == ["passing"]
    assert log.log.latest is log.log.durable


def test_a_removal_that_is_refused_leaves_the_session(log: Log) -> None:
    log.change("a")
    log.delete()
    change, removal = log.sent()
    assert isinstance(removal, DeleteStored)
    assert (removal.fence, removal.session_id, removal.client_id) == (2, SESSION, "client")
    assert removal.reply == a_reply()
    log.log.refused(Refused(removal.token, REFUSAL))
    assert log.ends == [("deleted", REFUSAL)]
    log.log.committed(Committed(change.token))
    assert log.told() == ["a"]


def test_who_is_refused_may_change_something_at_once(log: Log) -> None:
    step = changed_head(log.log.latest, log.log.latest.head)
    log.log.commit(step, lambda _: None, lambda _: log.change("again"))
    log.log.refused(Refused(log.sent()[0].token, REFUSAL))
    (again,) = log.sent()
    assert again.commit.number == 6


# --- another writer


def test_changes_are_held_back_while_the_session_is_being_opened_again(log: Log) -> None:
    log.change("a")
    log.sent()
    log.log.open()
    log.change("b")
    assert [type(each) for each in log.sent()] == [OpenStored]
    log.open(5, fence=3, previous=2)
    assert _numbers(log.sent()) == [(3, 6), (3, 7)]
    assert log.ends == []


def test_the_numbers_of_events_are_above_all_of_earlier_openings(log: Log) -> None:
    assert log.events.last_seq == 2 << 20
    log.log.open()
    log.open(5, fence=7, previous=2)
    assert log.events.last_seq == 7 << 20


def test_what_the_dead_writer_had_written_is_done(log: Log) -> None:
    log.change("a")
    log.change("b")
    old = log.sent()
    log.log.open()
    log.sent()
    log.open(6, fence=3, previous=2)
    assert log.ends == [("a", "done")]
    assert log.told() == ["a"]
    (again,) = log.sent()
    assert _numbers([again]) == [(3, 7)]
    for late in old:  # answers of the dead one that were on their way mean nothing any more
        log.log.committed(Committed(late.token))
        log.log.refused(Refused(late.token, REFUSAL))
        log.log.stale(Stale(late.token))
    assert log.ends == [("a", "done")]
    assert log.sent() == []
    log.log.committed(Committed(again.token))
    assert log.ends == [("a", "done"), ("b", "done")]


def test_who_made_a_change_that_was_written_may_make_another_when_it_hears(log: Log) -> None:
    step = changed_head(log.log.latest, log.log.latest.head)
    log.log.commit(step, lambda _: log.change("b"), lambda _: None)
    log.change("a")
    log.log.open()
    log.sent()
    log.open(6, fence=3, previous=2)
    assert _numbers(log.sent()) == [(3, 7), (3, 8)]


@pytest.mark.parametrize("previous", [1, 3])
def test_a_session_that_others_have_opened_is_not_gone_on_with(log: Log, previous: int) -> None:
    log.log.open()
    with pytest.raises(AnotherWriter):
        log.open(5, fence=4, previous=previous)


def test_a_store_that_has_lost_what_it_told_is_not_gone_on_with(log: Log) -> None:
    log.change("a")
    log.log.committed(Committed(log.sent()[0].token))
    log.change("b")
    log.log.open()
    log.sent()
    with pytest.raises(AnotherWriter):
        log.open(5, fence=3, previous=2)
    assert log.sent() == []
    assert log.ends == [("a", "done")]


def test_a_commit_that_was_not_expected_has_the_session_opened_again_once(log: Log) -> None:
    log.change("a")
    log.change("b")
    first, second = log.sent()
    log.log.stale(Stale(first.token))
    log.log.stale(Stale(second.token))
    assert [type(each) for each in log.sent()] == [OpenStored]


def test_an_opening_that_failed_is_no_end(log: Log) -> None:
    log.change("a")
    log.log.open()
    assert log.log.open_failed(REFUSAL) is False
    assert log.log.open_failed(no_session(SESSION)) is False
    assert log.ends == []


# --- creation and removal


def test_a_session_is_created_and_goes_on(log: Log) -> None:
    new = Log()
    new.create()
    new.change("a")
    (creation,) = new.sent()  # the change waits for a fence
    assert isinstance(creation, CreateStored)
    new.log.created(Created(creation.token, 9))
    assert new.ends == [("created", "done")]
    (sent,) = new.sent()
    assert _numbers([sent]) == [(9, 2)]


def test_a_creation_that_was_lost_with_the_writer_is_told_to_the_next() -> None:
    new = Log()
    new.create()
    new.sent()
    new.log.open()
    new.sent()
    assert new.log.open_failed(REFUSAL) is False
    assert new.log.open_failed(no_session(SESSION)) is True
    (again,) = new.sent()
    assert isinstance(again, CreateStored)
    new.log.created(Created(again.token, 9))
    assert new.ends == [("created", "done")]


def test_a_creation_that_the_dying_writer_had_done_is_done() -> None:
    new = Log()
    new.create()
    new.log.open()
    new.open(1, fence=2, previous=1)
    assert new.ends == [("created", "done")]
    assert new.log.settled


def test_a_removal_that_the_dying_writer_had_done_ends_all_before_it(log: Log) -> None:
    log.change("a")
    log.delete()
    log.change("b")
    log.log.open()
    assert log.log.open_failed(REFUSAL) is False
    assert log.ends == []
    assert log.log.open_failed(no_session(SESSION)) is True
    assert log.ends == [("a", "done"), ("deleted", "done")]


def test_a_session_that_is_opened_shows_what_is_stored(log: Log) -> None:
    assert log.log.durable is log.log.latest
    assert log.log.durable.head.revision == 5
    assert log.log.settled


def test_a_step_remembers_the_request_that_asked_for_it(log: Log) -> None:
    step = changed_head(log.log.latest, log.log.latest.head)
    assert remembering(step, None) is step
    assert remembering(step, a_reply()).change.reply == a_reply()
