"""The sessions on images: commands of `stui images`."""

from __future__ import annotations

import click
from msgspec import UNSET

from protocol.replies import ImageCleanup, ImageSession
from tools.cli.asking import Asking, asks
from tools.cli.contexts import report_text
from tools.cli.failure import Failure
from tools.cli.numbers import FiniteRange
from tools.cli.text import block, one_line, record, size, table

_TITLES = ("SESSION", "NAME", "CLIENT", "STATUS", "IMAGE", "CONNECTION", "SIZE", "LAST MODIFIED")


@click.command("sessions")
@click.argument("image", required=False)
@click.option("--no-orphaned", is_flag=True, help="Without those whose image is gone.")
@asks()
def image_sessions(asking: Asking, image: str | None, no_orphaned: bool) -> None:
    """List everybody's open sessions on an image, or on all."""
    reply = asking.client.list_image_sessions(image, include_orphaned=not no_orphaned)
    rows = [_row(session) for session in reply.sessions]
    counts = f"{reply.total_count} in all, {reply.orphaned_count} orphaned"
    asking.show(reply, f"{table(_TITLES, rows)}\n\n{counts}" if rows else counts)


@click.command()
@click.argument("image")
@asks()
def stats(asking: Asking, image: str) -> None:
    """Count the sessions on an image."""
    reply = asking.client.get_image_session_stats(image)
    text = record(
        {
            "image": reply.image_id,
            "sessions": reply.total_sessions,
            "  active": reply.active_sessions,
            "  detached": reply.detached_sessions,
            "  orphaned": reply.orphaned_sessions,
            "  expired": reply.expired_sessions,
            "closed": reply.closed_sessions,
            "trashed": reply.trashed_sessions,
            "size": size(reply.total_context_size),
            "last activity": reply.last_activity,
        }
    )
    asking.show(reply, text)


@click.command(
    epilog=block(
        "Examples:",
        "stui images cleanup amber --dry-run",
        "stui images cleanup amber --orphaned --unused-for 24",
    )
)
@click.argument("image")
@click.option("--orphaned", is_flag=True, help="Only those whose image is gone.")
@click.option("--expired", is_flag=True, help="Only those that nobody used for their timeout.")
@click.option(
    "--unused-for",
    type=FiniteRange(min=0),
    metavar="HOURS",
    help="Spare those used within so many hours.",
)
@click.option("--force", is_flag=True, help="Those in use too.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@asks()
def cleanup(
    asking: Asking,
    image: str,
    *,
    orphaned: bool,
    expired: bool,
    unused_for: float | None,
    force: bool,
    dry_run: bool,
) -> None:
    """Put sessions on an image that nobody needs into the trash.

    These are the orphaned and the expired ones, unless options say which. `stui sessions trash`
    shows them, and takes them out again.
    """
    either = orphaned or expired
    reply = asking.client.cleanup_image_sessions(
        image,
        cleanup_orphaned=orphaned if either else None,
        cleanup_expired=expired if either else None,
        max_age_hours=unused_for,
        force=force,
        dry_run=dry_run,
    )
    asking.show(reply, _cleanup_text(reply))


@click.command(
    epilog=block(
        "Examples:",
        "stui images switch py --session first",
        "stui images switch py --session first --without-context",
    )
)
@click.argument("image")
@click.option("--session", required=True, help="Its id, the start of it, or its name.")
@click.option("--without-context", is_flag=True, help="Begin with an empty workspace there.")
@asks()
def switch(asking: Asking, image: str, session: str, without_context: bool) -> None:
    """Move a session to IMAGE, with what of its workspace that image can take."""
    session_id = asking.session_id(session)
    moved = asking.client.switch_image_context(
        image, session_id=session_id, preserve_context=not without_context
    )
    lines = []
    for each in moved:
        if each.error is not UNSET:
            raise Failure(f"{each.session_id} has not moved: {each.error}")
        lines.append(f"{each.session_id} is on {each.image_id} now")
        if each.restore_report is not UNSET:
            lines.append(report_text(each.restore_report))
    asking.show({"sessions": moved}, "\n".join(lines) or "nothing had to move")


def _row(session: ImageSession) -> tuple[object, ...]:
    return (
        session.session_id,
        session.name or "",
        session.client_id,
        "expired" if session.is_expired else session.status,
        "" if session.image_id is UNSET else session.image_id,
        session.connection_status,
        size(session.size_bytes),
        session.last_modified,
    )


def _cleanup_text(reply: ImageCleanup) -> str:
    rows = [
        *((session, "trash", reason) for session, reason in reply.cleanup_details.items()),
        *((session, "spare", reason) for session, reason in reply.protected.items()),
    ]
    cleaned = "would go to the trash" if reply.dry_run else "are in the trash now"
    remain = "would remain" if reply.dry_run else "remain"
    counts = one_line(f"{reply.sessions_cleaned} {cleaned}, {reply.sessions_remaining} {remain}")
    return f"{table(('SESSION', '', 'REASON'), rows)}\n\n{counts}" if rows else counts
