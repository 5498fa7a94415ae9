"""Ages in what is brought back to another running time: they go on where they were.

Ages decide about deletion. Sessions of a backup of last month are as old as they were then, and not
a month older: else they would be removed as soon as they were there.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import msgspec

from storage.sqlite_rows import image_in, seal_image
from storage.store import SessionContents


def later(contents: SessionContents, seconds: float) -> SessionContents:
    """CONTENTS with all that is running time moved by SECONDS."""
    head = contents.head
    moved = msgspec.structs.replace(
        head,
        used_at=head.used_at + seconds,
        ended_at=None if head.ended_at is None else head.ended_at + seconds,
    )
    contexts = [
        msgspec.structs.replace(
            context,
            head=msgspec.structs.replace(
                context.head, kept_since=context.head.kept_since + seconds
            ),
        )
        for context in contents.contexts
    ]
    evaluations = [
        each
        if each.deadline is None
        else msgspec.structs.replace(each, deadline=each.deadline + seconds)
        for each in contents.evaluations
    ]
    return replace(contents, head=moved, contexts=contexts, evaluations=evaluations)


def let_images_be_away_later(connection: sqlite3.Connection, seconds: float) -> None:
    """Move the times since when images are away by SECONDS. Raises `Damaged`."""
    rows = connection.execute("SELECT image_id, data FROM images").fetchall()
    for image in (image_in(*row) for row in rows):
        if image.away_since is not None:
            moved = msgspec.structs.replace(image, away_since=image.away_since + seconds)
            connection.execute(
                "UPDATE images SET data = ? WHERE image_id = ?",
                (seal_image(moved), moved.image_id),
            )
