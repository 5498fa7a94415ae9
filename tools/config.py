"""Settings from a TOML file, the environment and flags, in rising order of precedence.

The file is the one of --config, else of $STUI_CONFIG, else stui/stui.toml in the user's
configuration directory when it is there. The environment's names are STUI_ and the setting's name
in capitals; lists are separated by commas, images are NAME=ADDRESS. docs/stui.example.toml
describes every setting.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec
import platformdirs

from actors.settings import Settings
from protocol.errors import excerpt
from protocol.requests import ADDRESS_FORM, Address

PREFIX: Final = "STUI_"
CONFIG_VARIABLE: Final = "STUI_CONFIG"

_FIELDS: Final = {field.name: field for field in msgspec.structs.fields(Settings)}
_FLAGS: Final = {"bind": "--bind", "data_dir": "--data-dir", "images": "--image"}
_LISTS: Final = ("bind", "allowed_clients", "denied_clients")
_FORMS: Final = {"metrics": "Expected HOST:PORT of this machine, such as 127.0.0.1:9464,"}
"""What is right, where msgspec would show a pattern."""
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class BadSettings(ValueError):
    """Settings are wrong; the message is one line that says where, what, and what is right."""


def find_config(flag: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The settings file to read; None where there is none. One that is named need not exist."""
    if flag is not None:
        return flag
    if named := environment.get(CONFIG_VARIABLE):
        return Path(named)
    usual = platformdirs.user_config_path("stui") / "stui.toml"
    return usual if usual.is_file() else None


def load_settings(
    config: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]
) -> Settings:
    """The settings of the file CONFIG, the environment and FLAGS. Raises `BadSettings`.

    A flag that is None was not given.
    """
    values: dict[str, Any] = {"data_dir": platformdirs.user_data_path("stui")}
    if config is not None:
        for name, value in _read(config).items():
            values[name] = _checked(name, value, f"{config}: {name}")
    for name in _FIELDS:
        variable = PREFIX + name.upper()
        if text := environment.get(variable):
            values[name] = _checked(name, _from_text(name, text, variable), variable)
    for name, value in flags.items():
        if value is not None:
            values[name] = _checked(name, value, _FLAGS.get(name, name))
    values["data_dir"] = values["data_dir"].absolute()  # and backup_dir may be relative to it
    return Settings(**values)


def _read(config: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(f"{config}: cannot be read: {error.strerror or error}.") from None
    except ValueError as error:  # TOML's errors and UnicodeDecodeError are ValueErrors
        raise BadSettings(f"{config}: is no TOML: {error}.") from None
    for name in values:
        if name not in _FIELDS:
            close = get_close_matches(name, _FIELDS, n=1)
            hint = f"is `{close[0]}` meant?" if close else f"there are {', '.join(_FIELDS)}."
            raise BadSettings(f"{config}: {name}: there is no such setting; {hint}")
    return values


def _from_text(name: str, text: str, where: str) -> Any:
    """TEXT of the environment as a file would say it."""
    default = _FIELDS[name].default
    if name in _LISTS:
        return [item.strip() for item in text.split(",") if item.strip()]
    if name == "images":
        return images_from(text.split(","), where)
    if isinstance(default, bool):
        return _TRUTHS.get(text.strip().lower(), text)
    if isinstance(default, (int, float)):
        try:
            return float(text) if isinstance(default, float) else int(text)
        except ValueError:
            return text  # which is refused with its place and what would be right
    return text


def images_from(items: Sequence[str], where: str) -> dict[str, str]:
    """Images as flags and the environment name them: NAME=ADDRESS. Raises `BadSettings`."""
    images = {}
    for item in items:
        name, separator, address = item.strip().partition("=")
        if not (name and separator and address):
            raise BadSettings(f"{where}: is {excerpt(item)}; it must be NAME=ADDRESS.")
        images[name] = address
    return images


def _checked(name: str, value: Any, where: str) -> Any:
    field = _FIELDS[name]
    try:
        checked = msgspec.convert(value, field.type, dec_hook=_path)
    except msgspec.ValidationError as error:
        expected = _FORMS.get(name) or str(error).partition(" - at ")[0]
        raise BadSettings(f"{where}: is {excerpt(value)}: {expected}.") from None
    if isinstance(checked, float) and not math.isfinite(checked):
        raise BadSettings(f"{where}: is {checked}: Expected a finite number of seconds.")
    if isinstance(checked, Path):
        return _at_home(checked, where)
    if name == "images":
        for image, address in checked.items():
            _check_address(image, address, where)
    return checked


def _check_address(image: str, address: str, where: str) -> None:
    try:
        msgspec.convert(address, Address)
    except msgspec.ValidationError:
        raise BadSettings(
            f"{where}: {image} is {excerpt(address)}: Expected {ADDRESS_FORM}."
        ) from None


def _at_home(path: Path, where: str) -> Path:
    """PATH with the home directory in the place of a tilde."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise BadSettings(f"{where}: is {path}: {path.parts[0]} has no home directory.") from None


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, (str, Path)) and str(value) and "\0" not in str(value):
        return Path(value)
    raise msgspec.ValidationError("Expected a path")
