"""Sessions carried elsewhere and made of others: commands of `stui sessions`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from protocol.replies import SessionForked
from tools.cli.asking import Asking, asks
from tools.cli.failure import Failure
from tools.cli.text import block, one_line, size
from tools.client.client import session_file

_PATH = click.Path(path_type=Path, dir_okay=False, allow_dash=True)


@click.command(
    "export",
    epilog=block(
        "Examples:",
        "stui sessions export first",
        "stui sessions export first backup.stui",
        "stui sessions export first - | ssh elsewhere stui sessions import -",
    ),
)
@click.argument("session")
@click.argument("file", type=_PATH, required=False)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@asks()
def export_session(asking: Asking, session: str, file: Path | None, force: bool) -> None:
    """Write a session as a portable FILE; by default it is named after the session.

    Nothing is changed. FILE - is standard output.
    """
    reply = asking.client.export_session(asking.session_id(session))
    data = session_file(reply)
    path = file or Path(Path(reply.file_name).name)
    if str(path) == "-":
        left = memoryview(data)
        while left:  # with PYTHONUNBUFFERED a write that is interrupted is not gone on with
            left = left[sys.stdout.buffer.write(left) :]
        return
    try:
        with path.open("wb" if force else "xb") as target:
            target.write(data)
    except FileExistsError:
        raise Failure(f"{path} is there already; --force replaces it.") from None
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror or error}.") from None
    told = {"session_id": reply.session_id, "file": str(path), "size_bytes": len(data)}
    asking.show(told, f"{path} ({size(len(data))})")


@click.command("import")
@click.argument("file", type=_PATH)
@click.option("--name", help="What people call it. [default: its name in the file]")
@asks()
def import_session(asking: Asking, file: Path, name: str | None) -> None:
    """Make a new session of FILE and print its id; FILE - is standard input."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror or error}.") from None
    _show(asking, asking.client.import_session(data, name=name))


@click.command()
@click.argument("session")
@click.option("--name", help="What people call the new one.")
@asks()
def fork(asking: Asking, session: str, name: str | None) -> None:
    """Make a second session of the present state of one, and print its id."""
    _show(asking, asking.client.fork_session(asking.session_id(session), name=name))


def _show(asking: Asking, reply: SessionForked) -> None:
    asking.show(reply, reply.session_id)
    if not asking.as_json:
        for note in reply.notes:
            click.echo(f"stui: {one_line(note)}", err=True)
