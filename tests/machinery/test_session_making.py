"""New sessions, each made once however often and in whatever order it is asked for."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from actors.directory.live_sessions import Live, LiveSessions
from actors.directory.session_admission import Admission
from actors.directory.session_making import Made, SessionMaking, unpacked
from actors.images.image_table import ImageEntry, ImageTable
from actors.messages import Answer, ClientRequest, MakeSession, Routed
from actors.session.session import Creation
from actors.session.session_state import stored_state
from protocol.errors import (
    ClientNotAllowed,
    ImageUnknown,
    InvalidParameter,
    LimitExceeded,
    SessionLimit,
)
from protocol.ids import ClientId, ImageId, SessionId
from protocol.limits import ABOUT_BYTES
from protocol.requests import CreateSession, ForkSession, ImportSession, JsonText
from storage.session_form import encode_session
from storage.store import SessionContents
from tests.machinery.played import Listener, Played
from tests.storage.samples import a_context, a_head, an_evaluation, text

CLIENT = ClientId("client")
HERE = ImageEntry(ImageId("here"), "mine", "tcp://here", status="Connected")


def _contents(title: str | None = None, **about: Any) -> SessionContents:
    known = {"image_id": ImageId("here"), "revision": 7, "evaluations": 3}
    head = a_head("old", **{**known, **about})
    head = msgspec.structs.replace(head, name=title)
    history = [an_evaluation(1, "finished"), an_evaluation(2), an_evaluation(3)]
    sections: Any = {"session_state": text({"a": 1})}
    return SessionContents(5, head, sections, history, [a_context(1)])


class Making(Played):
    """The making of sessions, with what was started and who has heard what."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.services.image_table.publish(ImageTable((HERE,)))
        self.owner, self.live = Listener(), LiveSessions()
        self.started: list[Creation] = []
        admission = Admission(self.services, self.live)
        self.making = SessionMaking(self.services, self.owner.ref, admission, self._start)

    def _start(self, session_id: SessionId, client_id: ClientId, creation: Creation | None) -> Live:
        assert creation is not None
        assert creation.change.head.session_id == session_id
        self.started.append(creation)
        live = Live(session_id, client_id, Listener().ref)
        self.live.add(live)
        return live

    def create(self, key: int, unique_id: str | None = None, **about: Any) -> None:
        request = CreateSession(client_id=about.pop("client_id", CLIENT), **about)
        self.making.create(ClientRequest(key, "c", unique_id, request), request)

    def bring_in(self, key: int, unique_id: str | None = None, **about: Any) -> None:
        request = ImportSession(client_id=CLIENT, data="x", **about)
        message = ClientRequest(key, "c", unique_id, request)
        self.making.bring_in(message, request, _contents())

    def fork(
        self, key: int, unique_id: str | None = None, name: str | None = None, **about: Any
    ) -> MakeSession:
        request = ForkSession(session_id=SessionId("old"), name=name)
        wish = MakeSession(ClientRequest(key, "c", unique_id, request), _contents(**about))
        self.making.fork(wish)
        return wish

    def make_durable(self) -> Any:
        """Let the session that was started last become durable; what its client is answered."""
        creation = self.started[-1]
        with self.store.transaction() as transaction:
            transaction.create_session(creation.change)
        return creation.reply(stored_state(creation.change.head, creation.change.sections))

    def answers(self) -> list[tuple[int, Any]]:
        """The keys that were answered by the directory itself, and what."""
        told = [each for each in self.gateway.told if isinstance(each, Answer)]
        return [(each.key, each.outcome) for each in told]

    def routed(self) -> list[int]:
        """The keys that were given to a session's actor."""
        return [each.key for each in self.gateway.told if isinstance(each, Routed)]


@pytest.fixture
def making() -> Making:
    return Making()


# --- from nothing


def test_a_session_is_made_as_its_client_says(making: Making) -> None:
    making.now = 5.0
    making.create(1, name="mine", image_id="mine", timeout=60.0, client_info=JsonText(b"{}"))
    (creation,) = making.started
    head = creation.change.head
    assert (head.client_id, head.name, head.image_id, head.timeout) == (CLIENT, "mine", "here", 60)
    assert (head.created_at, head.last_modified, head.used_at) == (1005.0, 1005.0, 5.0)
    assert (head.client_info, creation.change.reply) == (b"{}", None)
    assert making.routed() == [1]
    assert making.answers() == []
    created = making.make_durable()
    assert created.session_id == head.session_id
    assert making.owner.told == [Made(head.session_id)]


