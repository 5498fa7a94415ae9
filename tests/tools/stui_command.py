"""The `stui` command in the test's own process."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from click.testing import CliRunner, Result

from tools.cli.command import cli
from tools.client.client import Client
from tools.exit_codes import ExitCode

Stui = Callable[..., Result]


def stui_for(service: str, client: Client) -> Stui:
    """Runs `stui ARGUMENTS` on a service, as a client of the test's own."""

    def run(*arguments: str, text: bytes | None = None, **variables: str) -> Result:
        given = {"STUI_ENDPOINT": service, "STUI_CLIENT": client.client_id, **variables}
        return CliRunner().invoke(cli, arguments, input=text, env=given)

    return run


def output(result: Result) -> str:
    """What a command printed that has succeeded and complained of nothing."""
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    return result.stdout


def as_json(result: Result) -> Any:
    """The same for one that prints JSON."""
    return json.loads(output(result))
