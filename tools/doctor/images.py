"""Whether the images are there, and those that the backend knows."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from actors.images.image_identity import is_made_up
from protocol.errors import excerpt
from storage.document import ImageRecord
from storage.progress import Progress
from storage.sqlite_connection import connect_read_only
from storage.sqlite_rows import images
from tools.doctor.findings import Finding, note, ok, warning
from tools.doctor.image_ping import Answer, ping_images
from tools.doctor.site import Site

_SLOW: Final = 1.0


def check(site: Site, progress: Progress) -> Iterator[Finding]:  # noqa: ARG001 - it is bounded
    """Ping the images of the settings, and those that the backend keeps connecting to."""
    kept = {record.address: record for record in _kept(site)}
    names = {address: name for name, address in site.settings.images.items()}
    wanted = {address: record.name for address, record in kept.items() if record.wanted}
    names = {**wanted, **names}
    if not names:
        yield note("there are no images", "Name them in the settings, `[images]`, or with --image.")
        return
    for address, answer in ping_images(names).items():
        yield from _of(f"{names[address]} at {address}", address, answer, kept.get(address))


def _of(image: str, address: str, answer: Answer, record: ImageRecord | None) -> Iterator[Finding]:
    if answer.ping is None:
        yield _unreachable(image, address, answer)
        return
    identity = answer.ping.image
    took = f"{answer.seconds * 1000:.0f} ms"
    busy = ", busy" if answer.ping.busy else ""
    if identity is None:
        who = f"a legacy image, up for {answer.ping.uptime:.0f} s"
    else:
        who = f"{identity.uuid} ({identity.dialect or 'unknown dialect'} {identity.version})"
    here = None if identity is None else identity.uuid
    known = None if record is None or is_made_up(record.image_id) else record.image_id
    if record is not None and here != known:
        yield warning(
            f"another image than before is {image}: {excerpt(who)}; it was "
            f"{known or 'a legacy image'}",
            "The sessions of the one before wait for it, wherever it answers. If it is gone for "
            "good, move them: `stui images switch`.",
        )
    elif answer.seconds > _SLOW:
        yield warning(
            f"{image} answered after {took} only{busy}",
            "See what its machine is busy with, and how far away it is.",
        )
    else:
        yield ok(f"{image}: {who}, answered in {took}{busy}")


def _unreachable(image: str, address: str, answer: Answer) -> Finding:
    if not answer.is_silent:
        return warning(f"{image}: {excerpt(answer.problem)}", "Correct the address.")
    refusal = _refusal(address)
    if refusal:
        return warning(
            f"{image} cannot be reached: {refusal}",
            "Start it, or correct the address in the settings; `stui images disconnect` ends it "
            "where it is not wanted any more.",
        )
    return warning(
        f"{image} does not answer, although something listens there",
        "It hangs, was stopped, or speaks another protocol: see its log, start it anew.",
    )


def _refusal(address: str) -> str:
    """Why no connection can be made; empty where one can."""
    if not address.startswith("tcp://"):
        return f"nothing answers at {address}"
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1.0):
            return ""
    except (OSError, ValueError, OverflowError) as problem:
        return str(getattr(problem, "strerror", None) or problem)


def _kept(site: Site) -> list[ImageRecord]:
    """The images in the database; none where they cannot be read, which others tell."""
    if not site.paths.database.exists():
        return []
    try:
        with closing(connect_read_only(site.paths.database)) as connection:
            return list(images(connection.execute("SELECT image_id, data FROM images")))
    except sqlite3.Error:
        return []
