"""What the commands that ask a backend have in common: options, the client, how they answer."""

from __future__ import annotations

import functools
import getpass
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, Final, ParamSpec

import click
import msgspec

from protocol.errors import InvalidParameter, StuiError
from tools.cli.failure import failure
from tools.cli.numbers import SECONDS
from tools.client.client import DEFAULT_ENDPOINT, Client

P = ParamSpec("P")

_SESSION_ID: Final = re.compile(r"session_[0-9a-f]{32}\Z")
_NOT_IN_IDENTIFIERS: Final = re.compile(r"[^A-Za-z0-9_.:@+-]")


@dataclass(frozen=True, slots=True)
class Asking:
    """What a command needs to ask, and how it shows what it got."""

    client: Client
    client_id: str
    as_json: bool

    def show(self, reply: object, text: str) -> None:
        """Print REPLY as JSON where that was asked for, else TEXT."""
        if self.as_json:
            text = msgspec.json.format(msgspec.json.encode(reply), indent=2).decode()
        click.echo(text)

    def session_id(self, named: str) -> str:
        """The id of a session that is NAMED by its id, by the start of it, or by its name.

        What fits none of this client's sessions is returned as it is: it may be another's.
        """
        if _SESSION_ID.match(named):
            return named
        listed = self.client.list_client_sessions(self.client_id, include_closed=True).sessions
        fitting = [info for info in listed if info.name == named] or [
            info
            for info in listed
            if info.session_id.removeprefix("session_").startswith(named.removeprefix("session_"))
        ]
        if len(fitting) > 1:
            raise click.UsageError(
                f"{named!r} fits {len(fitting)} sessions: "
                f"{', '.join(info.session_id for info in fitting)}."
            )
        return fitting[0].session_id if fitting else named


def login_name() -> str:
    """The user's login name, made to fit the form of client ids."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name
        name = ""
    return _NOT_IN_IDENTIFIERS.sub("-", name).lstrip("_.:@+-")[:128] or "stui"


Command = Callable[Concatenate[Asking, P], None]


def asks(*, wait: str = "--timeout") -> Callable[[Command[P]], Callable[..., None]]:
    """Give a command an `Asking` and the options for it, and end it well where it fails.

    WAIT is the name of the option that says how long to wait.
    """

    def decorate(command: Command[P]) -> Callable[..., None]:
        @click.option(
            "--endpoint",
            envvar="STUI_ENDPOINT",
            default=DEFAULT_ENDPOINT,
            show_default=True,
            show_envvar=True,
            help="Where the backend is.",
        )
        @click.option(
            "--client",
            "client_id",
            envvar="STUI_CLIENT",
            default=login_name,
            show_default="your login name",
            show_envvar=True,
            help="Whose sessions.",
        )
        @click.option(
            wait,
            "patience",
            type=SECONDS,
            default=5.0,
            show_default=True,
            metavar="SECONDS",
            help="How long to wait for a backend that is silent.",
        )
        @click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
        @functools.wraps(command)
        def asking(
            endpoint: str,
            client_id: str,
            patience: float,
            as_json: bool,
            *args: P.args,
            **parameters: P.kwargs,
        ) -> None:
            try:
                client = Client(endpoint, timeout=patience, client_id=client_id)
            except InvalidParameter as error:
                raise click.UsageError(error.message) from None
            try:
                with client:
                    command(Asking(client, client_id, as_json), *args, **parameters)
            except StuiError as error:
                raise failure(error, as_json=as_json) from None

        return asking

    return decorate