def test_what_the_client_does_not_say_is_as_the_site_says() -> None:
    making = Making(default_timeout=77.0)
    making.create(1)
    head = making.started[0].change.head
    assert (head.timeout, head.name, head.image_id) == (77.0, None, None)


def test_what_cannot_be_made_is_not_begun(making: Making) -> None:
    longest = JsonText(b'"' + b"x" * (ABOUT_BYTES - 2) + b'"')
    for about in ("client_info", "image_metadata"):
        with pytest.raises(LimitExceeded, match=about):
            making.create(1, "one", **{about: JsonText(longest + b" ")})
    with pytest.raises(ImageUnknown):
        making.create(1, "one", image_id="another")
    assert making.started == []
    making.create(1, "one", client_info=longest, image_metadata=longest)
    assert len(making.started) == 1


def test_clients_that_are_not_served_make_none() -> None:
    making = Making(denied_clients=["client"])
    with pytest.raises(ClientNotAllowed):
        making.create(1)
    with pytest.raises(ClientNotAllowed):
        making.bring_in(1)


# --- once


def test_a_request_that_comes_again_waits_and_is_then_served_once_more(making: Making) -> None:
    making.create(1, "one")
    making.create(2, "one")
    making.create(3, "one")
    assert len(making.started) == 1
    assert making.routed() == [1]
    head = making.started[0].change.head
    making.make_durable()
    again = making.making.over(head.session_id)
    assert [wish.key for wish in again if isinstance(wish, ClientRequest)] == [2, 3]
    assert making.making.over(head.session_id) == []
    for wish in again:
        assert isinstance(wish, ClientRequest)
        making.create(wish.key, "one")
    assert [(key, answer.session_id) for key, answer in making.answers()] == [
        (2, head.session_id),
        (3, head.session_id),
    ]


def test_a_request_that_comes_again_after_a_failure_makes_the_session(making: Making) -> None:
    making.create(1, "one")
    making.create(2, "one")
    (wish,) = making.making.over(making.started[0].change.head.session_id)
    assert isinstance(wish, ClientRequest)
    making.create(wish.key, "one")
    assert making.routed() == [1, 2]
    assert len(making.started) == 2


def test_the_end_of_another_session_serves_nobody(making: Making) -> None:
    making.create(1, "one")
    making.create(2, "two")
    making.create(3, "one")
    assert making.making.over(SessionId("another")) == []
    assert making.making.over(making.started[1].change.head.session_id) == []
    assert len(making.making.over(making.started[0].change.head.session_id)) == 1


@pytest.mark.parametrize("durable", [True, False])
def test_an_id_belongs_to_what_was_asked_first_by_that_client(
    making: Making, *, durable: bool
) -> None:
    making.create(1, "one")
    if durable:
        making.make_durable()
        making.making.over(making.started[0].change.head.session_id)
    with pytest.raises(InvalidParameter):
        making.create(2, "one", name="another")
    making.create(3, "one", client_id=ClientId("another"))
    making.create(4, "two")
    making.create(5)
    making.create(6)
    assert making.routed() == [1, 3, 4, 5, 6]
    assert making.answers() == []


def test_a_session_that_was_renamed_or_moved_since_is_told_as_it_was_made(making: Making) -> None:
    making.create(1, "one", name="first", image_id="here")
    made = making.make_durable()
    session_id = making.started[0].change.head.session_id
    making.making.over(session_id)
    with making.store.transaction() as transaction:
        head = transaction.sessions[session_id].head
        transaction.sessions[session_id].head = a_head(
            "s1", created_at=head.created_at, timeout=head.timeout, image_id=ImageId("moved")
        )
    making.create(2, "one", name="first", image_id="here")
    ((_, again),) = making.answers()
    assert (again.name, again.image_id, again.created_at) == ("first", "here", made.created_at)


# --- from another


def test_a_fork_has_all_that_it_is_made_of(making: Making) -> None:
    making.now = 5.0
    making.fork(1, "one", "copy")
    change = making.started[0].change
    assert change.head.client_id == "client"
    assert (change.head.name, change.head.created_at, change.head.used_at) == ("copy", 1005.0, 5.0)
    assert change.sections == {"session_state": text({"a": 1})}
    forked = making.make_durable()
    assert (forked.name, forked.image_id, forked.made_of) == ("copy", "here", "session_old")
    assert (forked.revision, forked.history_count, forked.context_count) == (7, 3, 1)
    assert forked.notes == ["how evaluation 2, 3 ended is not known"]


