"""Sessions that go: into the trash, or for good; whoever asked hears once how it went."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from actors.directory.live_sessions import Live, LiveSessions
from actors.directory.session_admission import Admission
from actors.directory.session_removal import SessionRemoval
from actors.images.image_table import ImageEntry, ImageTable
from actors.messages import Discard, Discarded, DiscardStored, Trashed, TrashSession
from protocol.errors import SessionNotFound, SessionRestarted, StorageUnavailable, StuiError
from protocol.ids import ClientId, ImageId, SessionId
from storage.document import SessionHead
from storage.store import StoreError
from tests.machinery.played import Listener, Played
from tests.storage.samples import a_change, a_session

SESSION = a_session()
IMAGE = ImageId("image-1")


class Removal(Played):
    """The removal of one session that is at rest, with the Janitor and the sessions' actors."""

    def __init__(self, **head: Any) -> None:
        super().__init__()
        self.janitor, self.owner = Listener(), Listener()
        self.live = LiveSessions()
        self.opened: list[Listener] = []
        self.removal = SessionRemoval(
            self.services,
            self.owner.ref,
            self.live,
            Admission(self.services, self.live),
            self._open,
        )
        with self.store.transaction() as transaction:
            transaction.create_session(a_change(**head))

    def _open(self, head: SessionHead) -> Live:
        return self.start(head.session_id)

    def start(self, session_id: SessionId = SESSION) -> Live:
        """Start a session's actor."""
        actor = Listener()
        self.opened.append(actor)
        live = Live(session_id, ClientId("client"), actor.ref)
        self.live.add(live)
        return live

    def trash(self, tag: int, session_id: SessionId = SESSION) -> TrashSession:
        message = TrashSession(
            self.janitor.ref, tag, session_id, reason="orphaned", unless_attached=True
        )
        self.removal.trash(message)
        return message

    def answers(self) -> list[tuple[int, type[StuiError] | None]]:
        """What the Janitor was told, by its own tags."""
        assert all(isinstance(each, Trashed) for each in self.janitor.told)
        return [(each.tag, type(each.error) if each.error else None) for each in self.janitor.told]

    def discard(self) -> None:
        self.removal.discard(Discard(SESSION, ClientId("client"), IMAGE, "retention"))


# --- the trash


def test_a_session_at_rest_is_opened_and_puts_itself_into_the_trash() -> None:
    removal = Removal()
    removal.trash(7)
    (actor,) = removal.opened
    (asked,) = actor.told
    assert (asked.reply_to, asked.session_id, asked.reason) == (
        removal.owner.ref,
        SESSION,
        "orphaned",
    )
    assert asked.unless_attached
    assert removal.answers() == []
    for _ in range(2):
        removal.removal.trashed(Trashed(asked.tag, SESSION, None))
    assert removal.answers() == [(7, None)]


def test_a_session_that_is_open_is_asked_itself_and_each_request_has_its_answer() -> None:
    removal = Removal()
    removal.start()
    (actor,) = removal.opened
    removal.trash(7)
    removal.trash(7)
    first, second = actor.told
    assert first.tag != second.tag
    removal.removal.trashed(Trashed(second.tag, SESSION, SessionNotFound("gone")))
    assert removal.answers() == [(7, SessionNotFound)]
    removal.removal.trashed(Trashed(first.tag, SESSION, None))
    assert removal.answers() == [(7, SessionNotFound), (7, None)]


def test_what_is_in_the_trash_already_is_left_there() -> None:
    removal = Removal(state="trashed", ended_at=1.0)
    removal.trash(7)
    assert removal.answers() == [(7, None)]
    assert removal.opened == []


def test_a_session_that_is_asked_to_rest_is_asked_when_that_is_decided() -> None:
    removal = Removal()
    live = removal.start()
    live.held = []
    message = removal.trash(7)
    assert live.held == [message]
    assert removal.opened[0].told == []
    assert removal.answers() == []


def test_a_session_that_is_not_there_cannot_be_trashed() -> None:
    removal = Removal()
    removal.trash(7, SessionId("another"))
    assert removal.answers() == [(7, SessionNotFound)]
    assert removal.opened == []


def test_a_store_that_cannot_be_read_trashes_nothing() -> None:
    removal = Removal()
    removal.services.store.publish(None)
    removal.trash(7)
    assert removal.answers() == [(7, StorageUnavailable)]


def test_whose_actor_ends_first_is_not_in_the_trash() -> None:
    removal = Removal()
    removal.trash(1)
    other = removal.start(a_session("other"))
    removal.trash(2, a_session("other"))
    removal.trash(3)
    removal.removal.ended(removal.opened[0].actor_urn)
    assert removal.answers() == [(1, SessionRestarted), (3, SessionRestarted)]
    removal.removal.ended(removal.opened[0].actor_urn)
    (asked,) = removal.opened[1].told
    assert other.session_id == asked.session_id
    removal.removal.trashed(Trashed(asked.tag, asked.session_id, None))
    assert removal.answers()[2:] == [(2, None)]


# --- for good


@pytest.mark.parametrize(
    "head", [{"state": "trashed", "ended_at": 1.0}, {"state": "closed"}, {"used_at": -9999.0}]
)
def test_a_session_at_rest_that_has_ended_is_removed(head: dict[str, Any]) -> None:
    removal = Removal(**head)
    removal.discard()
    (told,) = removal.writer.inbox
    assert told == DiscardStored(removal.owner.ref, SESSION, IMAGE, "retention")


def test_a_session_that_is_open_again_is_not_removed() -> None:
    removal = Removal()
    removal.discard()
    assert removal.writer.inbox == []


def test_a_session_with_an_actor_is_not_removed() -> None:
    removal = Removal(state="trashed", ended_at=1.0)
    removal.start()
    removal.discard()
    assert removal.writer.inbox == []


@pytest.mark.parametrize("problem", ["gone", "unreadable"])
def test_a_session_that_cannot_be_read_is_not_removed(problem: str) -> None:
    removal = Removal(state="trashed", ended_at=1.0)
    if problem == "unreadable":
        removal.services.store.publish(None)
        with pytest.raises(StoreError):
            removal.services.reader()
        removal.discard()
    else:
        removal.removal.discard(Discard(a_session("x"), ClientId("client"), None, "retention"))
    assert removal.writer.inbox == []


def test_its_image_drops_what_it_holds_of_a_removed_session() -> None:
    removal = Removal()
    image = Listener()
    entry = ImageEntry(
        IMAGE, "mine", "tcp://image", image.ref, "Connected",
        capabilities=frozenset({"open_workspace"}),
    )  # fmt: skip
    removal.services.image_table.publish(ImageTable((entry,)))
    removal.removal.discarded(Discarded(SESSION, IMAGE, "retention", None))
    removal.removal.discarded(Discarded(SESSION, ImageId("another"), "retention", None))
    (call,) = image.told
    assert (call.command, call.parameters) == ("close_workspace", {"session": SESSION})


@pytest.mark.parametrize("error", [None, StorageUnavailable("The disk is full.")])
def test_the_log_tells_whether_a_session_was_removed(error: StuiError | None) -> None:
    removal = Removal()
    with structlog.testing.capture_logs() as logged:
        removal.removal.discarded(Discarded(SESSION, None, "retention", error))
    (entry,) = logged
    assert entry["event"] == ("session_not_removed" if error else "session_removed")
    assert entry["error"] == (error and "The disk is full.")
