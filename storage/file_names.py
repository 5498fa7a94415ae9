"""Identifiers as file names that every file system takes, and tells apart.

Lower-case letters, digits and `_ . @ + -` stand for themselves, a capital is `^` and its small
letter (Windows and macOS do not tell `A` from `a`), all else is `%` and two hex digits for each
byte of UTF-8. So `DevClient:7` becomes `^dev^client%3a7`. A name that would be too long ends in `~`
and a digest; from that one the identifier cannot be read back.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

_LONGEST: Final = 200
"""File systems take 255 bytes, of which endings need some."""

_KEPT_OF_LONG: Final = 160
_DIGEST_BYTES: Final = 16
_NOT_PLAIN = re.compile(r"[^a-z0-9_.@+-]")
# Windows keeps these for devices, with any ending, and drops a dot at the end of a name.
_NOT_ALLOWED = re.compile(r"\A(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|\Z)|\A\.|\.\Z")
_ESCAPED = re.compile(r"\^([a-z])|((?:%[0-9a-f]{2})+)")
_NAME = re.compile(r"(?:[a-z0-9_.@+-]|\^[a-z]|%[0-9a-f]{2})+\Z")


def file_name(identifier: str) -> str:
    """The name for IDENTIFIER, of at most 200 characters; no two identifiers share one."""
    name = _NOT_PLAIN.sub(_escape, identifier)
    name = _NOT_ALLOWED.sub(lambda found: _percent(found[0][0]) + found[0][1:], name)
    if len(name) <= _LONGEST:
        return name
    digest = blake2b(identifier.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{name[:_KEPT_OF_LONG]}~{digest}"


def identifier(name: str) -> str | None:
    """The identifier that `file_name` made NAME from, or None where that cannot be known."""
    if not _NAME.match(name):
        return None
    try:
        found = _ESCAPED.sub(_unescape, name)
    except UnicodeDecodeError:
        return None
    return found if file_name(found) == name else None


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return f"^{character.lower()}" if "A" <= character <= "Z" else _percent(character)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode())


def _unescape(found: re.Match[str]) -> str:
    if found[1]:
        return found[1].upper()
    return bytes.fromhex(found[2].replace("%", "")).decode()