def test_what_was_cleared_of_a_history_is_not_counted_in_a_copy(making: Making) -> None:
    making.fork(1, history_cleared=2)
    assert making.make_durable().history_count == 1


def test_what_a_copy_lacks_is_told_and_told_again(making: Making) -> None:
    wish = MakeSession(
        ClientRequest(1, "c", "once", ForkSession(session_id=SessionId("old"))),
        replace(_contents(), evaluations=[an_evaluation(1, "finished")]),
        ["the context 2 is left out: it is damaged"],
    )
    making.making.fork(wish)
    made = making.make_durable()
    assert made.notes == ["the context 2 is left out: it is damaged"]
    making.making.over(made.session_id)
    making.making.fork(wish)
    assert making.answers() == [(1, made)]


def test_a_copy_has_the_name_that_is_given_or_the_one_of_what_it_is_made_of(
    making: Making,
) -> None:
    making.fork(1)
    assert making.make_durable().name is UNSET
    making.fork(2, title="theirs")
    assert making.make_durable().name == "theirs"
    making.fork(3, name="copy", title="theirs")
    assert making.make_durable().name == "copy"


def test_a_copy_whose_image_is_not_known_here_is_told_so(making: Making) -> None:
    making.fork(1, image_id=ImageId("far"))
    notes = making.make_durable().notes
    assert len(notes) == 2
    assert "the image far is not known here" in notes[1]
    making.fork(2, image_id=None)
    assert len(making.make_durable().notes) == 1


def test_of_a_copy_of_what_rests_nothing_is_to_be_noted(making: Making) -> None:
    contents = replace(_contents(), evaluations=[an_evaluation(1, "finished")])
    request = ForkSession(session_id=SessionId("old"))
    making.making.fork(MakeSession(ClientRequest(1, "c", None, request), contents))
    assert making.make_durable().notes == []


def test_a_fork_that_comes_again_is_told_the_same(making: Making) -> None:
    making.fork(1, "one", "copy")
    waiting = making.fork(2, "one", "copy")
    first = making.make_durable()
    assert making.making.over(making.started[0].change.head.session_id) == [waiting]
    making.making.fork(waiting)
    assert making.answers() == [(2, first)]
    with pytest.raises(InvalidParameter):
        making.fork(3, "one", "another")
    assert len(making.started) == 1


def test_a_file_is_looked_at_once(making: Making) -> None:
    request = ImportSession(client_id=CLIENT, data="x")
    message = ClientRequest(1, "c", "one", request)
    assert making.making.may_bring_in(message, request)
    making.bring_in(1, "one")
    assert not making.making.may_bring_in(message, request)
    imported = making.make_durable()
    assert imported.made_of == "session_old"
    making.making.over(making.started[0].change.head.session_id)
    making.bring_in(2, "one")
    assert making.answers() == [(2, imported)]
    assert len(making.started) == 1


# --- how many


def test_a_client_that_may_have_one_session_is_told_so_in_the_singular() -> None:
    making = Making(max_sessions_per_client=1)
    making.create(1)
    with pytest.raises(SessionLimit, match="has 1 open session; up to 1"):
        making.create(2)


def test_a_client_has_only_so_many_open_sessions_that_are_made_too() -> None:
    making = Making(max_sessions_per_client=3)
    making.create(1)
    making.bring_in(2)
    making.fork(3)
    for another in (making.create, making.bring_in, making.fork):
        with pytest.raises(SessionLimit, match="has 3 open sessions; up to 3"):
            another(4)
    assert len(making.started) == 3
    making.create(5, client_id=ClientId("another"))


def test_a_request_that_comes_again_takes_no_room() -> None:
    making = Making(max_sessions_per_client=1)
    making.create(1, "one")
    making.create(2, "one")
    making.make_durable()
    making.making.over(making.started[0].change.head.session_id)
    making.create(3, "one")
    assert [key for key, _ in making.answers()] == [3]


# --- files


def test_a_file_is_read_or_refused() -> None:
    data = base64.b64encode(encode_session(_contents())).decode()
    assert unpacked(data).head.session_id == "session_old"
    for nonsense in (
        "?",
        data[:-5],
        f"{data[:8]}!\n{data[8:]}",
        base64.b64encode(b"nonsense").decode(),
    ):
        with pytest.raises(InvalidParameter, match="`data` of import_session"):
            unpacked(nonsense)
