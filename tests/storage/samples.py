"""Documents for tests: small ones by hand, and strategies for arbitrary ones."""

from __future__ import annotations

import json
import random
import string
from dataclasses import replace
from typing import Any, get_args

import msgspec
from hypothesis import strategies as st

from protocol.ids import ClientId, ImageId, ObjectId, SessionId
from protocol.replies import ContextKind, EvaluationState
from protocol.requests import SECTION_NAMES, JsonText
from storage.document import (
    Change,
    Context,
    ContextData,
    ContextHead,
    Evaluation,
    KnownObject,
    KnownVariable,
    RememberedReply,
    SessionHead,
    SessionState,
    SnapshotMark,
    StoredEvent,
    StoredSection,
)
from storage.store import Commit, SessionContents

SECTIONS: tuple[StoredSection, ...] = (
    "session_state",
    "workspace_context",
    "object_registry",
    "inspector_state",
    "user_preferences",
    "knowledge",
)
STATES: tuple[SessionState, ...] = get_args(SessionState)
PARTS = (
    "sections",
    "evaluation",
    "reply",
    "dropped_contexts",
    "events",
    "keep_events",
    "keep_evaluations",
    "history",
    "follows",
)


def a_session(name: str = "s1") -> SessionId:
    return SessionId(f"session_{name}")


def text(value: object) -> JsonText:
    return JsonText(json.dumps(value).encode())


def a_section(size: int) -> JsonText:
    """A section of about SIZE bytes that zstd cannot make much smaller."""
    letters = random.Random(size).choices(string.ascii_letters + string.digits, k=size)
    return text({"a": "".join(letters)})


def a_head(name: str = "s1", client: str = "client", **fields: Any) -> SessionHead:
    given: dict[str, Any] = {
        "created_at": 1000.0,
        "last_modified": 1000.0,
        "timeout": 3600.0,
    } | fields
    return SessionHead(session_id=a_session(name), client_id=ClientId(client), **given)


def a_change(name: str = "s1", *, client: str = "client", **parts: Any) -> Change:
    """A change of a session; PARTS are those of `Change`, or else fields of its head."""
    own = {key: parts.pop(key) for key in PARTS if key in parts}
    if isinstance(parts.get("contexts"), list):  # in the head it is a number
        own["contexts"] = parts.pop("contexts")
    return Change(head=a_head(name, client, **parts), **own)


def a_commit(fence: int, number: int, name: str = "s1", **parts: Any) -> Commit:
    return Commit(a_session(name), fence, number, a_change(name, **parts))


def an_evaluation(number: int = 1, state: EvaluationState = "running", **fields: Any) -> Evaluation:
    given: dict[str, Any] = {
        "code": "3 + 4",
        "started_at": 1000.5,
        "request": f"r-{number}",
    } | fields
    return Evaluation(number=number, state=state, **given)


def a_reply(request_id: str = "one", at: float = 1.0, scope: str = "session_s1") -> RememberedReply:
    return RememberedReply(
        scope=scope, request_id=request_id, digest=b"\x00digest\xff", outcome={"a": [1]}, at=at
    )


def a_context(
    number: int = 1, kind: ContextKind = "saved", snapshot: str = "graph", **fields: Any
) -> Context:
    """A context; FIELDS are those of its head."""
    given: dict[str, Any] = {
        "saved_at": 1000.0,
        "kept_since": 10.0,
        "revision": 1,
        "evaluation": 0,
        "image_id": ImageId("i1"),
        "variables": [
            KnownVariable(name="x", class_name="Array", print_string="#(1 2)", size=2),
        ],
        "data_bytes": len(snapshot),
    } | fields
    return Context(
        head=ContextHead(number=number, kind=kind, **given),
        data=ContextData(
            snapshot=snapshot,
            sections={"inspector_state": msgspec.Raw(b'{"path": [1]}')},
            objects={
                ObjectId("obj-1"): KnownObject(
                    epoch="e", class_name="Array", print_string="#(1 2)", via="x"
                )
            },
        ),
    )


def an_event(seq: int = 1, name: str = "evaluation.finished", **data: Any) -> StoredEvent:
    return StoredEvent(seq=seq, event=name, data=data or {"number": seq}, at=1000.0 + seq)


times = st.floats(0, 2.5e11, allow_nan=False)
words = st.text(st.characters(codec="utf-8"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e300, 1e300) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(words, json_values, max_size=4)
texts = objects.map(text)
identifiers = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,127}\Z")
section_dicts: st.SearchStrategy[dict[StoredSection, JsonText]] = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(SECTIONS, texts),
        # What the backend knows is not just any object.
        "knowledge": st.lists(words, max_size=3).map(lambda names: text({"variables": names})),
    },
)


