"""The README's Python example is run, and its files are there."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import click

from tools.cli.command import cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs_as_it_is_printed(service: str) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    # The service has a Python image, and the example is in Smalltalk.
    program = example.replace("tcp://127.0.0.1:5555", service).replace("nil foo", "None.foo")
    output = io.StringIO()

    with contextlib.redirect_stdout(output):
        exec(compile(program, "README.md", "exec"), {})  # noqa: S102 - our own text

    seven, error, section = output.getvalue().splitlines()
    assert seven == "7"
    assert "foo" in error
    assert f"    {section}\n" in README


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)

    assert len(links) > 4
    assert [link for link in links if not (ROOT / link).exists()] == []


def commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from commands(command)
        else:
            yield command


def test_every_command_that_asks_the_backend_takes_json() -> None:
    own = {"serve", "image", "demo", "completion"}  # the programs, and what asks nobody

    without = {
        command.name
        for command in commands(cli)
        if not any("--json" in parameter.opts for parameter in command.params)
    }

    assert without == own
