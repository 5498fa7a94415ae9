"""A session as bytes: what is in a session file, and what is exported and imported.

One sealed blob of the whole session, with the sections as the client's own JSON. Bytes from anyone
may be decoded: nothing is unpacked before its size is known, or used before it was checked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from protocol.limits import SESSION_BYTES
from protocol.requests import JsonText
from storage.document import Context, Evaluation, SessionHead, StoredSection
from storage.sealed import HEADER_BYTES, PAYLOAD_BYTES, Binding, seal, unseal
from storage.session_checks import check_session
from storage.store import Damaged, SessionContents

FILE_BYTES: Final = PAYLOAD_BYTES + HEADER_BYTES
"""No session is longer than that as bytes."""

IMPORT_BYTES: Final = SESSION_BYTES + 16 * 1024 * 1024
"""What bytes from anyone may unpack to: decoded, JSON may take twenty times its length."""

BINDING: Final[Binding] = ("session file", 1)


class _Form(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the JSON looks like; releases before contexts wrote none."""

    number: int
    head: SessionHead
    sections: dict[StoredSection, msgspec.Raw]
    evaluations: list[Evaluation]
    contexts: list[Context] = []


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Form).decode


def encode_session(contents: SessionContents) -> bytes:
    """CONTENTS as bytes. Raises `ValueError` when they are more than a blob may hold."""
    form = _Form(
        number=contents.number,
        head=contents.head,
        sections={name: msgspec.Raw(text) for name, text in contents.sections.items()},
        evaluations=contents.evaluations,
        contexts=contents.contexts,
    )
    return seal(_encode(form), BINDING)


def decode_session(
    data: bytes, most: int = IMPORT_BYTES, what: object = "The session file"
) -> SessionContents:
    """The session in DATA, which may be from anyone and unpack to MOST bytes.

    Everything in it has been checked, except whether it belongs to who brought it. The head counts
    at least as far as what is there, so that nothing that comes later takes its place. Raises
    `Damaged`, saying what is wrong with WHAT.
    """
    try:
        form = _decode(unseal(data, BINDING, most))
    except Damaged as error:
        raise Damaged(f"{what} is damaged, or no session file: {error}") from None
    except RecursionError:
        raise Damaged(f"{what} holds no session: it is nested too deep.") from None
    except ValueError as error:  # msgspec's errors and UnicodeDecodeError
        raise Damaged(f"{what} holds no session that this version knows: {error}.") from None
    sections = {name: JsonText(bytes(text)) for name, text in form.sections.items()}
    contents = SessionContents(form.number, form.head, sections, form.evaluations, form.contexts)
    try:
        check_session(contents)
    except Damaged as error:
        raise Damaged(f"{what} holds no session that can be: {error}") from None
    return replace(contents, head=_counting(contents))


def _counting(contents: SessionContents) -> SessionHead:
    head = contents.head
    last = contents.evaluations[-1].number if contents.evaluations else 0
    newest = max((context.head.number for context in contents.contexts), default=0)
    if last <= head.evaluations and newest <= head.contexts:
        return head
    return msgspec.structs.replace(
        head, evaluations=max(last, head.evaluations), contexts=max(newest, head.contexts)
    )
