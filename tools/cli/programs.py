"""The commands that run until they are told to stop: backend, images, demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
import platformdirs

from tools import exit_codes
from tools.cli.text import block
from tools.logs import LEVELS, LogFormat

_PORTS: Final = {"smalltalk": 5556, "python": 5557}
_KIND = click.Choice(list(_PORTS))
_PATH = click.Path(path_type=Path)


@click.command(
    epilog="\n\n".join(
        (
            block(
                "Examples:",
                "stui serve",
                "stui serve --image amber=tcp://127.0.0.1:5556 --data-dir ~/stui",
                "stui serve --bind tcp://127.0.0.1:7000 --bind ipc:///run/user/1000/stui",
            ),
            exit_codes.TEXT,
        )
    )
)
@click.option(
    "--bind",
    multiple=True,
    metavar="ENDPOINT",
    help="Where clients connect to; may be repeated. [default: tcp://127.0.0.1:5555]",
)
@click.option("--data-dir", type=_PATH, help="Where sessions are kept. [default: the user's own]")
@click.option(
    "--config",
    type=_PATH,
    help="The settings file. [env var: STUI_CONFIG; default: the user's own, where there is one]",
)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="NAME=ENDPOINT",
    help="An image to connect to; may be repeated.",
)
@click.option(
    "--log-format",
    envvar="STUI_LOG_FORMAT",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    show_envvar=True,
)
@click.option(
    "--log-level",
    envvar="STUI_LOG_LEVEL",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    show_envvar=True,
)
def serve(
    *,
    bind: tuple[str, ...],
    data_dir: Path | None,
    config: Path | None,
    images: tuple[str, ...],
    log_format: LogFormat,
    log_level: str,
) -> None:
    """Run the backend.

    Prints `stui: ready on ENDPOINT` when it serves requests, and logs on standard error. SIGTERM
    and SIGINT stop it in an orderly way within 5 seconds; SIGHUP has it read its settings again.

    Flags win over the environment, which wins over the settings file. Every setting of the file
    has a name in the environment as well: `data_dir` is STUI_DATA_DIR, and so on.
    """
    # Here, because a backend is much to import for those who only ask one.
    from tools.serve import serve as run  # noqa: PLC0415 - see above

    flags = {"bind": list(bind) or None, "data_dir": data_dir}
    sys.exit(run(config, flags, log_format, log_level, images))


@click.command(
    epilog=block(
        "Examples:",
        "stui image smalltalk",
        "stui image python --bind tcp://127.0.0.1:6000 --name scratch",
    )
)
@click.argument("kind", type=_KIND)
@click.option("--bind", metavar="ENDPOINT", help="[default: tcp://127.0.0.1: and 5556 or 5557]")
@click.option("--name", help="What people call it. [default: its kind]")
@click.option(
    "--state-dir",
    type=_PATH,
    help="Where its identity and its classes are kept. [default: the user's own]",
)
def image(kind: str, bind: str | None, name: str | None, state_dir: Path | None) -> None:
    """Run an image: a live Smalltalk (Amber, on Node.js) or Python.

    Prints `stui image: ready on ENDPOINT` when it answers. SIGTERM and SIGINT end it.
    """
    if kind == "smalltalk":
        from tools.images.smalltalk import run  # noqa: PLC0415 - nobody needs both
    else:
        from tools.images.python_image.launcher import run  # noqa: PLC0415 - as above

    name = name or kind
    state_dir = state_dir or platformdirs.user_state_path("stui") / "images" / name
    sys.exit(run(bind or f"tcp://127.0.0.1:{_PORTS[kind]}", name, state_dir))


@click.command()
@click.option(
    "--image", "kind", type=_KIND, default="smalltalk", show_default=True, help="Which image."
)
@click.option("--keep", is_flag=True, help="Keep the directory with the sessions and the logs.")
def demo(kind: str, keep: bool) -> None:
    """Show a session whose backend and image are killed, step by step.

    Runs two images and a backend of its own, on free ports and in a temporary directory, and ends
    them. Exits with 0 only if each step held.
    """
    from tools.demo import run  # noqa: PLC0415 - nobody else needs it

    sys.exit(run(kind, keep=keep))
