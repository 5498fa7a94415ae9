"""Identifiers: their types, their documented forms, and how new ones are made."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Final, NewType

from msgspec import Meta

ClientId = NewType("ClientId", str)
SessionId = NewType("SessionId", str)
ImageId = NewType("ImageId", str)
ObjectId = NewType("ObjectId", str)

IDENTIFIER_FORM: Final = (
    "1 to 128 characters, a letter or digit first, then letters, digits and _ . : @ + -"
)
_IDENTIFIER = Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,127}\Z")

WireClientId = Annotated[ClientId, _IDENTIFIER]
WireSessionId = Annotated[SessionId, _IDENTIFIER]
WireImageId = Annotated[ImageId, _IDENTIFIER]
"""An image's id, or a unique name in its place."""

_HEX = re.compile(r"[0-9a-f-]{22,}\Z")
_HEX_LETTER_AND_DIGIT = re.compile(r"(?=.*[a-f]).*[0-9]")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{21,}\Z")
_MIXED_CASE = re.compile(r"(?=.*[a-z]).*[A-Z]")
_IN_WORDS = re.compile(r"(?:[A-Z]?[a-z]{2,}|[A-Z]{2,}|[0-9]+|[_-])+\Z")
_LONG_RUN = re.compile(r"[a-z]{4,}|0{3,}")
_CLASS_CHANGE = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[a-z0-9])|(?<=[0-9])(?=[A-Za-z])")


def new_session_id() -> SessionId:
    """A session id of 128 random bits: whoever holds it may use the session."""
    return SessionId(f"session_{secrets.token_hex(16)}")


def is_unique(request_id: object) -> bool:
    """Whether REQUEST_ID is unique by construction, so that its outcome may be remembered.

    That is a UUID or 22 or more hexadecimal digits, unless they count up, or 21 or more characters
    of base64url that look random. Words and counters (`create-session-request-000001`) do not, and
    only correlate. Of random UUIDs and 32-digit hexadecimal tokens fewer than one in a million is
    missed, of 22-character base64url tokens one in 10,000. Tokens of one case that are not
    hexadecimal (ULIDs) are hard to tell from words, and one in 30 is missed.
    """
    if not isinstance(request_id, str):
        return False
    token = request_id.removeprefix("urn:uuid:")
    if _HEX.match(token.lower()):
        return _is_random_hex(token.lower())
    if not _TOKEN.match(token):
        return False
    if _MIXED_CASE.match(token):
        return not _is_in_words(token)
    return len(_CLASS_CHANGE.findall(token)) >= 6


def _is_random_hex(token: str) -> bool:
    """A counter written as a UUID has few different digits, a date has no letters."""
    return len(set(token) - {"-"}) > 6 and bool(_HEX_LETTER_AND_DIGIT.match(token))


def _is_in_words(token: str) -> bool:
    """Words, abbreviations and numbers alone, and most of it in longer words or zeros."""
    in_long_runs = sum(map(len, _LONG_RUN.findall(token)))
    return bool(_IN_WORDS.match(token)) and in_long_runs >= 0.6 * len(token)
