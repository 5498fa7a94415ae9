"""`stui backup …`: on a data directory, whether a backend runs on it or not."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec

import click
import msgspec

from tools.cli.failure import Failure
from tools.cli.text import block, duration, one_line, size, table

if TYPE_CHECKING:
    from tools.backups import Place

P = ParamSpec("P")

_PATH: Final = click.Path(path_type=Path)
_TOLD_EVERY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where the data is, and how a command shows what it did."""

    place: Place
    as_json: bool

    def show(self, value: object, text: str) -> None:
        """Print VALUE as JSON where that was asked for, else TEXT."""
        if self.as_json:
            # File names that are no UTF-8 are in it, as Python reads them again.
            text = json.dumps(msgspec.to_builtins(value, enc_hook=str), indent=2)
        click.echo(text)


def keeps() -> Callable[[Callable[Concatenate[Keeping, P], None]], Callable[..., None]]:
    """Give a command a `Keeping` and the options for it, and end it well where it fails."""

    def decorate(command: Callable[Concatenate[Keeping, P], None]) -> Callable[..., None]:
        @click.option(
            "--data-dir", type=_PATH, help="Where sessions are kept. [default: the user's own]"
        )
        @click.option(
            "--config",
            type=_PATH,
            help="The backend's settings file: it may name both directories. [env: STUI_CONFIG]",
        )
        @click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
        @functools.wraps(command)
        def keeping(
            data_dir: Path | None,
            config: Path | None,
            as_json: bool,
            *args: P.args,
            **parameters: P.kwargs,
        ) -> None:
            from tools.backups import CannotDo, place  # noqa: PLC0415 - imports the storage

            try:
                command(Keeping(place(config, data_dir), as_json), *args, **parameters)
            except CannotDo as problem:
                raise Failure(str(problem)) from None

        return keeping

    return decorate


def told() -> Callable[[str, int, int], None]:
    """Progress on standard error, once a second, where what takes longer than that is done."""
    last = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _TOLD_EVERY:
            last = now
            of = f" of {total} ({100 * done // total} %)" if total else ""
            print(f"stui: {what}: {done}{of}", file=sys.stderr)

    return tell


@click.group()
def backup() -> None:
    """Make, list, verify and restore backups of a backend's data.

    The backend makes them by itself, `backup_interval`; these commands work on its data directory,
    on the same machine, whether it runs or not. Only `restore` needs it stopped.
    """


@backup.command(epilog=block("Example:", "stui backup create --data-dir ~/stui"))
@keeps()
def create(keeping: Keeping) -> None:
    """Make a backup, verify it by reading all of it, and print its file.

    The data is read only, and a backend that runs is not held up. Those made by hand are never
    removed by the backend.
    """
    from tools.backups import backup_fields, create  # noqa: PLC0415 - imports the storage

    made = create(keeping.place, told())
    keeping.show(backup_fields(made), str(made.path))
    for session_id in made.manifest.damaged:
        click.echo(f"stui: {session_id} is damaged in the database, and so in it", err=True)


@backup.command("list")
@keeps()
def list_backups(keeping: Keeping) -> None:
    """List the backups, newest first."""
    from tools.backups import backup_fields, listed  # noqa: PLC0415 - imports the storage

    found, unusable = listed(keeping.place)
    rows = [
        (
            each.name,
            each.manifest.by,
            each.manifest.sessions,
            len(each.manifest.damaged),
            size(each.manifest.size),
            duration(each.manifest.running_time),
        )
        for each in found
    ]
    titles = ("BACKUP", "BY", "SESSIONS", "DAMAGED", "SIZE", "RUNNING TIME")
    nothing = f"there are no backups in {keeping.place.backups}"
    value = {
        "backups": [backup_fields(each) for each in found],
        "unusable": [{"file": str(path), "problem": problem} for path, problem in unusable],
    }
    keeping.show(value, table(titles, rows) if rows else nothing)
    if not keeping.as_json:
        for _, problem in unusable:
            click.echo(f"stui: {one_line(problem)}", err=True)


@backup.command(
    epilog=block("Examples:", "stui backup verify", "stui backup verify /mnt/a.stui-backup")
)
@click.argument("backup_name", metavar="[BACKUP]", required=False)
@keeps()
def verify(keeping: Keeping, backup_name: str | None) -> None:
    """Read all of a BACKUP, a name or a file; by default the newest.

    Exits with 1 where it must not be used, or a session in it is damaged.
    """
    from tools.backups import backup_fields, named, verified  # noqa: PLC0415 - imports the storage

    made, problems = verified(named(keeping.place, backup_name), told())
    count = made.manifest.sessions
    well = f"{made.name} is whole: {count} session{'' if count == 1 else 's'}"
    keeping.show({**backup_fields(made), "problems": problems}, well if not problems else made.name)
    if problems:
        raise Failure(f"{made.name} has damage: {'; '.join(problems)}")


@backup.command(
    epilog=block(
        "Examples:",
        "stui backup restore --force",
        "stui backup restore 20260131T120000.000Z --data-dir ~/stui --force",
        "stui backup restore from-elsewhere.stui-backup --data-dir ~/new",
    )
)
@click.argument("backup_name", metavar="[BACKUP]", required=False)
@click.option("--force", is_flag=True, help="Set aside what is there; it is not removed.")
@click.option(
    "--newest-files",
    is_flag=True,
    help="Take the sessions whose session files are newer from these.",
)
@keeps()
def restore(keeping: Keeping, backup_name: str | None, *, force: bool, newest_files: bool) -> None:
    """Put a BACKUP, a name or a file, in the place of the data; by default the newest.

    The backend must be stopped. All of what is there, session files too, is set aside in
    `set-aside` with --force, and nothing is done without it. Sessions are as in the backup, and
    those whose session files are newer are named; --newest-files takes these.
    """
    from tools.backups import named, restored  # noqa: PLC0415 - imports the storage

    chosen = named(keeping.place, backup_name)
    report = restored(keeping.place, chosen, told(), newest_files=newest_files, force=force)
    of_files = sum(each.source != f"backup {chosen.name}" for each in report.sessions)
    lines = [_as_in(len(report.sessions) - of_files, chosen.name)]
    lines.extend([_as_in(of_files, "their files")] if of_files else [])
    if report.set_aside:
        lines.append(f"what was there is in {report.set_aside}")
    lines.extend(f"missing: {each.session_id}" for each in report.missing)
    keeping.show(report, "\n".join([*lines, *report.findings]))


def _as_in(count: int, source: str) -> str:
    return f"{count} {'session is' if count == 1 else 'sessions are'} as in {source}"
