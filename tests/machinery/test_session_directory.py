"""What the directory of sessions answers by itself, and what it passes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from actors.address import Ref
from actors.directory.session_directory import SessionDirectory
from actors.dispatcher import Dispatcher
from actors.images.image_table import ImageEntry, ImageTable
from actors.messages import (
    Answer,
    ClientRequest,
    KeepPreferences,
    Opened,
    OpenStored,
    Restarted,
    Routed,
    SessionGone,
    StaysAwake,
    StorageChanged,
    WantsRest,
)
from actors.supervised import AreYouThere
from protocol.errors import InvalidParameter, SessionNotFound, StuiError
from protocol.ids import ClientId, ImageId
from protocol.replies import SessionDeleted
from protocol.requests import (
    DeleteSession,
    GetEvaluation,
    GetSessionHistory,
    GetSessionInfo,
    JsonText,
    RenameSession,
    Request,
    SetClientPreferences,
    SwitchImageContext,
)
from tests.machinery.parent import Parent
from tests.machinery.played import Listener, Played
from tests.storage.samples import a_change, a_reply, a_session, an_evaluation
from tests.support.actors import running
from tests.support.waiting import DEADLINE, eventually

SESSION = a_session()
IMAGE = ImageEntry(ImageId("here"), "mine", "tcp://here", status="Connected")
RENAME = RenameSession(session_id=SESSION, name="mine")


class Directory(Played):
    """A directory that runs, over a store with one session that has evaluated twice."""

    def __init__(self, parent: Parent) -> None:
        super().__init__()
        self._dispatcher = Dispatcher(1)
        self.services = replace(self.services, dispatcher=self._dispatcher)
        history = [an_evaluation(1, "finished"), an_evaluation(2, "finished")]
        with self.store.transaction() as transaction:
            transaction.create_session(a_change(evaluations=2, history=history))
        self.services.image_table.publish(ImageTable((IMAGE,)))
        self.ref = SessionDirectory.start(parent.actor_ref, self.services)
        self.services.sessions.assign(self.ref)

    def stop(self) -> None:
        self.ref.stop(timeout=DEADLINE)
        self._dispatcher.stop(DEADLINE)

    def tell(self, message: Any) -> None:
        """Tell it something, and wait until it has done that."""
        self.ref.tell(message)
        there = Listener()
        self.ref.tell(AreYouThere(there.ref))
        eventually(lambda: bool(there.told))

    def ask(self, key: int, request: Request, unique_id: str | None = None) -> None:
        self.tell(ClientRequest(key, "c", unique_id, request))

    def answer_opening(self, session: Ref) -> None:
        """Let the writer hand over the session that it was asked for last."""
        eventually(lambda: self.written(OpenStored) > 0)
        with self.store.transaction() as transaction:
            session.tell(Opened(transaction.open_session(SESSION)))

    def answers(self) -> list[tuple[int, Any]]:
        told = [each for each in self.gateway.told if isinstance(each, Answer)]
        return [(each.key, each.outcome) for each in told]

    def written(self, kind: type[Any]) -> int:
        """How many messages of a kind the writer was told."""
        return sum(isinstance(each, kind) for each in self.writer.inbox)


@pytest.fixture
def directory(parent: Parent) -> Iterator[Directory]:
    running = Directory(parent)
    yield running
    running.stop()


def test_what_a_session_at_rest_is_asked_is_answered_once_and_lets_it_rest(
    directory: Directory,
) -> None:
    directory.ask(1, GetSessionInfo(session_id=SESSION))
    directory.ask(2, GetSessionHistory(session_id=SESSION))
    directory.ask(3, GetEvaluation(session_id=SESSION, evaluation=2))
    directory.ask(4, GetEvaluation(session_id=SESSION, evaluation=3))
    answers = dict(directory.answers())
    assert [key for key, _ in directory.answers()] == [1, 2, 3, 4]
    assert answers[1].session_id == SESSION
    assert [each.evaluation for each in answers[2].history] == [1, 2]
    assert answers[3].evaluation == 2
    assert isinstance(answers[4], InvalidParameter)
    assert not any(isinstance(answers[key], StuiError) for key in (1, 2, 3))
    assert directory.writer.inbox == []
    assert len(directory.gateway.told) == 4


def test_a_session_at_rest_whose_code_may_still_run_is_opened_to_find_out(
    directory: Directory,
) -> None:
    with directory.store.transaction() as transaction:
        session = transaction.sessions[SESSION]
        session.evaluations[2] = an_evaluation(2, "running")
    directory.ask(1, GetEvaluation(session_id=SESSION, evaluation=2))
    eventually(lambda: directory.written(OpenStored) == 1)
    assert directory.answers() == []


def test_a_new_writer_and_nobody_else_is_told_again_what_is_to_be_kept(
    directory: Directory,
) -> None:
    preferences = JsonText(b"{}")
    directory.ask(1, SetClientPreferences(client_id=ClientId("c"), preferences=preferences))
    assert directory.written(KeepPreferences) == 1
    for message in (Restarted("gateway"), Restarted("images"), StorageChanged(True, "x")):  # noqa: FBT003
        directory.tell(message)
    assert directory.written(KeepPreferences) == 1
    directory.tell(Restarted("writer"))
    assert directory.written(KeepPreferences) == 2


def test_sessions_in_memory_and_their_deaths_are_counted(directory: Directory) -> None:
    directory.ask(1, RENAME)
    assert directory.counting.sessions == [0, 1]
    (session,) = running("session")
    session.stop()
    eventually(lambda: directory.counting.sessions == [0, 1, 0])
    assert directory.counting.sessions_died == 0
    directory.ask(2, RENAME)
    (session,) = running("session")
    bug: Any = None
    session.tell(Opened(bug))
    eventually(lambda: directory.counting.sessions == [0, 1, 0, 1, 0])
    assert directory.counting.sessions_died == 1
    gone = [each.session_id for each in directory.gateway.told if isinstance(each, SessionGone)]
    assert gone == [SESSION] * 2


# --- sessions that are asked to rest


def _routed(directory: Directory) -> list[int]:
    """The keys of the requests that a session was given."""
    return [each.key for each in directory.gateway.told if isinstance(each, Routed)]


def test_what_comes_while_a_session_is_asked_to_rest_waits_for_its_decision(
    directory: Directory,
) -> None:
    directory.ask(1, RENAME)
    (session,) = running("session")
    wants_rest = WantsRest(SESSION, session)
    directory.tell(WantsRest(SESSION, directory.ref))  # of an earlier actor
    directory.tell(wants_rest)
    directory.tell(wants_rest)
    assert directory.gateway.told.count(wants_rest) == 1
    directory.ask(2, RENAME)
    directory.ask(3, SwitchImageContext(session_id=SESSION, to_image_id=IMAGE.image_id))
    directory.tell(StaysAwake(SESSION, session))
    assert _routed(directory) == [1, 2]
    assert directory.answers() == []
    directory.tell(StaysAwake(SESSION, session))
    directory.ask(4, RENAME)
    assert _routed(directory) == [1, 2, 4]


def test_what_waited_for_a_session_that_rests_opens_it_again(directory: Directory) -> None:
    directory.ask(1, RENAME)
    (session,) = running("session")
    directory.tell(WantsRest(SESSION, session))
    directory.ask(2, RENAME)
    session.stop()
    eventually(lambda: _routed(directory) == [1, 2])
    eventually(lambda: directory.written(OpenStored) == 2)
    assert directory.counting.sessions == [0, 1, 0, 1]


@pytest.mark.parametrize("how", ["no gateway", "its successor"])
def test_a_session_is_told_to_rest_although_the_gateway_cannot(
    directory: Directory, how: str
) -> None:
    directory.ask(1, RENAME)
    (session,) = running("session")
    directory.answer_opening(session)
    if how == "no gateway":
        directory.services.gateway.assign(None)
        directory.tell(WantsRest(SESSION, session))
    else:
        directory.tell(WantsRest(SESSION, session))
        directory.tell(Restarted("images"))
        directory.ask(2, RENAME)
        directory.tell(Restarted("gateway"))
    # It has work, so that it says that it stays, and is given what it is asked again.
    directory.services.gateway.assign(directory.gateway.ref)
    eventually(lambda: _is_routed(directory))


def _is_routed(directory: Directory) -> bool:
    directory.ask(9, RENAME)
    return 9 in _routed(directory)


# --- removals that come again


def test_a_removal_that_comes_again_is_answered_like_the_first(directory: Directory) -> None:
    gone = a_session("gone")
    reply = a_reply("one", scope=gone)
    request = DeleteSession(session_id=gone)
    message = ClientRequest(1, "c", "one", request)
    with directory.store.transaction() as transaction:
        transaction.remember(msgspec.structs.replace(reply, digest=message.digest))
        other = ClientRequest(0, "c", "two", RenameSession(session_id=gone, name="x"))
        about_two = msgspec.structs.replace(reply, request_id="two", digest=other.digest)
        transaction.remember(about_two)
    for key, unique_id in ((1, "one"), (2, "two"), (3, "three"), (4, None)):
        directory.ask(key, request, unique_id)
    directory.ask(5, RenameSession(session_id=gone, name="x"), "two")
    answers = [outcome for _, outcome in directory.answers()]
    assert [type(each) for each in answers] == [
        SessionDeleted,
        InvalidParameter,
        SessionNotFound,
        SessionNotFound,
        SessionNotFound,
    ]
    assert directory.writer.inbox == []
