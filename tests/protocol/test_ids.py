"""Which identifiers are taken, and which request ids are unique by construction."""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Callable

import pytest

from protocol.errors import InvalidParameter
from protocol.ids import is_unique, new_session_id
from protocol.requests import CreateSession, GetSessionInfo, parse

NANOID = string.ascii_letters + string.digits + "_-"

UNIQUE_FORMS: dict[str, Callable[[], str]] = {
    "uuid4": lambda: str(uuid.uuid4()),
    "uuid4 in capitals": lambda: str(uuid.uuid4()).upper(),
    "uuid4 without dashes": lambda: uuid.uuid4().hex,
    "uuid4 as URN": lambda: uuid.uuid4().urn,
    "uuid5": lambda: str(uuid.uuid5(uuid.NAMESPACE_DNS, secrets.token_hex(4))),
    "token_hex(16)": lambda: secrets.token_hex(16),
    "token_urlsafe(32)": lambda: secrets.token_urlsafe(32),
}
NEARLY_ALWAYS_UNIQUE: dict[str, Callable[[], str]] = {
    "token_urlsafe(16)": lambda: secrets.token_urlsafe(16),
    "nanoid": lambda: "".join(secrets.choice(NANOID) for _ in range(21)),
    "a token after a word": lambda: f"request-{secrets.token_urlsafe(16)}",
}

NOT_UNIQUE = [
    "",
    "7",
    "create-001",
    "client-request-number-00000001",
    "create-session-request-000001",
    "session_1_1735567800_1234567890",
    "createSessionRequestNumber1",
    "UpdateSessionStateRequest42",
    "EVALUATE_IN_WORKSPACE_REQUEST_12",
    "Thread-12-worker-3-request-0000001",
    "STUI-Client-Request-0000001",
    "supercalifragilisticexpialidocious",
    "a" * 40,
    "0" * 40,
    "12345678901234567890123456",
    "2025-01-20-10-30-00-000001",
    "00000000-0000-0000-0000-000000000000",
    "00000000-0000-4000-8000-000000000012",
    "00000000000000000000000000000042",
    "one two three four five six seven",
    f"{uuid.UUID(int=2**127 + 12345)} ",
    "aB3-xY9_kQ2",
]

SAMPLES = 3000


@pytest.mark.parametrize("make", UNIQUE_FORMS.values(), ids=UNIQUE_FORMS.keys())
def test_uuids_and_long_tokens_are_unique(make: Callable[[], str]) -> None:
    assert [made for made in (make() for _ in range(SAMPLES)) if not is_unique(made)] == []


@pytest.mark.parametrize("make", NEARLY_ALWAYS_UNIQUE.values(), ids=NEARLY_ALWAYS_UNIQUE.keys())
def test_of_short_tokens_hardly_one_is_missed(make: Callable[[], str]) -> None:
    # One in 10,000 is expected to look like words: six of 3,000 happen once in 10**6 runs.
    assert sum(not is_unique(make()) for _ in range(SAMPLES)) <= 5


@pytest.mark.parametrize("counted", NOT_UNIQUE)
def test_words_and_counters_only_correlate(counted: str) -> None:
    assert not is_unique(counted)


@pytest.mark.parametrize("value", [None, 7, 1.5, 2**63, True])
def test_what_is_no_string_only_correlates(value: object) -> None:
    assert not is_unique(value)


@pytest.mark.parametrize("form", ["a", "0", "client_001", "a.b:c@d+e-f", "x" * 128])
def test_identifiers_of_the_documented_form_are_taken(form: str) -> None:
    assert parse(CreateSession, {"client_id": form}) == CreateSession(client_id=form)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "form", ["", "x" * 129, " a", "a ", "a\n", "_a", "-a", "a/b", "..", "é", "a\0b", "a\u202eb"]
)
def test_other_identifiers_are_refused_with_the_form(form: str) -> None:
    with pytest.raises(InvalidParameter, match="Expected 1 to 128 characters, a letter or digit"):
        parse(CreateSession, {"client_id": form})


def test_a_new_session_id_is_secret_and_well_formed() -> None:
    made = {new_session_id() for _ in range(100)}

    assert len(made) == 100
    assert all(len(session_id) == len("session_") + 32 for session_id in made)
    for session_id in made:
        assert parse(GetSessionInfo, {"session_id": session_id})
