"""Saving, loading and clearing contexts, with images and disks that fail at each step."""

from __future__ import annotations

from typing import Any

import pytest

from actors.session.context_jobs import ClearContextJob, LoadContextJob, SaveContextJob
from actors.session.saved_first import SavedFirst
from protocol.errors import ContextNotFound, ImageFailed, SessionNotFound
from protocol.image_messages import RestoredVariable, RestoreResult
from protocol.requests import ClearContext, LoadContext, SaveContext
from storage.document import RememberedReply
from storage.store import StoreError
from tests.machinery.workplace import FULL_DISK, SESSION, SessionAtWork
from tests.storage.samples import a_reply

SNAPSHOT = "snapshot_workspace"
RESTORED = RestoreResult(variables=[RestoredVariable(name="x", fate="restored")])


class Keeping(SessionAtWork):
    """A session with one saved evaluation, and those who want its contexts kept."""

    def __init__(self, *, saved: bool = True, **settings: Any) -> None:
        super().__init__(**settings)
        self.run("a", saved=saved)

    def _add(self, job: SavedFirst) -> None:
        self.workspace.add(job)

    def save(self, label: str = "mine", remember: RememberedReply | None = None) -> None:
        request = SaveContext(session_id=SESSION, label=label)
        self._add(SaveContextJob(self.place, [1], self.autosave, request, remember))

    def load(self, context_id: str | None = None) -> None:
        request = LoadContext(session_id=SESSION, context_id=context_id)
        self._add(LoadContextJob(self.place, [1], self.autosave, request, None))

    def clear(self) -> None:
        request = ClearContext(session_id=SESSION, scope=["variables"])
        self._add(ClearContextJob(self.place, [1], self.autosave, request, None))

    def fail_snapshot(self) -> None:
        self.reply(self.asked(SNAPSHOT)[-1], ImageFailed("it is stuck"))

    def change_something(self) -> None:
        """Evaluate without saving what that did."""
        self.run("b", saved=False)

    def kept(self) -> list[tuple[str, str]]:
        """What each kept context is for, and the workspace that it has."""
        numbers = [head.number for head in self.store.context_heads(SESSION) if head.number > 0]
        contexts = [self.store.context(SESSION, number) for number in numbers]
        return [(each.head.kind, each.data.snapshot) for each in contexts if each is not None]


@pytest.fixture
def session() -> Keeping:
    return Keeping()


# --- the snapshot before


def test_a_context_has_the_workspace_of_this_moment(session: Keeping) -> None:
    session.save(remember=a_reply("one"))
    assert session.writer.inbox == []
    session.show_snapshot("now")
    session.write()
    assert session.kept() == [("saved", "now")]
    assert (session.outcome.context_id, session.outcome.label) == ("1", "mine")
    assert session.outcome.notes == []
    stored = session.store.remembered(SESSION, "one")
    assert stored is not None
    assert stored.outcome == {"context": 1, "label": "mine", "notes": []}
    event = session.store.events(SESSION, 0, 100)[-1]
    assert event.data == {"context_id": "1", "label": "mine", "evaluation": 1}


def test_a_snapshot_that_is_under_way_is_of_no_interest_then(session: Keeping) -> None:
    session.run_code("b")
    session.ring("wait for the snapshot no longer")
    session.write()
    early = session.asked(SNAPSHOT)[-1]
    session.save()
    assert len(session.asked(SNAPSHOT)) == 3
    session.reply(early, ImageFailed("x"))
    assert session.kept() == []
    session.show_snapshot("now")
    session.write()
    assert session.kept() == [("saved", "now")]


def test_what_is_kept_is_the_last_snapshot_where_the_image_takes_none(session: Keeping) -> None:
    session.show_image("Reconnecting")
    session.save()
    session.write()
    assert session.kept() == [("saved", "after a")]
    assert session.outcome.notes == ["the image mine takes no snapshot now"]


def test_what_is_kept_is_the_last_snapshot_where_another_could_not_be_taken(
    session: Keeping,
) -> None:
    session.change_something()
    session.save()
    session.fail_snapshot()
    session.write()
    assert session.kept() == [("saved", "after a")]
    assert session.outcome.notes == ["no snapshot of this moment could be taken: it is stuck"]


@pytest.mark.parametrize("epoch", ["e2", ""])
def test_a_workspace_that_is_in_no_image_is_kept_as_it_was_saved(
    session: Keeping, epoch: str
) -> None:
    session.show_image("Connected", epoch=epoch)
    session.save()
    session.write()
    assert len(session.asked(SNAPSHOT)) == 1
    assert session.kept() == [("saved", "after a")]
    assert session.outcome.notes == []


def test_a_session_that_never_had_a_workspace_keeps_an_empty_one() -> None:
    session = Keeping(saved=False)
    session.show_image("Reconnecting")
    session.save()
    session.write()
    assert session.kept() == [("saved", "")]


def test_a_snapshot_that_cannot_be_stored_ends_it(session: Keeping) -> None:
    session.save()
    session.show_snapshot("now")
    session.refuse()
    assert session.outcome is FULL_DISK
    assert session.kept() == []
    assert session.workspace.idle


def test_a_context_that_cannot_be_stored_ends_it(session: Keeping) -> None:
    session.show_image("Reconnecting")
    session.save()
    session.refuse()
    assert session.outcome is FULL_DISK
    assert session.workspace.idle


