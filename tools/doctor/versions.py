"""Whether Python and what STUI needs are there, and new enough."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

import zmq

from storage.progress import Progress
from tools.doctor.findings import Finding, error, note, ok
from tools.doctor.site import Site
from tools.images.smalltalk.launcher import CannotStartError, find_node, find_node_modules

_PYTHON: Final = (3, 11)
_SQLITE: Final = (3, 31)
"""For `trusted_schema`, which is off so that a damaged file runs nothing."""
_LIBZMQ: Final = (4, 2)
"""For heartbeats."""
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^;)]*)")
_AT_LEAST: Final = re.compile(r">=\s*([0-9][0-9.]*)")
_NUMBER: Final = re.compile(r"[0-9]+")


def check(site: Site, progress: Progress) -> Iterator[Finding]:  # noqa: ARG001 - not of the site
    """Python, SQLite, libzmq, the packages, and Node.js for the Smalltalk image."""
    try:
        wanted = requires("stui") or []
        stui = version("stui")
    except PackageNotFoundError:
        yield note(
            "STUI is not installed, and runs from a checkout: what it needs is not compared",
            "`pip install .` in an environment of its own.",
        )
        wanted, stui = [], "of a checkout"
    found = [
        *_at_least("Python", ".".join(map(str, sys.version_info[:3])), _PYTHON),
        *_at_least("SQLite", sqlite3.sqlite_version, _SQLITE),
        *_at_least("libzmq", zmq.zmq_version(), _LIBZMQ),
        *packages(wanted),
    ]
    yield from found
    if not found:
        yield ok(
            f"STUI {stui}, Python {sys.version.partition(' ')[0]}, SQLite "
            f"{sqlite3.sqlite_version}, libzmq {zmq.zmq_version()}, and all packages are there"
        )
    yield _node()


def packages(requirements: Iterable[str]) -> Iterator[Finding]:
    """The REQUIREMENTS, as a distribution names them, that are not met; extras are left out."""
    for requirement in requirements:
        parts = _REQUIREMENT.match(requirement)
        if parts is None or "extra ==" in requirement:
            continue
        name, versions = parts.groups()
        try:
            there = version(name)
        except PackageNotFoundError:
            yield error(
                f"the package {name} is not installed; {requirement} is needed",
                "Install STUI anew: `pip install --upgrade stui` in its environment.",
            )
            continue
        for least in _AT_LEAST.findall(versions):
            yield from _at_least(name, there, _numbers(least))


def _at_least(name: str, there: str, least: tuple[int, ...]) -> Iterator[Finding]:
    if _numbers(there) < least:
        wanted = ".".join(map(str, least))
        yield error(
            f"{name} is {there}; {wanted} or newer is needed", f"Upgrade {name} to {wanted}."
        )


def _numbers(text: str) -> tuple[int, ...]:
    """The release in a version; what follows its numbers does not count."""
    numbers = []
    for part in text.split("."):
        found = _NUMBER.match(part)
        if found is None:
            break
        numbers.append(int(found[0]))
    return tuple(numbers)


def _node() -> Finding:
    try:
        node = find_node()
        find_node_modules()
    except CannotStartError as problem:
        return note(
            f"`stui image smalltalk` cannot run here: {problem}",
            "Only that needs it; the backend does not.",
        )
    return ok(f"Node.js for `stui image smalltalk` is {node}")
