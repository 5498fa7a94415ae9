"""Bytes from anyone: what is a session comes back, and what is nonsense is said to be."""

from __future__ import annotations

import copy
import json
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.ids import ImageId
from protocol.replies import timestamp
from storage import session_checks
from storage.document import Change, SnapshotMark
from storage.missing_evaluations import without_gaps
from storage.sealed import seal, unseal
from storage.session_form import BINDING, IMPORT_BYTES, decode_session, encode_session
from storage.sqlite_store import SqliteStore
from storage.store import Damaged, SessionContents
from tests.storage.samples import (
    a_context,
    a_head,
    a_section,
    an_evaluation,
    contents,
    json_values,
    text,
)

MARK = SnapshotMark(
    slot=0, evaluation=2, digest="d", epoch="e", image_id=ImageId("i1"), taken_at=1000.0
)
DOCUMENT = SessionContents(
    number=5,
    head=a_head(
        client_info=text({"terminal": "xterm"}),
        image_id=ImageId("i1"),
        evaluations=2,
        contexts=3,
        snapshot=MARK,
        section_revisions={"session_state": 2},
        section_bytes={"session_state": 12},
    ),
    sections={"session_state": text({"a": [1]}), "knowledge": text({"variables": ["x"]})},
    evaluations=[
        an_evaluation(1, "finished", result="7"),
        an_evaluation(2, "failed", details={"stack": ["a"]}),
    ],
    contexts=[a_context(0, "automatic"), a_context(3, label="before lunch")],
)
TREE: dict[str, Any] = json.loads(unseal(encode_session(DOCUMENT), BINDING))
JSON = json.dumps(TREE).encode()


def packed(tree: object) -> bytes:
    return seal(json.dumps(tree).encode(), BINDING)


def changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """The document's JSON with VALUE at PATH."""
    tree = copy.deepcopy(TREE)
    place: Any = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return tree


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@given(contents)
@settings(deadline=None)
def test_a_session_comes_back_from_its_bytes_as_it_was(document: SessionContents) -> None:
    assert decode_session(encode_session(document)) == document


def test_the_document_of_these_tests_is_fine() -> None:
    assert decode_session(packed(TREE)) == DOCUMENT


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("number",), 0, "number is 0"),
        (("number",), 2**53 + 1, "9007199254740993"),
        (("number",), "1", "number"),
        (("head",), None, "head"),
        (("head", "session_id"), "", "session_id is ''"),
        (("head", "session_id"), "../../etc", "an identifier has 1 to 128"),
        (("head", "session_id"), "a" * 129, "session_id"),
        (("head", "client_id"), "a\nb", "client_id"),
        (("head", "client_id"), 7, "client_id"),
        (("head", "image_id"), "tcp://host:1", "image_id of the session"),
        (("head", "state"), "eternal", "eternal"),
        (("head", "created_at"), 1e300, "1e\\+300"),
        (("head", "last_modified"), -1.0, "last_modified of the session is -1.0"),
        (("head", "timeout"), -5, "timeout"),
        (("head", "revision"), -1, "revision of the session is -1"),
        (("head", "revision"), 2**70, "revision"),
        (("head", "section_revisions"), {"other": 1}, "other"),
        (("head", "section_revisions"), {"session_state": -1}, "section_revisions"),
        (("head", "section_bytes"), {"session_state": 2**60}, "section_bytes"),
        (("head", "client_info"), "W10=", r"client_info is no JSON object.*\[\]"),
        (("head", "client_info"), "oWFhAQ==", "client_info is .*no JSON"),  # CBOR
        (("head", "client_info"), "%%", "base64"),
        (("head", "name"), "a" * 300_000, "head has"),
        (("head", "snapshot", "slot"), 1, "slot 1"),
        (("head", "snapshot", "slot"), -2, "slot"),
        (("head", "snapshot", "taken_at"), 1e12, "taken_at"),
        (("head", "snapshot", "image_id"), "?", "image_id of the snapshot"),
        (("sections", "session_state"), [], "session_state of the session"),
        (("sections", "session_state"), "text", "session_state"),
        (("sections", "session_state"), nested(150), "deeper than 100"),
        (("sections", "session_state"), {"a": 2**64}, "64 bits"),
        (("sections", "session_state"), {"a": float("nan")}, "NaN|malformed"),
        (("sections", "other"), {}, "other"),
        (("sections", "knowledge"), {"variables": 7}, "knowledge"),
        (("sections", "knowledge"), {"objects": {"o": {}}}, "knowledge"),
        (("evaluations", 0, "number"), 2, "evaluation 2 follows 2"),
        (("evaluations", 0, "number"), 0, "evaluation 0 follows 0"),
        (("evaluations", 0, "number"), -3, "evaluation -3"),
        (("evaluations", 1, "number"), 2**60, "2\\*\\*53"),
        (("evaluations", 0, "started_at"), 1e15, "started_at of evaluation 1"),
        (("evaluations", 0, "details"), {"a": nested(120)}, "details of evaluation 1"),
        (("evaluations", 0, "details"), {"a": 2**80}, "details|JSON"),
        (("evaluations", 0, "state"), "odd", "odd"),
        (("evaluations", 0, "image_id"), "", "image_id of evaluation 1"),
        (("contexts", 1, "head", "number"), 0, "context 0 twice"),
        (("contexts", 1, "head", "number"), -2, "number of context -2"),
        (("contexts", 1, "head", "number"), -1, "context -1 is saved"),
        (("contexts", 0, "head", "number"), 2, "context 2 is automatic"),
        (("contexts", 1, "head", "kind"), "odd", "odd"),
        (("contexts", 1, "head", "kept_since"), 1e300, "kept_since of context 3"),
        (("contexts", 1, "head", "saved_at"), 1e12, "saved_at of context 3"),
        (("contexts", 1, "head", "image_id"), " ", "image_id of context 3"),
        (("contexts", 1, "head", "variables", 0, "size"), -1, "size of a variable"),
        (("contexts", 1, "data"), None, "data"),
        (("contexts", 1, "data", "snapshot"), {}, "snapshot"),
        (("contexts", 1, "data", "sections"), {"knowledge": {}}, "knowledge"),
        (("contexts", 1, "data", "sections"), {"inspector_state": 1}, "inspector_state of context"),
    ],
)
def test_nonsense_is_refused_with_what_is_wrong(
    path: tuple[str | int, ...], value: object, said: str
) -> None:
    with pytest.raises(Damaged, match=said):
        decode_session(packed(changed(path, value)))


