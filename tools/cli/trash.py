"""`stui sessions trash …`."""

from __future__ import annotations

import click
from msgspec import UNSET

from tools.cli.asking import Asking, asks
from tools.cli.text import block, duration, size, table

_TITLES = ("SESSION", "NAME", "CLIENT", "IMAGE", "SIZE", "LAST MODIFIED", "REMOVED IN", "REASON")


@click.group(
    epilog=block(
        "Examples:",
        "stui sessions trash list --all",
        "stui sessions trash restore session_…",
    )
)
def trash() -> None:
    """See what clean-up has taken away, and bring it back."""


@trash.command("list")
@click.option("--image", help="Those on this image: its id or name.")
@click.option("--all", "everybody", is_flag=True, help="Everybody's, not only yours.")
@asks()
def list_trash(asking: Asking, image: str | None, everybody: bool) -> None:
    """List the sessions in the trash."""
    client_id = None if everybody else asking.client_id
    found = asking.client.list_trash(client_id=client_id, image_id=image)
    rows = [
        (
            each.session_id,
            each.name or "",
            each.client_id,
            "" if each.image_id is UNSET else each.image_id,
            size(each.size_bytes),
            each.last_modified,
            duration(each.time_until_removal),
            each.reason,
        )
        for each in found
    ]
    asking.show({"sessions": found}, table(_TITLES, rows) if rows else "the trash is empty")


@trash.command()
@click.argument("session")
@asks()
def restore(asking: Asking, session: str) -> None:
    """Take a session out of the trash; it is open again then."""
    reply = asking.client.restore_session(asking.session_id(session))
    asking.show(reply, f"{reply.session_id} is open again")
