"""`stui failpoints`: the places where a backend can be made to fail."""

from __future__ import annotations

import click
import msgspec

from storage.failpoint_names import FAILPOINTS
from tools.cli.text import block, table


@click.command(
    epilog=block(
        "Examples:",
        "STUI_FAILPOINTS='store.commit.after=kill@7' stui serve",
        "STUI_FAILPOINTS='store.commit.before=raise:ENOSPC*20;gateway.receive=raise' stui serve",
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def failpoints(*, as_json: bool) -> None:
    """List the places where a backend can be made to fail, be late, or die.

    For tests: the environment variable STUI_FAILPOINTS of `stui serve` says what is to happen at
    which of them, as NAME=ACTION[:ARGUMENT][*COUNT][@FIRST], separated by semicolons. ACTION is
    `kill` (the process), `raise[:ERRNO]`, `delay:SECONDS` or `hang`; it is done COUNT times from
    the hit with number FIRST on (1 and 1, where they are left out).
    """
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(dict(FAILPOINTS)), indent=2).decode())
    else:
        click.echo(table(("FAILPOINT", "WHAT HAPPENS THERE"), list(FAILPOINTS.items())))