snapshot_marks = st.builds(
    SnapshotMark,
    slot=st.sampled_from([0, -1]),
    evaluation=st.integers(0, 2**53),
    digest=words,
    epoch=words,
    image_id=st.just(ImageId("i1")),
    taken_at=times,
)


def heads(
    session_ids: st.SearchStrategy[SessionId], client_ids: st.SearchStrategy[ClientId]
) -> st.SearchStrategy[SessionHead]:
    return st.builds(
        SessionHead,
        session_id=session_ids,
        client_id=client_ids,
        created_at=times,
        last_modified=times,
        timeout=times,
        state=st.sampled_from(STATES),
        name=st.none() | words,
        client_info=st.none() | texts,
        image_id=st.none() | st.sampled_from([ImageId("i1"), ImageId("i2")]),
        image_address=st.none() | words,
        image_metadata=st.none() | texts,
        revision=st.integers(1, 2**53),
        section_revisions=st.dictionaries(st.sampled_from(SECTIONS), st.integers(0, 2**53)),
        section_bytes=st.dictionaries(st.sampled_from(SECTIONS), st.integers(0, 2**53)),
        evaluations=st.integers(0, 2**53),
        used_at=times,
        ended_at=st.none() | times,
        contexts=st.integers(4, 2**53),
        snapshot=st.none() | snapshot_marks,
        history_position=st.integers(0, 2**53),
        history_cleared=st.integers(0, 2**53),
    )


def evaluations(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[Evaluation]:
    return st.builds(
        Evaluation,
        number=numbers,
        code=words,
        state=st.sampled_from(get_args(EvaluationState)),
        started_at=times,
        request=words,
        finished_at=st.none() | times,
        result=words,
        object_id=st.none() | words.map(ObjectId),
        details=objects,
        output=words,
        context_saved=st.booleans(),
    )


def _kind(number: int) -> st.SearchStrategy[ContextKind]:
    kinds: tuple[ContextKind, ...] = get_args(ContextKind)
    return st.sampled_from([kind for kind in kinds if (kind == "automatic") == (number <= 0)])


def contexts(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[Context]:
    variables = st.builds(
        KnownVariable,
        name=words,
        class_name=words,
        print_string=words,
        size=st.integers(0, 2**53),
        restorable=st.booleans(),
        reason=words,
    )
    known = st.builds(KnownObject, epoch=words, class_name=words, print_string=words, via=words)
    data = st.builds(
        ContextData,
        snapshot=words | st.just("graph " * 1000),
        sections=st.dictionaries(
            st.sampled_from(SECTION_NAMES), texts.map(msgspec.Raw), max_size=2
        ),
        objects=st.dictionaries(words.map(ObjectId), known, max_size=2),
    )

    def about(number: int) -> st.SearchStrategy[ContextHead]:
        return st.builds(
            ContextHead,
            number=st.just(number),
            kind=_kind(number),
            label=words,
            saved_at=times,
            kept_since=times,
            revision=st.integers(1, 2**53),
            evaluation=st.integers(0, 2**53),
            image_id=st.none() | st.just(ImageId("i1")),
            digest=words,
            variables=st.lists(variables, max_size=2),
            data_bytes=st.integers(0, 2**53),
        )

    return st.builds(Context, head=numbers.flatmap(about), data=data)


def events(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[StoredEvent]:
    return st.builds(
        StoredEvent,
        seq=numbers,
        event=words,
        data=objects,
        at=times,
        image_id=st.none() | st.just(ImageId("i1")),
    )


def _with_history(found: SessionContents) -> SessionContents:
    """FOUND with a head that knows how long the history is."""
    last = max((each.number for each in found.evaluations), default=found.head.evaluations)
    return replace(found, head=msgspec.structs.replace(found.head, evaluations=last))


contents = st.builds(
    SessionContents,
    number=st.integers(1, 2**53),
    head=heads(identifiers.map(SessionId), identifiers.map(ClientId)),
    sections=section_dicts,
    evaluations=st.lists(
        evaluations(st.integers(1, 100)), max_size=3, unique_by=lambda each: each.number
    ).map(lambda found: sorted(found, key=lambda each: each.number)),
    contexts=st.lists(
        contexts(st.integers(-1, 4)), max_size=3, unique_by=lambda each: each.head.number
    ),
).map(_with_history)
