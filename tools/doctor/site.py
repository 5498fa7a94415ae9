"""The site that is examined: its settings, as far as they can be used, and where its data is."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec

from actors.disk.backup_keeper import backup_directory
from actors.settings import Settings
from storage.data_paths import DataPaths
from tools.config import CONFIG_VARIABLE, PREFIX, BadSettings, find_config, load_settings

_NAMES: Final = [field.name for field in msgspec.structs.fields(Settings)]
_OTHER_VARIABLES: Final = frozenset(
    {
        CONFIG_VARIABLE,
        "STUI_CLIENT",
        "STUI_ENDPOINT",
        "STUI_FAILPOINTS",
        "STUI_HOME",
        "STUI_LOG_FORMAT",
        "STUI_LOG_LEVEL",
        "STUI_NODE_MODULES",
        "STUI_SMALLTALK_HEAP",
    }
)


@dataclass(frozen=True, slots=True)
class Site:
    """A backend's settings and places, whether it runs or not.

    `config` is the settings file, None where there is none. Where settings are wrong, `wrong` says
    all of it, and `settings` has the others, so that the rest of the site can be examined.
    """

    config: Path | None
    settings: Settings
    wrong: tuple[str, ...] = ()

    @property
    def paths(self) -> DataPaths:
        """Where everything is."""
        return DataPaths(self.settings.data_dir)

    @property
    def backups(self) -> Path:
        """Where the backups are."""
        return backup_directory(self.settings)


def find_site(
    config_flag: Path | None, data_dir: Path | None, environment: Mapping[str, str]
) -> Site:
    """The site as a backend with these flags and this environment would have it."""
    unknown = tuple(_unknown_variables(environment))
    try:
        config = find_config(config_flag, environment)
    except OSError as problem:
        config, unknown = None, (f"The settings file cannot be looked for: {problem}.", *unknown)
    flags = {"data_dir": data_dir}
    try:
        return Site(config, load_settings(config, environment, flags), unknown)
    except BadSettings as problem:
        wrong = [str(problem)]
    values: dict[str, Any] = {}
    if config is not None and (found := _values_of(config)) is not None:
        wrong.clear()
        values = dict(_usable(config, found, wrong))
    else:
        wrong[1:] = []
    variables: dict[str, str] = {}
    for name in _NAMES:
        variable = PREFIX + name.upper()
        if text := environment.get(variable):
            try:
                load_settings(None, {variable: text}, {})
            except BadSettings as problem:
                if str(problem) not in wrong:
                    wrong.append(str(problem))
            else:
                variables[variable] = text
                values.pop(name, None)
    flags_too = {**values, **({} if data_dir is None else flags)}
    return Site(config, load_settings(None, variables, flags_too), (*wrong, *unknown))


def _values_of(config: Path) -> dict[str, Any] | None:
    """What a file has; None where it cannot be read at all."""
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _usable(config: Path, found: dict[str, Any], wrong: list[str]) -> dict[str, Any]:
    """Those of a file's values that are right; what is WRONG with the others is appended."""
    values = {}
    for name, value in found.items():
        if name not in _NAMES:
            wrong.append(f"{config}: {name}: there is no such setting{_meant(name, _NAMES)}")
            continue
        try:
            load_settings(None, {}, {name: value})
        except BadSettings as problem:
            wrong.append(f"{config}: {name}: {str(problem).partition(': ')[2]}")
        else:
            values[name] = value
    return values


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    known = {*_OTHER_VARIABLES, *(PREFIX + name.upper() for name in _NAMES)}
    return [
        f"{name} is in the environment, and there is no such setting{_meant(name, sorted(known))}"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    ]


def _meant(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; is `{close[0]}` meant?" if close else "."
