"""The top of the `stui` command: what there is, and where its parts are."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click
from click.shell_completion import get_completion_class

from tools import exit_codes
from tools.cli import (
    backup,
    contexts,
    doctor,
    evaluation,
    events,
    failpoints,
    image_sessions,
    images,
    portable,
    preferences,
    programs,
    recover,
    sessions,
    status,
    trash,
)
from tools.cli.failure import in_a_line
from tools.cli.text import block

_NAME = "stui"


class _InALine(click.Group):
    """Commands that say in one line what the system refused them, whatever it was."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with in_a_line():
            return super().invoke(ctx)


@click.group(
    cls=_InALine,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\n\n".join(
        (
            block(
                "A first session, in three terminals:",
                "stui image smalltalk",
                "stui serve --image amber=tcp://127.0.0.1:5556",
                "stui eval '3 + 4' --session \"$(stui sessions create --name first)\"",
            ),
            block("And what is there:", "stui status", "stui sessions list", "stui images list"),
            exit_codes.TEXT,
        )
    ),
)
@click.version_option(package_name="stui", prog_name=_NAME, message="%(prog)s %(version)s")
def cli() -> None:
    """Sessions with live images that survive anything.

    `stui COMMAND --help` tells more about each. Whoever can connect to a backend or an image runs
    code as you: they listen on this machine alone unless told otherwise.
    """


@click.command(
    "completion",
    epilog=block(
        "Examples:",
        'eval "$(stui completion bash)"        for now; in ~/.bashrc for always',
        'eval "$(stui completion zsh)"         the same, in ~/.zshrc',
        "stui completion fish > ~/.config/fish/completions/stui.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes this command in SHELL."""
    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - click knows all three
        raise click.UsageError(f"click has no completion for {shell}.")
    click.echo(kind(cli, {}, _NAME, "_STUI_COMPLETE").source())


for command in (
    contexts.contexts,
    contexts.save,
    contexts.load,
    contexts.summary,
    contexts.clear,
    portable.export_session,
    portable.import_session,
    portable.fork,
    recover.recover,
    trash.trash,
):
    sessions.sessions.add_command(command)

for command in (
    image_sessions.image_sessions,
    image_sessions.stats,
    image_sessions.cleanup,
    image_sessions.switch,
):
    images.images.add_command(command)

for command in (
    programs.serve,
    programs.image,
    programs.demo,
    evaluation.evaluate,
    events.events,
    sessions.sessions,
    images.images,
    preferences.preferences,
    backup.backup,
    doctor.doctor,
    status.status,
    failpoints.failpoints,
    completion,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command with this process's arguments, and exit."""
    sys.exit(cli(prog_name=_NAME))
