"""Settings from file, environment and flags."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import platformdirs
import pytest

from actors.settings import RELOADABLE, Settings
from tools.config import BadSettings, find_config, load_settings

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "stui.example.toml"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "stui.toml"


def test_without_anything_the_defaults_hold() -> None:
    settings = load_settings(None, {}, {})

    assert settings == Settings(data_dir=platformdirs.user_data_path("stui"))


def test_flags_win_over_the_environment_and_that_over_the_file(config: Path) -> None:
    config.write_text('lease = 1\nretention = 1\nhang_after = 1\ndata_dir = "/from/file"\n')

    settings = load_settings(
        config,
        {"STUI_RETENTION": "2", "STUI_HANG_AFTER": "2", "STUI_DATA_DIR": "/from/environment"},
        {"hang_after": 3, "data_dir": Path("/from/flag"), "bind": None},
    )

    assert (settings.lease, settings.retention, settings.hang_after) == (1, 2, 3)
    assert settings.data_dir == Path("/from/flag")


def test_the_environment_can_say_everything() -> None:
    settings = load_settings(
        None,
        {
            "STUI_BIND": "tcp://127.0.0.1:1, ipc:///tmp/socket",
            "STUI_IMAGES": "a=tcp://127.0.0.1:2,b=ipc:///tmp/b",
            "STUI_ALLOWED_CLIENTS": "me,you*",
            "STUI_STRICT_EXPIRY": "Yes",
            "STUI_MAX_PENDING": "7",
            "STUI_LEASE": "0.5",
            "STUI_CONFIG": "not a setting",
            "STUI_CLIENT": "not a setting either",
        },
        {},
    )

    assert settings.bind == ("tcp://127.0.0.1:1", "ipc:///tmp/socket")
    assert settings.images == {"a": "tcp://127.0.0.1:2", "b": "ipc:///tmp/b"}
    assert settings.allowed_clients == ["me", "you*"]
    assert settings.strict_expiry
    assert (settings.max_pending, settings.lease) == (7, 0.5)


def test_a_data_directory_may_begin_at_home(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    config.write_text('data_dir = "~/sessions"')

    assert load_settings(config, {}, {}).data_dir == Path("/home/me/sessions")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("leese = 1", "leese: there is no such setting; is `lease` meant?"),
        ("quux = 1", "quux: there is no such setting; there are data_dir, bind"),
        ("lease = -1", "lease: is -1: Expected `float` > 0"),
        ('lease = "long"', "lease: is 'long': Expected `float`"),
        ("lease = inf", "lease: is inf: Expected a finite number of seconds"),
        ("max_pending = 1.5", "max_pending: is 1.5: Expected `int`"),
        ("bind = []", "bind: is []: Expected `array` of length >= 1"),
        ('bind = "tcp://127.0.0.1:1"', "bind: is 'tcp://127.0.0.1:1': Expected `array`"),
        ("data_dir = 7", "data_dir: is 7: Expected a path"),
        (r'data_dir = "a\u0000b"', "data_dir: is 'a\\x00b': Expected a path"),
        ('backup_dir = "~nobody-of-this-name/b"', "backup_dir: is ~nobody-of-this-name/b: ~nobody"),
        ('images = {a = "here"}', "images: a is 'here': Expected tcp://HOST:PORT"),
        ("lease = ", "is no TOML: "),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_with_file_key_and_what_is_right(
    config: Path, text: str, complaint: str
) -> None:
    config.write_text(text)

    with pytest.raises(BadSettings) as caught:
        load_settings(config, {}, {})

    assert f"{config}: {complaint}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("variable", "text", "complaint"),
    [
        ("STUI_LEASE", "soon", "STUI_LEASE: is 'soon': Expected `float`"),
        ("STUI_STRICT_EXPIRY", "perhaps", "STUI_STRICT_EXPIRY: is 'perhaps': Expected `bool`"),
        ("STUI_IMAGES", "amber", "STUI_IMAGES: is 'amber'; it must be NAME=ADDRESS"),
        ("STUI_SESSION_THREADS", "65", "STUI_SESSION_THREADS: is 65: Expected `int` <= 64"),
        ("STUI_LEASE", "nan", "STUI_LEASE: is nan: Expected"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(variable: str, text: str, complaint: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings(None, {variable: text}, {})

    assert complaint in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_refused(config: Path) -> None:
    with pytest.raises(BadSettings, match=f"{config}: cannot be read: No such file"):
        load_settings(config, {}, {})

    config.write_bytes(b"\xff\xfe")
    with pytest.raises(BadSettings, match="is no TOML"):
        load_settings(config, {}, {})


def test_the_file_is_that_of_the_flag_else_of_the_environment_else_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own = platformdirs.user_config_path("stui") / "stui.toml"

    assert find_config(None, {}) is None
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_config(None, {}) == own
    assert find_config(None, {"STUI_CONFIG": "/a"}) == Path("/a")
    assert find_config(Path("/b"), {"STUI_CONFIG": "/a"}) == Path("/b")


def test_the_example_has_every_setting_with_its_default() -> None:
    written = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    names = {field.name for field in msgspec.structs.fields(Settings)}

    loaded = load_settings(EXAMPLE, {}, {})

    assert loaded == Settings(data_dir=platformdirs.user_data_path("stui"))
    assert set(written) == names - {"data_dir"}  # whose default depends on the user


def test_the_example_says_what_can_be_reloaded() -> None:
    said, comment, in_comment = set(), "", False

    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            comment = comment + line if in_comment else line
        elif "=" in line and "(reload)" in comment:  # settings below one comment share it
            said.add(line.split()[0])
        in_comment = line.startswith("#")

    assert said == RELOADABLE
