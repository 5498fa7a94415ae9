"""Sites for the doctor's tests, and what a check finds there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from actors.settings import Settings
from tests.storage.data_house import House
from tools.cli.command import cli
from tools.doctor.checks import chosen
from tools.doctor.examination import examine
from tools.doctor.findings import Finding, Level
from tools.doctor.site import Site


def site_at(directory: Path, **settings: Any) -> Site:
    """The site with its data in DIRECTORY, at an address that nobody has."""
    wanted = {"bind": ("tcp://127.0.0.1:*",), **settings}
    return Site(None, Settings(data_dir=directory, **wanted))


def found(site: Site, check: str, within: float | None = None) -> list[Finding]:
    """What a check finds."""
    (checked,) = examine(site, chosen([check]), within)
    return checked.findings


def told(site: Site, check: str, level: Level) -> str:
    """All that a check says at one level, advice too."""
    return "\n".join(
        f"{each.what} → {each.advice}" for each in found(site, check) if each.level == level
    )


def is_well(site: Site, check: str) -> bool:
    """Whether a check has nothing to say but that all is well, and maybe notes."""
    return all(each.level in {"ok", "note"} for each in found(site, check))


def house_in(directory: Path, *names: str) -> House:
    """A data directory with sessions of these NAMES, their files, and a backup."""
    directory.mkdir(mode=0o700)
    house = House(directory)
    house.create(*names)
    house.file(*names)
    house.share("dark")
    house.back_up()
    return house


def doctor(directory: Path, *arguments: str, **variables: str) -> Result:
    """`stui doctor` on a directory, in this process."""
    environment = {"STUI_CONFIG": "", "STUI_BIND": "tcp://127.0.0.1:*", **variables}
    return CliRunner().invoke(
        cli, ["doctor", "--data-dir", str(directory), *arguments], env=environment
    )


def as_json(result: Result) -> Any:
    """What it printed for programs."""
    return json.loads(result.stdout)