def test_the_head_counts_at_least_as_far_as_what_is_there() -> None:
    for name, value, expected in (("evaluations", 1, 2), ("contexts", 0, 3), ("contexts", 9, 9)):
        head = decode_session(packed(changed(("head", name), value))).head
        assert getattr(head, name) == expected


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"[" * 200_000,
        b'{"number":5,"head":' * 50_000,
        b'{"sections":{"session_state":' + b'{"a":' * 100_000 + b"1",
        JSON.replace(b"before lunch", b"\xff"),
        JSON.replace(b'"failed"', b'"\xff"'),
        JSON.replace(b'{"a": [1]}', b'{"a": "\xff"}'),
        JSON.replace(b'{"a": [1]}', b'{"a": 1e999}'),
        JSON[:-1],
        JSON + b"x",
    ],
    ids=range(13),
)
def test_what_is_not_the_json_of_a_session_is_refused(payload: bytes) -> None:
    assert payload != JSON
    with pytest.raises(Damaged):
        decode_session(seal(payload, BINDING))


@pytest.mark.parametrize("payload", [JSON, b" " * 5000], ids=["short", "zip"])
def test_what_would_unpack_to_more_than_is_wanted_is_refused(payload: bytes) -> None:
    with pytest.raises(Damaged, match=r"100 is the most|more than 100"):
        decode_session(seal(payload, BINDING), most=100)


def test_less_may_be_brought_than_a_file_may_hold() -> None:
    large = replace(DOCUMENT, sections={"session_state": text({"a": "b" * IMPORT_BYTES})})
    data = encode_session(large)
    assert len(data) < 100_000
    with pytest.raises(Damaged, match="would unpack to more"):
        decode_session(data)


@pytest.mark.parametrize(
    ("limit", "document"),
    [
        ("SESSION_BYTES", replace(DOCUMENT, sections={"session_state": a_section(2000)})),
        ("SNAPSHOT_BYTES", replace(DOCUMENT, contexts=[a_context(3, snapshot="a" * 2000)])),
        ("_HEAD_BYTES", DOCUMENT),
    ],
)
def test_parts_that_are_larger_than_they_may_be_are_refused(
    limit: str, document: SessionContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode_session(document)
    assert decode_session(data) == document
    monkeypatch.setattr(session_checks, limit, 400)
    with pytest.raises(Damaged, match="400 is the most"):
        decode_session(data)


def test_a_flipped_bit_or_a_cut_in_bytes_with_contexts_is_damage() -> None:
    whole = encode_session(replace(DOCUMENT, contexts=[a_context(3, snapshot="graph " * 1000)]))
    rng = random.Random(9)
    for _ in range(300):
        torn = bytearray(whole)
        torn[rng.randrange(len(torn))] ^= 1 << rng.randrange(8)
        for data in (bytes(torn), whole[: rng.randrange(len(whole))]):
            with pytest.raises(Damaged):
                decode_session(data)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where something is in the JSON VALUE."""
    inner = list(value.items()) if isinstance(value, dict) else []
    if isinstance(value, list):
        inner = list(enumerate(value))
    found = [each for key, item in inner for each in _paths(item, (*path, key))]
    return [path, *found] if path else found


odd_values = (
    json_values
    | st.integers(-(2**80), 2**80)
    | st.sampled_from([0, -1, 2**53 + 1, 2**63, 2**64, 1e15, 1e300, "", "../x", nested(110)])
)


@given(st.sampled_from(_paths(TREE)), odd_values)
@settings(deadline=None, max_examples=400)
def test_whatever_is_accepted_can_be_stored_shown_and_written_again(
    path: tuple[str | int, ...], value: object
) -> None:
    try:
        document = decode_session(packed(changed(path, value)))
    except Damaged:
        return
    assert decode_session(encode_session(document)) == document
    head = document.head
    assert timestamp(head.created_at) <= "9999-12-31T23:59:59Z"
    with (
        tempfile.TemporaryDirectory() as directory,
        SqliteStore(Path(directory) / "stui.db") as store,
    ):
        with store.transaction() as transaction:
            transaction.create_session(
                Change(
                    head=head,
                    sections=document.sections,
                    history=without_gaps(document),  # as whoever takes it in does
                    contexts=document.contexts,
                )
            )
        stored = store.contents(head.session_id)
        assert stored is not None
        assert stored.head == head
        assert stored.evaluations == without_gaps(document)
        assert {each.head.number: each for each in stored.contexts} == {
            each.head.number: each for each in document.contexts
        }
