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

_UUID = re.compile(r"\A[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\Z")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,}\Z")
_CLASS_CHANGE = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[a-z0-9])|(?<=[0-9])(?=[A-Za-z])")
_RANDOM_CHANGES: Final = 6


def new_session_id() -> SessionId:
    """A session id of 128 random bits: whoever holds it may use the session."""
    return SessionId(f"session_{secrets.token_hex(16)}")


def is_unique(request_id: object) -> bool:
    """Whether REQUEST_ID is unique by construction, so that its outcome may be remembered.

    That is a UUID, or 22 or more characters of base64url that look random: at least six times a
    lower-case letter, an upper-case letter and a digit stand beside one another in turn. Words and
    counters (`create-session-request-000001`) change less often, and only correlate.
    """
    if not isinstance(request_id, str):
        return False
    if _UUID.match(request_id):
        return True
    return bool(_TOKEN.match(request_id)) and (
        len(_CLASS_CHANGE.findall(request_id)) >= _RANDOM_CHANGES
    )
