"""`stui eval`."""

from __future__ import annotations

import sys

import click

from protocol.errors import InvalidParameter
from tools.cli.asking import Asking, asks
from tools.cli.failure import Failure
from tools.cli.numbers import SECONDS
from tools.cli.text import block, harmless


@click.command(
    "eval",
    epilog=block(
        "Examples:",
        "stui eval '3 + 4'",
        "stui eval 'x := OrderedCollection new' --session first",
        "stui eval - --session first --timeout 10 < script.st",
    ),
)
@click.argument("code")
@click.option("--session", help="The session: its id, the start of it, or its name.")
@click.option("--image", help="The image: its id or name. [default: the session's, or the first]")
@click.option(
    "--timeout",
    type=SECONDS,
    metavar="SECONDS",
    help="Interrupt the code after so long. [default: never]",
)
@asks(wait="--wait")
def evaluate(
    asking: Asking, code: str, session: str | None, image: str | None, timeout: float | None
) -> None:
    """Run CODE and print what it gives; CODE - is read from standard input.

    In a session, variables stay; without one, they are gone when the command ends. Ctrl-C
    interrupts the code.
    """
    if code == "-":
        code = _standard_input()
    session_id = None if session is None else asking.session_id(session)
    try:
        reply = asking.client.evaluate(code, session_id, image_id=image, timeout=timeout)
    except KeyboardInterrupt:
        asking.client.interrupt(session_id, image_id=image)
        raise Failure("interrupted") from None
    asking.show(reply, harmless(reply.result))


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise InvalidParameter(f"Standard input is no UTF-8 text: {error}.") from None
