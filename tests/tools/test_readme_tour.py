"""The README's tour is walked as it is printed: each command run, each line of output compared."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.tools.processes import DEADLINE, Process, environment, running, wait_until
from tools.client.client import Client

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PRINTED_HOME = "/home/ada"
VARIES = (  # what is another one each time, and what it looks like
    (r"session_[0-9a-f]{8,}", r"session_[0-9a-f]+"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+", r"[0-9a-f-]{36}"),
    (r"\b1 h\b", r"(1 h|59 min( \d+ s)?)"),
    (r"\d+", r"\d+"),
    (r" {2,}", r" +"),
    (r"…", r".*"),
)


@dataclass(frozen=True)
class Block:
    """An indented block: what is typed, and what is printed below it."""

    script: str
    output: list[str]


def blocks() -> Iterator[Block]:
    tour = README.partition("## A tour")[2].partition("## From Python")[0]
    for text in re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", tour, re.MULTILINE):
        typed, printed, ends_at = list[str](), list[str](), ""
        for line in (line.removeprefix("    ") for line in text.splitlines()):
            if ends_at:
                typed.append(line)
                ends_at = "" if line == ends_at else ends_at
            elif line.startswith("$ "):
                typed.append(line.removeprefix("$ "))
                ends_at = "".join(re.findall(r"<<'(\w+)'$", line))
            else:
                printed.append(line)
        if typed:
            yield Block("\n".join(typed), printed)


def like(printed: str) -> str:
    """A pattern for what PRINTED stands for: what varies may be another, a result may not."""
    if printed.isdecimal():
        return printed
    either = "|".join(f"({was})" for was, _ in VARIES)
    pattern, end = "", 0
    for found in re.finditer(either, printed):
        kind = next(now for was, now in VARIES if re.fullmatch(was, found[0]))
        pattern += re.escape(printed[end : found.start()]) + kind
        end = found.end()
    return pattern + re.escape(printed[end:])


@contextmanager
def backend(home: Path, image: str, bind: str) -> Iterator[tuple[Process, str]]:
    """`stui serve` as in the tour, on a port of the test's own, connected to its image."""
    arguments = ("serve", "--image", f"amber={image}", "--bind", bind)
    with running(*arguments, stderr=home / "log", more=variables(home)) as process:
        endpoint = process.endpoint()
        with Client(endpoint) as client:
            wait_until(
                lambda: client.get_image_connection_status("amber").status == "Connected",
                "the image is connected",
            )
        yield process, endpoint


def variables(home: Path) -> dict[str, str]:
    own = {f"XDG_{kind}_HOME": "" for kind in ("DATA", "STATE", "CONFIG")}
    return {**own, "HOME": str(home)}


def walk(block: Block, home: Path, endpoint: str) -> None:
    stui = f'stui() {{ "{sys.executable}" -m stui "$@"; }}'
    more = {**variables(home), "STUI_ENDPOINT": endpoint, "STUI_CLIENT": "ada"}
    ended = subprocess.run(
        ["bash", "-c", f"{stui}\n{block.script}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(more),
        cwd=ROOT,
        timeout=2 * DEADLINE,
        check=False,
    )
    shown = ended.stdout.decode().replace(str(home), PRINTED_HOME)
    pattern = "\n".join(map(like, block.output)).replace("\n.*", r"\n(?s:.*)")
    assert re.fullmatch(pattern + r"\s*", shown), f"{block.script}\n{shown}\nis not like\n{pattern}"


def test_the_tour_goes_as_it_is_printed(tmp_path: Path) -> None:
    serve_image, serve, create, fail, go_on, status, close, show, restore = blocks()
    assert serve_image.script == "stui image smalltalk"
    assert serve.script == "stui serve --image amber=tcp://127.0.0.1:5556"

    image_arguments = ("image", "smalltalk", "--bind", "tcp://127.0.0.1:*")
    with running(*image_arguments, stderr=tmp_path / "image", more=variables(tmp_path)) as image:
        address = image.endpoint()
        with backend(tmp_path, address, "tcp://127.0.0.1:*") as (first, endpoint):
            walk(create, tmp_path, endpoint)
            walk(fail, tmp_path, endpoint)
            first.end(signal.SIGKILL)
        with backend(tmp_path, address, endpoint):
            walk(go_on, tmp_path, endpoint)
            walk(status, tmp_path, endpoint)
            walk(close, tmp_path, endpoint)
            sessions = tmp_path / ".local" / "share" / "stui" / "sessions"
            wait_until(lambda: bool(list(sessions.glob("*/*.stui"))), "the file is written")
            walk(show, tmp_path, endpoint)
            walk(restore, tmp_path, endpoint)
