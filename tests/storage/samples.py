"""Documents for tests: small ones by hand, and strategies for arbitrary ones."""

from __future__ import annotations

import json
import random
import string
from typing import Any, get_args

from hypothesis import strategies as st

from protocol.ids import ClientId, ImageId, ObjectId, SessionId
from protocol.replies import EvaluationState
from protocol.requests import JsonText
from storage.document import (
    Change,
    Evaluation,
    RememberedReply,
    SessionHead,
    SessionState,
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
    own = {key: parts.pop(key) for key in ("sections", "evaluation", "reply") if key in parts}
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


times = st.floats(0, 1e12, allow_nan=False)
words = st.text(st.characters(codec="utf-8"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1e300, 1e300) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(words, json_values, max_size=4)
texts = objects.map(text)
identifiers = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,127}\Z")
section_dicts: st.SearchStrategy[dict[StoredSection, JsonText]] = st.dictionaries(
    st.sampled_from(SECTIONS), texts, max_size=3
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
    )


contents = st.builds(
    SessionContents,
    number=st.integers(1, 2**53),
    head=heads(identifiers.map(SessionId), identifiers.map(ClientId)),
    sections=section_dicts,
    evaluations=st.lists(evaluations(st.integers(1, 100)), max_size=3),
)
