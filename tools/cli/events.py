"""`stui events`."""

from __future__ import annotations

from itertools import islice

import click
import msgspec

from protocol.events import TOPICS, Event, Topic
from tools.cli.asking import Asking, asks
from tools.cli.text import block, one_line


@click.command(
    epilog=block(
        "Examples:",
        "stui events first",
        "stui events first --since 0 --json",
        "stui events first --topic evaluation",
    )
)
@click.argument("session")
@click.option(
    "--topic",
    "topics",
    multiple=True,
    type=click.Choice(TOPICS),
    help="What to hear of; may be repeated. [default: all]",
)
@click.option(
    "--since", type=click.IntRange(min=0), metavar="NUMBER", help="First those after this one."
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many. [default: never]")
@asks()
def events(
    asking: Asking,
    session: str,
    topics: tuple[Topic, ...],
    since: int | None,
    count: int | None,
) -> None:
    """Print what happens to a session, as it happens, until Ctrl-C.

    With --json each event is a line of its own.
    """
    asking.client.subscribe(topics or TOPICS, asking.session_id(session), since=since)
    try:
        for event in islice(asking.client.events(), count):
            click.echo(_line(event, as_json=asking.as_json))
    except KeyboardInterrupt:
        return


def _line(event: Event, *, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode(event).decode()
    said = "  ".join(f"{name}={value}" for name, value in event.data.items())
    return one_line(f"{event.timestamp}  {event.seq}  {event.event}  {said}").rstrip()
