"""Whether a session that came from outside can be one, before anything is done with it.

A session file is data, wherever it comes from: people copy, mail and make them. Types are checked
when it is decoded; here is the rest that would hurt later: names that are no names, numbers that no
column or calendar holds, JSON that no reply could carry, history out of order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from protocol.codec import Encoding, decode, encoding_of
from protocol.errors import Malformed, excerpt
from protocol.ids import IDENTIFIER_FORM, ImageId, WireImageId
from protocol.limits import ABOUT_BYTES, SESSION_BYTES, SNAPSHOT_BYTES
from storage.document import Context, Evaluation, Knowledge, SessionHead, StoredSection
from storage.missing_evaluations import MOST_MISSING, missing_in
from storage.store import Damaged, SessionContents

_MOST: Final = 2**53
"""The largest whole number that all who read JSON agree on."""

_LAST_SECOND: Final = 253_402_300_799.0
"""The end of the year 9999, the last one that a timestamp can be written for."""

_SNAPSHOT_SLOTS: Final = (0, -1)
_FROM_MINUS_ONE: Final = {"slot", "number"}
_HEAD_BYTES: Final = 4 * ABOUT_BYTES
"""Both texts about client and image, in base64, and room for the rest."""


def check_session(contents: SessionContents) -> None:
    """Raise `Damaged`, with what is wrong and what would be right, if CONTENTS cannot be."""
    _check_number("its number", contents.number, least=1)
    _check_head(contents.head)
    _check_sections("the session", contents.sections)
    _check_knowledge(contents.sections.get("knowledge"))
    _check_history(contents.evaluations)
    if (lacking := sum(map(len, missing_in(contents)))) > MOST_MISSING:
        raise Damaged(f"Its history lacks {lacking} evaluations; {MOST_MISSING} is the most.")
    _check_contexts(contents.contexts)


def _check_head(head: SessionHead) -> None:
    if (size := len(msgspec.json.encode(head))) > _HEAD_BYTES:
        raise Damaged(f"Its head has {size} bytes; {_HEAD_BYTES} is the most.")
    for name, value in (("session_id", head.session_id), ("client_id", head.client_id)):
        _check_identifier(name, value)
    _check_image("the session", head.image_id)
    for name, text in (
        ("client_info", head.client_info),
        ("image_metadata", head.image_metadata),
    ):
        if text is not None:
            _check_object(name, text)
    _check_numbers("the session", head)
    for revision in head.section_revisions.values():
        _check_number("section_revisions", revision)
    for size in head.section_bytes.values():
        _check_number("section_bytes", size)
    if head.snapshot is not None:
        _check_numbers("the snapshot", head.snapshot)
        _check_image("the snapshot", head.snapshot.image_id)
        if head.snapshot.slot not in _SNAPSHOT_SLOTS:
            raise Damaged(f"Its snapshot is in slot {head.snapshot.slot}; there are 0 and -1.")


def _check_history(evaluations: Collection[Evaluation]) -> None:
    last = 0
    for evaluation in evaluations:
        what = f"evaluation {excerpt(evaluation.number)}"
        if evaluation.number <= last:
            raise Damaged(f"In its history {what} follows {last}; they must grow, from 1.")
        last = evaluation.number
        _check_numbers(what, evaluation)
        _check_image(what, evaluation.image_id)
        if evaluation.details:
            _check_object(f"the details of {what}", _as_json(evaluation.details))


def _check_contexts(contexts: Collection[Context]) -> None:
    seen = set()
    for context in contexts:
        about, data = context.head, context.data
        what = f"context {excerpt(about.number)}"
        _check_numbers(what, about)
        if about.number in seen:
            raise Damaged(f"It has {what} twice.")
        seen.add(about.number)
        if (about.number in _SNAPSHOT_SLOTS) != (about.kind == "automatic"):
            raise Damaged(f"{what} is {about.kind}; automatic ones, and no others, are 0 and -1.")
        _check_image(what, about.image_id)
        for variable in about.variables:
            _check_number(f"the size of a variable in {what}", variable.size)
        if len(data.snapshot) > SNAPSHOT_BYTES:
            raise Damaged(
                f"The snapshot of {what} has {len(data.snapshot)} characters; "
                f"{SNAPSHOT_BYTES} is the most."
            )
        _check_sections(what, {name: bytes(text) for name, text in data.sections.items()})


def _check_sections(what: str, sections: Mapping[StoredSection, bytes]) -> None:
    total = sum(len(text) for name, text in sections.items() if name != "knowledge")
    if total > SESSION_BYTES:
        raise Damaged(f"The sections of {what} have {total} bytes; {SESSION_BYTES} is the most.")
    for name, text in sections.items():
        _check_object(f"section {name} of {what}", text)


def _check_knowledge(text: bytes | None) -> None:
    if text is None:
        return
    try:
        msgspec.json.decode(text, type=Knowledge)
    except msgspec.DecodeError as error:
        raise Damaged(f"Its section knowledge is not what the backend writes: {error}.") from None


def _check_identifier(name: str, value: str) -> None:
    try:
        msgspec.convert(value, WireImageId)  # all identifiers have this form
    except msgspec.ValidationError:
        raise Damaged(f"{name} is {excerpt(value)}; an identifier has {IDENTIFIER_FORM}.") from None


def _check_image(what: str, image_id: ImageId | None) -> None:
    if image_id is not None:
        _check_identifier(f"The image_id of {what}", image_id)


def _check_object(what: str, text: bytes) -> None:
    if encoding_of(text) is not Encoding.JSON:
        raise Damaged(f"{what} is {excerpt(text)}, and no JSON.")
    try:
        decode(text)
    except Malformed as error:
        raise Damaged(f"{what} is no JSON object that is kept: {error.message}") from None


def _as_json(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise Damaged(f"{excerpt(value)} cannot be said in JSON: {error}.") from None


def _check_numbers(what: str, struct: msgspec.Struct) -> None:
    """Check all numbers that are fields of STRUCT."""
    for name, value in msgspec.structs.asdict(struct).items():
        if type(value) is int:
            _check_number(f"{name} of {what}", value, -1 if name in _FROM_MINUS_ONE else 0)
        elif type(value) is float and not 0 <= value <= _LAST_SECOND:
            raise Damaged(f"{name} of {what} is {value}; 0 to {_LAST_SECOND} seconds are kept.")


def _check_number(what: str, value: int, least: int = 0) -> None:
    if not least <= value <= _MOST:
        raise Damaged(f"{what} is {excerpt(value)}; it must be from {least} to 2**53.")
