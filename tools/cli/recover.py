"""`stui sessions recover`: one session back from a backup or its file."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from tools.cli.backup import Keeping, keeps, told
from tools.cli.failure import Failure
from tools.cli.text import block, one_line


@click.command(
    epilog=block(
        "Examples:",
        "stui sessions recover session_0123456789abcdef0123456789abcdef",
        "stui sessions recover session_0123456789abcdef0123456789abcdef --at 2026-01-31T12:00",
    )
)
@click.argument("session_id")
@click.option(
    "--at",
    metavar="TIME",
    help="As it was then: ISO 8601, UTC unless it says otherwise. [default: the newest there is]",
)
@click.option("--new", "as_new", is_flag=True, help="A new session, although its id is free.")
@keeps()
def recover(keeping: Keeping, session_id: str, at: str | None, *, as_new: bool) -> None:
    """Bring one session back from the backups and session files, and print its id.

    A backend need not run. It is written as a `.stui` file into the data directory, from where the
    backend takes it in, at once or when it starts. Where the backend knows no session of this id,
    it comes back under it. Where it does, be it a damaged one, that one stays as it is, and what
    is recovered becomes a new session beside it, named "… (recovered)": nothing is replaced.

    Where a whole database is damaged nothing need be done: the backend brings everything back when
    it starts.
    """
    from tools.backups import recovered  # noqa: PLC0415 - imports the storage

    found = recovered(keeping.place, session_id, _moment(at), told(), as_new=as_new)
    keeping.show(found, found.session_id)
    if not keeping.as_json:
        notes = [f"it is as of {found.last_modified}, from {found.source}", *found.problems]
        if found.is_new:
            notes.append(f"it is a new session; {session_id} stays as it is")
        for note in [*notes, f"a backend takes it in from {found.file}"]:
            click.echo(f"stui: {one_line(note)}", err=True)


def _moment(text: str | None) -> float | None:
    """TEXT as seconds since the epoch; a date alone is its beginning."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(f"--at is {one_line(text)}; it must be like 2026-01-31T12:00:00Z.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
