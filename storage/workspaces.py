"""Which image holds the workspace of a session that comes from elsewhere or from before."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from protocol.requests import JsonText
from storage.document import Knowledge
from storage.store import SessionContents

_KNOWLEDGE: Final = msgspec.json.Decoder(Knowledge)


def in_no_image(contents: SessionContents) -> SessionContents:
    """CONTENTS whose workspace is to be brought back from its snapshot before it is used."""
    text = contents.sections.get("knowledge")
    if text is None:
        return contents
    known = _KNOWLEDGE.decode(text)
    earlier = [*known.earlier_epochs, known.epoch] if known.epoch else known.earlier_epochs
    known = msgspec.structs.replace(known, epoch="", earlier_epochs=earlier, report=None)
    text = JsonText(msgspec.json.encode(known))
    sizes = {**contents.head.section_bytes, "knowledge": len(text)}
    return replace(
        contents,
        head=msgspec.structs.replace(contents.head, section_bytes=sizes),
        sections={**contents.sections, "knowledge": text},
    )


def as_of_its_snapshot(contents: SessionContents) -> SessionContents:
    """CONTENTS of an earlier moment: an image that lives on may hold what came after it.

    Without a snapshot what the image holds is all that there is, and is left there.
    """
    return contents if contents.head.snapshot is None else in_no_image(contents)
