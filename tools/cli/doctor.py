"""`stui doctor`: what is wrong with a site, and what to do about it."""

from __future__ import annotations

import logging
import os
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from tools.cli.backup import told
from tools.cli.failure import Failure, in_a_line
from tools.cli.numbers import SECONDS
from tools.cli.text import block, one_line, terminal_width
from tools.doctor.findings import CHECKS, LEVELS, Checked, Level, worst
from tools.exit_codes import ExitCode

if TYPE_CHECKING:
    from tools.doctor.repairing import Repaired
    from tools.doctor.site import Site

_PATH: Final = click.Path(path_type=Path, readable=False)
"""What cannot be read is a finding, and no wrong usage."""
_NARROW: Final = 60
_INDENT: Final = max(map(len, LEVELS)) + max(map(len, CHECKS)) + 4
_CODES: Final[dict[Level, ExitCode]] = {
    "ok": ExitCode.DONE,
    "note": ExitCode.DONE,
    "warning": ExitCode.FAILED,
    "error": ExitCode.CANNOT_START,
}


@click.command(
    epilog="\n\n".join(
        (
            block("Checks:", ", ".join(CHECKS[:7]) + ",", ", ".join(CHECKS[7:])),
            block(
                "Examples:",
                "stui doctor",
                "stui doctor --only database --only backups",
                "stui doctor --json | jq '.checks[].findings[] | select(.level != \"ok\")'",
                "stui doctor --repair",
            ),
            block(
                "Exit codes for monitoring:",
                "0 all is well, or there are notes   1 warnings   2 errors, or it could not begin",
            ),
        )
    )
)
@click.option("--data-dir", type=_PATH, help="Where sessions are kept. [default: the user's own]")
@click.option("--config", type=_PATH, help="The backend's settings file. [env: STUI_CONFIG]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option(
    "--only",
    multiple=True,
    metavar="CHECK",
    type=click.Choice(CHECKS),
    help="Only this check; may be repeated.",
)
@click.option(
    "--within",
    type=SECONDS,
    metavar="SECONDS",
    help="What each check may take. [default: 20, and 600 for those that read all data]",
)
@click.option(
    "--repair", is_flag=True, help="Mend what can be mended. The backend must be stopped."
)
@click.option("--yes", is_flag=True, help="Do not ask before something is changed.")
def doctor(
    *,
    data_dir: Path | None,
    config: Path | None,
    as_json: bool,
    only: tuple[str, ...],
    within: float | None,
    repair: bool,
    yes: bool,
) -> None:
    """Say what is wrong with a backend's settings, data and surroundings, and what to do.

    It works whether the backend runs or not, and only reads. Run it on the same machine, as the
    same user, with the same settings.

    With --repair, what is damaged is brought back or set aside, never deleted: it says what it is
    going to do and asks, or does it with --yes.
    """
    from tools.config import BadSettings  # noqa: PLC0415 - imports the storage
    from tools.doctor.repairing import CannotRepair, refuse_unless_ours  # noqa: PLC0415 - storage
    from tools.doctor.site import find_site  # noqa: PLC0415 - imports the storage

    logging.getLogger("storage").addHandler(logging.NullHandler())  # findings tell it
    try:
        with in_a_line(ExitCode.CANNOT_START):
            site = find_site(config, data_dir, dict(os.environ))
            showing = _Showing(site, only, within, as_json)
            if repair:
                refuse_unless_ours(site)
            checked = showing.examine()
            repaired = None
            if repair:
                repaired = _repair(site, checked, ask=not yes, as_json=as_json)
                if repaired is not None:
                    checked = showing.examine()
    except (CannotRepair, BadSettings) as problem:
        raise Failure(str(problem), ExitCode.CANNOT_START) from None
    level = worst([finding for each in checked for finding in each.findings])
    if repaired is not None and repaired.failed:
        level = "error"
    showing.end(level, checked, repaired)
    sys.exit(_CODES[level])


class _Showing:
    """Runs the checks, and shows what they find: to people at once, to programs at the end."""

    def __init__(
        self, site: Site, only: tuple[str, ...], within: float | None, as_json: bool
    ) -> None:
        self._site, self._only, self._within, self._as_json = site, only, within, as_json

    def examine(self) -> list[Checked]:
        from tools.doctor.checks import chosen  # noqa: PLC0415 - imports the storage
        from tools.doctor.examination import examine  # noqa: PLC0415 - as above

        found = []
        for each in examine(self._site, chosen(self._only), self._within, told()):
            found.append(each)
            if not self._as_json:
                click.echo("\n".join(lines(each, terminal_width())))
        return found

    def end(self, level: Level, checked: Sequence[Checked], repaired: Repaired | None) -> None:
        if not self._as_json:
            click.echo(f"\n{_summary(checked)}")
            return
        value = {
            "level": level,
            "data_dir": self._site.settings.data_dir,
            "checks": [{**msgspec.structs.asdict(each), "level": each.level} for each in checked],
            "repair": repaired,
        }
        click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def _repair(site: Site, checked: Iterable[Checked], *, ask: bool, as_json: bool) -> Repaired | None:
    """Do what --repair does about what was found; None where there is nothing to do."""
    from tools.doctor.repairing import PLANS, planned, repair  # noqa: PLC0415 - imports storage

    mendings = planned(checked)
    if not mendings:
        click.echo("\nThere is nothing that --repair could do.", err=as_json)
        return None
    click.echo("\nThis is going to be done:", err=as_json)
    for mending in mendings:
        click.echo(f"  - {PLANS[mending]}", err=as_json)
    if ask:
        if as_json or not can_answer():
            raise Failure(
                "Nothing was changed: --repair asks before it does, and nobody can answer here. "
                "Say --yes to have it done.",
                ExitCode.CANNOT_START,
            )
        if not click.confirm("Do it?"):
            raise Failure("Nothing was changed.", ExitCode.CANNOT_START)
    repaired = repair(site, mendings, time.time(), told())
    for line in repaired.done:
        click.echo(f"done: {one_line(line)}", err=as_json)
    for line in repaired.failed:
        click.echo(f"failed: {one_line(line)}", err=as_json)
    click.echo(f"The report is {repaired.file}\n", err=as_json)
    return repaired


def can_answer() -> bool:
    """Whether a person is there to be asked."""
    return sys.stdin.isatty()


def lines(checked: Checked, width: int | None) -> list[str]:
    """What a check found, as people read it; lines are wrapped to WIDTH."""
    shown = []
    for finding in checked.findings:
        beginning = f"{finding.level:<7}  {checked.check:<{_INDENT - 11}}  "
        shown += _wrapped(beginning, " " * _INDENT, finding.what, width)
        if finding.advice and finding.level != "ok":
            shown += _wrapped(" " * _INDENT + "→ ", " " * (_INDENT + 2), finding.advice, width)
    return shown


def _wrapped(first: str, later: str, text: str, width: int | None) -> list[str]:
    text = one_line(text)
    if width is None or width < _NARROW:
        return [first + text]
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(checked: Sequence[Checked]) -> str:
    levels = [finding.level for each in checked for finding in each.findings]
    counts = [
        f"{levels.count(level)} {level}{'' if levels.count(level) == 1 else 's'}"
        for level in reversed(LEVELS[1:])
        if level in levels
    ]
    many = f"{len(checked)} check{'' if len(checked) == 1 else 's'}"
    return f"{many}: {', '.join(counts) or 'all is well'}"
