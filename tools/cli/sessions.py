"""`stui sessions …`."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec import UNSET

from protocol.replies import EvaluationRecord, SessionInfo
from tools.cli.asking import Asking, asks
from tools.cli.contexts import report_text
from tools.cli.failure import Failure
from tools.cli.numbers import SECONDS
from tools.cli.text import block, duration, one_line, record, shortened, size, table
from tools.client.client import section

_SECTION_CHARACTERS = 200


@click.group()
def sessions() -> None:
    """Make, list, read and end sessions.

    A SESSION is named by its id, by the start of it, or by its name.
    """


@sessions.command(epilog=block("Example:", "ID=$(stui sessions create --name experiments)"))
@click.option("--name", help="What people call it.")
@click.option("--image", help="The image's id or name. [default: the one first used]")
@click.option(
    "--expires-after",
    type=SECONDS,
    metavar="SECONDS",
    help="Without use. [default: the backend's setting]",
)
@asks()
def create(
    asking: Asking, name: str | None, image: str | None, expires_after: float | None
) -> None:
    """Begin a session and print its id."""
    reply = asking.client.create_session(name=name, image_id=image, timeout=expires_after)
    asking.show(reply, reply.session_id)


@sessions.command("list")
@click.option("--all", "include_closed", is_flag=True, help="The closed ones too.")
@asks()
def list_sessions(asking: Asking, include_closed: bool) -> None:
    """List your sessions."""
    reply = asking.client.list_client_sessions(include_closed=include_closed)
    rows = [session_row(info) for info in reply.sessions]
    empty = f"{asking.client_id} has no sessions; `stui sessions create` makes one."
    asking.show(reply, table(SESSION_TITLES, rows) if rows else empty)


@sessions.command()
@click.argument("session")
@asks()
def info(asking: Asking, session: str) -> None:
    """Show a session at a glance, without using it."""
    reply = asking.client.get_session_info(asking.session_id(session))
    asking.show(reply, _info_text(reply))


@sessions.command(
    epilog=block(
        "Examples:",
        "stui sessions show first",
        "stui sessions show ~/.local/share/stui/sessions/me/session_….stui",
    )
)
@click.argument("session")
@asks()
def show(asking: Asking, session: str) -> None:
    """Show a session and its last evaluations, or the session in a `.stui` FILE.

    Nothing is changed. For a file no backend is needed.
    """
    if session.endswith((".stui", ".stui.previous")):
        _show_file(asking, Path(session))
        return
    session_id = asking.session_id(session)
    found = asking.client.get_session_info(session_id)
    history = asking.client.get_session_history(session_id, limit=20)
    text = _info_text(found)
    if history.history:
        text += "\n\n" + _history_text(history.history)
    asking.show({"info": found, "history": history}, text)


@sessions.command()
@click.argument("session")
@click.option("--since", type=click.IntRange(min=0), help="Those after this number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@asks()
def history(asking: Asking, session: str, since: int | None, limit: int) -> None:
    """Show a session's evaluations, the last ones unless --since is given."""
    reply = asking.client.get_session_history(asking.session_id(session), since=since, limit=limit)
    nothing = "nothing was evaluated" + ("" if since is None else f" after number {since}")
    asking.show(reply, _history_text(reply.history) if reply.history else nothing)


@sessions.command()
@click.argument("session")
@click.argument("name")
@asks()
def rename(asking: Asking, session: str, name: str) -> None:
    """Give a session another NAME."""
    reply = asking.client.rename_session(asking.session_id(session), name)
    asking.show(reply, f"{reply.session_id} is {one_line(name)} now")


@sessions.command()
@click.argument("session")
@asks()
def close(asking: Asking, session: str) -> None:
    """End a session; `restore` brings it back for 30 days."""
    reply = asking.client.close_session(asking.session_id(session))
    asking.show(reply, f"{reply.session_id} is closed")


@sessions.command()
@click.argument("session")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks()
def delete(asking: Asking, session: str, yes: bool) -> None:
    """Remove a session and all its data, now and for good."""
    session_id = asking.session_id(session)
    if not yes:
        click.confirm(f"Remove {session_id} and all its data for good?", abort=True, err=True)
    reply = asking.client.delete_session(session_id)
    asking.show(reply, f"{reply.session_id} is removed")


@sessions.command()
@click.argument("session")
@asks()
def restore(asking: Asking, session: str) -> None:
    """Open a session again, closed or not, and show what is there of it."""
    reply = asking.client.restore_session(asking.session_id(session))
    fields: dict[str, object] = {
        "session": reply.session_id,
        "name": reply.name or "",
        "revision": reply.revision,
        **{
            name: shortened(str(section(getattr(reply, name))), _SECTION_CHARACTERS)
            for name in ("session_state", "workspace_context", "inspector_state")
        },
    }
    text = f"{record(fields)}\n\n{report_text(reply.restore_report)}"
    if reply.history:
        text += "\n\n" + _history_text(reply.history)
    asking.show(reply, text)


SESSION_TITLES = ("SESSION", "NAME", "STATUS", "REVISION", "SIZE", "LAST MODIFIED", "EXPIRES IN")


def session_row(info: SessionInfo) -> tuple[object, ...]:
    """A session as a row below `SESSION_TITLES`."""
    return (
        info.session_id,
        info.name or "",
        "expired" if info.is_expired else info.status,
        info.revision,
        size(info.size_bytes),
        info.last_modified,
        duration(info.time_until_expiry) if info.is_active else "",
    )


def _info_text(info: SessionInfo) -> str:
    return record(
        {
            "session": info.session_id,
            "name": info.name or "",
            "client": info.client_id,
            "status": "expired" if info.is_expired else info.status,
            "image": "" if info.image_id is UNSET else info.image_id,
            "revision": info.revision,
            "size": size(info.size_bytes),
            "created": info.created_at,
            "last modified": info.last_modified,
            "expires in": duration(info.time_until_expiry) if info.is_active else "",
        }
    )


def _history_text(history: list[EvaluationRecord]) -> str:
    rows = [
        (entry.evaluation, entry.state, f"{entry.execution_time} ms", entry.code, _outcome(entry))
        for entry in history
    ]
    return table(("", "STATE", "TIME", "CODE", "RESULT"), rows)


def _outcome(entry: EvaluationRecord) -> str:
    if entry.error is UNSET:
        return entry.result
    return str(entry.error.get("message", ""))


def _show_file(asking: Asking, path: Path) -> None:
    from tools.session_files import CannotRead, describe  # noqa: PLC0415 - imports the storage

    try:
        shown = describe(path)
    except CannotRead as problem:
        raise Failure(str(problem)) from None
    asking.show(shown.as_json(), shown.as_text())