def test_nothing_is_done_for_a_session_that_was_deleted_meanwhile(session: Keeping) -> None:
    session.save()
    call = session.asked(SNAPSHOT)[-1]
    session.workspace.leave(SessionNotFound("deleted"))
    session.reply(call, ImageFailed("x"))
    assert session.writer.inbox == []
    assert isinstance(session.outcome, SessionNotFound)


def test_nothing_is_done_for_a_session_that_is_deleted_while_the_snapshot_is_stored(
    session: Keeping,
) -> None:
    session.save()
    session.show_snapshot("now")
    session.workspace.leave(SessionNotFound("deleted"))
    session.write()
    assert isinstance(session.outcome, SessionNotFound)
    assert session.kept() == []


# --- a workspace that would be replaced


@pytest.mark.parametrize("replace", ["load", "clear"])
def test_a_workspace_that_cannot_be_saved_is_not_replaced(session: Keeping, replace: str) -> None:
    session.change_something()
    getattr(session, replace)()
    session.fail_snapshot()
    assert isinstance(session.outcome, ImageFailed)
    assert session.outcome.details["done"].startswith("nothing")
    assert session.writer.inbox == []
    assert session.kept() == []


@pytest.mark.parametrize(("replace", "kind"), [("load", "before_load"), ("clear", "before_clear")])
def test_a_workspace_that_is_saved_already_is_replaced(
    session: Keeping, replace: str, kind: str
) -> None:
    getattr(session, replace)()
    session.fail_snapshot()
    session.write()
    assert session.kept() == [(kind, "after a")]
    if replace == "load":
        session.reply(session.asked("restore_workspace")[-1], RESTORED)
        session.write()
    told = session.outcome.restore_report if replace == "load" else session.outcome
    assert told.notes[0].startswith("no snapshot of this moment")


def test_a_loaded_context_is_the_workspace_whatever_the_image_does(session: Keeping) -> None:
    session.save()
    session.show_snapshot("kept")
    session.write()
    session.run("b")
    session.answers.clear()
    session.load("1")
    session.show_snapshot("after b", unchanged=True)
    session.write()
    (call,) = session.asked("restore_workspace")
    assert call.parameters["data"] == "kept"
    session.calls.connection_ended(session.connection.ref)
    session.write()
    assert session.outcome.context_id == "1"
    assert any("is stored" in note for note in session.outcome.restore_report.notes)
    mark = session.head.snapshot
    assert mark is not None
    assert mark.digest == "digest of kept"
    assert session.log.durable.knowledge.epoch == ""


# --- snapshots that are damaged


def test_a_damaged_snapshot_is_taken_once_more_though_nothing_has_changed(
    session: Keeping,
) -> None:
    session.store.damaged = {0}
    session.save()
    session.show_snapshot("after a", unchanged=True)
    session.write()
    assert [call.parameters.get("unless") for call in session.asked(SNAPSHOT)[1:]] == [
        "digest of after a",
        None,
    ]
    session.show_snapshot("after a")
    session.write()
    assert session.kept() == [("saved", "after a")]
    assert session.outcome.notes == []


def test_nothing_is_kept_of_a_workspace_whose_snapshot_stays_damaged(session: Keeping) -> None:
    session.show_image("Reconnecting")
    session.store.damaged = {0}
    session.save()
    session.write()
    assert session.kept() == [("saved", "")]
    assert session.outcome.notes == [
        "the image mine takes no snapshot now",
        "the image mine takes no snapshot now",
        "the last snapshot of the workspace is damaged",
    ]


def test_a_store_that_cannot_be_read_now_ends_it(session: Keeping) -> None:
    session.show_image("Reconnecting")
    session.store.problem = StoreError("it is being opened afresh")
    session.save()
    assert session.outcome.retryable
    assert session.workspace.idle


# --- how many are kept


def test_the_oldest_contexts_make_room() -> None:
    session = Keeping(contexts_kept=2)
    session.show_image("Reconnecting")
    for number in range(4):
        session.now = float(number)
        session.save(str(number))
        session.write()
    heads = session.store.context_heads(SESSION)
    assert [head.label for head in heads if head.number > 0] == ["2", "3"]


def test_contexts_that_are_too_old_go_with_the_next_one() -> None:
    session = Keeping(context_retention=100.0)
    session.show_image("Reconnecting")
    for now in (0.0, 50.0, 120.0):
        session.now = now
        session.save(str(now))
        session.write()
    heads = session.store.context_heads(SESSION)
    assert [head.label for head in heads if head.number > 0] == ["50.0", "120.0"]
    assert [head.saved_at for head in heads if head.number > 0] == [1050.0, 1120.0]


# --- automatic snapshots that were cleared away


@pytest.mark.parametrize("name", ["auto", "auto-before"])
def test_what_was_cleared_away_cannot_be_loaded_by_its_old_name(
    session: Keeping, name: str
) -> None:
    session.run("b")
    session.clear()
    session.show_snapshot("after b", unchanged=True)
    session.write()
    session.answers.clear()
    session.load(name)
    assert isinstance(session.outcome, ContextNotFound)
    assert session.writer.inbox == []
    assert session.kept() == [("before_clear", "after b")]
