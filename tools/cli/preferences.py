"""`stui prefs …`."""

from __future__ import annotations

import sys

import click
import msgspec

from protocol.errors import InvalidParameter, excerpt
from protocol.replies import ClientPreferences
from tools.cli.asking import Asking, asks
from tools.cli.text import block, harmless


@click.group(
    "prefs",
    epilog=block(
        "Examples:",
        """stui prefs set '{"theme": "dark"}'""",
        "stui prefs get",
    ),
)
def preferences() -> None:
    """Read and write what all your sessions share."""


@preferences.command("get")
@asks()
def get_preferences(asking: Asking) -> None:
    """Print your preferences as JSON."""
    reply = asking.client.get_client_preferences()
    asking.show(reply, _text(reply))


@preferences.command("set")
@click.argument("value", metavar="JSON")
@asks()
def set_preferences(asking: Asking, value: str) -> None:
    """Replace your preferences by a JSON object; - is read from standard input."""
    text = sys.stdin.buffer.read() if value == "-" else value.encode()
    try:
        wanted = msgspec.json.decode(text, type=dict[str, object])
    except ValueError as error:  # msgspec's errors and UnicodeDecodeError
        raise InvalidParameter(
            f"{excerpt(text.decode(errors='replace'))} is no JSON object: {error}."
        ) from None
    reply = asking.client.set_client_preferences(wanted)
    asking.show(reply, _text(reply))


def _text(reply: ClientPreferences) -> str:
    return harmless(msgspec.json.format(bytes(reply.preferences), indent=2).decode())
