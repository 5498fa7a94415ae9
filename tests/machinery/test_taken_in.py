"""What the contents of a session become in another one, and where they are taken in again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from actors.directory.taken_in import Newcomer, as_new_session, as_same_session
from protocol.ids import ClientId, SessionId
from storage.document import Knowledge
from storage.store import SessionContents
from tests.storage.samples import a_context, a_head, a_reply, an_evaluation, text

NEWCOMER = Newcomer(SessionId("new"), ClientId("somebody"), None, at=2000.0, now=50.0)


def _contents(knowledge: Knowledge | None = None, **about: Any) -> SessionContents:
    sections: Any = {"session_state": text({"a": 1})}
    if knowledge is not None:
        sections["knowledge"] = text(msgspec.to_builtins(knowledge))
    head = a_head(name="s1", revision=7, used_at=9.0, ended_at=8.0, ended_reason="x", **about)
    running = an_evaluation(2, deadline=3.0)
    return SessionContents(
        3, head, sections, [an_evaluation(1, "finished"), running], [a_context(1), a_context(0)]
    )


def _knowledge(knowledge: Knowledge) -> Knowledge:
    change = as_new_session(_contents(knowledge), NEWCOMER, None)
    return msgspec.json.decode(change.sections["knowledge"], type=Knowledge)


def test_a_new_session_is_open_and_its_ages_begin_now() -> None:
    reply = a_reply()
    change = as_new_session(_contents(state="trashed"), NEWCOMER, reply)
    head = change.head
    assert (head.session_id, head.client_id, head.state) == ("new", "somebody", "open")
    assert (head.created_at, head.last_modified, head.used_at) == (2000.0, 2000.0, 50.0)
    assert (head.ended_at, head.ended_reason, head.revision) == (None, "", 7)
    assert head.section_bytes == {"session_state": 8}
    assert [context.head.kept_since for context in change.contexts] == [50.0, 50.0]
    assert change.reply is reply


def test_a_new_session_has_the_name_that_it_is_given_or_the_one_that_it_had() -> None:
    contents = _contents()
    named = replace(contents, head=msgspec.structs.replace(contents.head, name="old"))
    given = replace(NEWCOMER, name="given")
    assert as_new_session(named, NEWCOMER, None).head.name == "old"
    assert as_new_session(named, given, None).head.name == "given"
    assert as_new_session(contents, given, None).head.name == "given"
    assert as_new_session(contents, NEWCOMER, None).head.name is None


def test_no_image_holds_the_workspace_of_a_new_session() -> None:
    knowledge = _knowledge(Knowledge(epoch="e2", earlier_epochs=["e1"], variables=["x"]))
    assert (knowledge.epoch, knowledge.earlier_epochs) == ("", ["e1", "e2"])
    assert knowledge.variables == ["x"]
    knowledge = _knowledge(Knowledge(epoch="", earlier_epochs=["e1"]))
    assert (knowledge.epoch, knowledge.earlier_epochs) == ("", ["e1"])
    assert _knowledge(Knowledge(epoch="e1")).earlier_epochs == ["e1"]
    assert "knowledge" not in as_new_session(_contents(), NEWCOMER, None).sections


def test_what_ran_has_an_unknown_end_in_the_copy() -> None:
    finished, running = as_new_session(_contents(), NEWCOMER, None).history
    assert finished == an_evaluation(1, "finished")
    assert (running.state, running.error_code, running.deadline) == (
        "unknown", "outcome_unknown", None,
    )  # fmt: skip


def test_the_same_session_keeps_who_it_is_and_its_ages_begin_anew() -> None:
    change = as_same_session(_contents(state="closed"), now=50.0)
    head = change.head
    assert (head.session_id, head.client_id, head.state) == ("session_s1", "client", "closed")
    assert (head.used_at, head.ended_at, head.ended_reason) == (50.0, 50.0, "x")
    assert head.section_bytes == {"session_state": 8}
    assert [context.head.kept_since for context in change.contexts] == [50.0, 50.0]
    assert [each.state for each in change.history] == ["finished", "unknown"]


def test_an_open_session_that_is_taken_in_has_not_ended() -> None:
    assert as_same_session(_contents(), now=50.0).head.ended_at is None
