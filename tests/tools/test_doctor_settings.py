"""What `stui doctor` says of settings, directories, disks, clocks and versions."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.settings import Settings
from tests.storage.data_house import NOON
from tests.tools.doctoring import found, house_in, is_well, site_at, told
from tools.doctor.clock import agreement
from tools.doctor.configuration import contradictions
from tools.doctor.disk import existing, mounted_as, room, suitability
from tools.doctor.findings import worst
from tools.doctor.site import Site, find_site
from tools.doctor.versions import packages

MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:5 / /srv rw shared:1 - nfs4 server:/srv rw
24 23 0:6 / /srv/my\\040disk rw - xfs /dev/sdb rw
25 24 0:7 / /srv/my\\040disk rw - tmpfs tmpfs rw
nonsense
"""


def at(tmp_path: Path, text: str, **environment: str) -> Site:
    config = tmp_path / "stui.toml"
    config.write_text(text)
    return find_site(config, tmp_path / "data", environment)


# --- configuration


def test_settings_that_fit_are_well(tmp_path: Path) -> None:
    site = at(tmp_path, "lease = 20\n[images]\npy = 'tcp://127.0.0.1:5557'\n")

    assert is_well(site, "configuration")
    assert (site.settings.lease, site.wrong) == (20, ())


def test_each_wrong_setting_is_named_and_the_others_are_used(tmp_path: Path) -> None:
    site = at(
        tmp_path,
        "leese = 1\nretention = -5\nbackup_interval = 7\nbind = []\n[images]\npy = 'nowhere'\n",
        STUI_LEASE="soon",
        STUI_MAX_OBJECTS="100",
        STUI_LEASES="1",
    )

    said = told(site, "configuration", "error")

    for what in (
        "leese: there is no such setting; is `lease` meant?",
        "retention: is -5",
        "bind: is []",
        "images: py is 'nowhere'",
        "STUI_LEASE: is 'soon'",
        "STUI_LEASES is in the environment, and there is no such setting; is `STUI_LEASE` meant?",
    ):
        assert what in said
    assert len(site.wrong) == 6
    assert (site.settings.backup_interval, site.settings.max_objects) == (7, 100)
    assert site.settings.data_dir == tmp_path / "data"


def test_the_environment_wins_over_a_file_although_something_is_wrong(tmp_path: Path) -> None:
    site = at(tmp_path, "lease = 1\nnonsense = 1\n", STUI_LEASE="2")

    assert site.settings.lease == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [(None, "cannot be read: No such file"), (b"a = = b", "is no TOML"), (b"\xff", "is no TOML")],
)
def test_a_file_that_cannot_be_used_is_an_error(
    tmp_path: Path, text: bytes | None, problem: str
) -> None:
    config = tmp_path / "stui.toml"
    if text is not None:
        config.write_bytes(text)

    site = find_site(config, None, {"STUI_LEASE": "7"})

    assert f"{config}: {problem}" in told(site, "configuration", "error")
    assert len(site.wrong) == 1
    assert site.settings.lease == 7


def test_a_file_that_others_can_write_is_a_warning(tmp_path: Path) -> None:
    site = at(tmp_path, "lease = 20\n")
    (tmp_path / "stui.toml").chmod(0o666)

    assert "can be written by others (mode 0666)" in told(site, "configuration", "warning")


def test_failpoints_in_the_environment_are_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUI_FAILPOINTS", "store.begin=raise:ENOSPC")

    assert "fails on purpose" in told(site_at(tmp_path), "configuration", "warning")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"backup_interval": 0.0}, "no backups are made"),
        ({"backups_hourly": 0, "backups_daily": 0, "backups_weekly": 0}, "only the newest is kept"),
        ({"lease": 100.0, "default_timeout": 10.0}, "lease (100 s) is longer than default_timeout"),
        ({"snapshot_wait": 11.0}, "snapshot_wait (11 s) is longer than snapshot_timeout (10 s)"),
        ({"max_pending": 8}, "max_pending_per_connection (256) is more than max_pending (8)"),
        ({"denied_clients": ["*"]}, "denies everybody"),
        ({"allowed_clients": ["a"], "denied_clients": ["a", "b"]}, "denies everybody"),
        ({"metrics": "127.0.0.1:7", "bind": ("tcp://127.0.0.1:7",)}, "the same address"),
        ({"images": {"a": "tcp://h:1", "b": "tcp://h:1"}}, "images a and b have the same address"),
        ({"images": {"a": "tcp://127.0.0.1:5555"}}, "the image a has the backend's own address"),
        ({"bind": ("ipc://a", "ipc://a")}, "bind has ipc://a more than once"),
    ],
)
def test_values_that_contradict_are_named(settings: dict[str, Any], problem: str) -> None:
    (finding,) = contradictions(Settings(data_dir=Path("data"), **settings))

    assert finding.level in {"warning", "error"}
    assert problem in finding.what
    assert finding.advice


def test_an_address_for_other_machines_is_worth_a_note() -> None:
    settings = Settings(data_dir=Path("data"), bind=("tcp://0.0.0.0:5555", "tcp://127.0.0.1:1"))

    (finding,) = contradictions(settings)

    assert (finding.level, "tcp://0.0.0.0:5555" in finding.what) == ("note", True)


def test_the_defaults_do_not_contradict_one_another() -> None:
    assert list(contradictions(Settings(data_dir=Path("data")))) == []


# --- directories


def test_a_directory_of_ones_own_is_well(tmp_path: Path) -> None:
    house_in(tmp_path / "data", "a")

    assert is_well(site_at(tmp_path / "data"), "directories")


def test_a_directory_that_is_not_there_is_a_warning_and_stays_so(tmp_path: Path) -> None:
    site = site_at(tmp_path / "data")

    assert "is not there" in told(site, "directories", "warning")
    assert not site.paths.directory.exists()


def test_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")

    assert "is no directory" in told(site_at(tmp_path / "data"), "directories", "error")


def test_a_directory_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)

    said = told(site_at(tmp_path / "data"), "directories", "warning")

    assert "is open to others (mode 0755)" in said
    assert "chmod 700" in said


def test_a_directory_with_other_things_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()

    assert "holds nothing of STUI but photos" in told(site_at(tmp_path), "directories", "warning")


def test_a_file_that_everybody_can_write_is_a_warning(tmp_path: Path) -> None:
    house = house_in(tmp_path / "data", "a")
    house.session_file("a").chmod(0o666)

    said = told(site_at(tmp_path / "data"), "directories", "warning")

    assert f"can be written by everybody: {house.session_file('a')}" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_another_user_are_an_error(tmp_path: Path) -> None:
    house = house_in(tmp_path / "data", "a")
    os.chown(house.paths.database, 12345, -1)

    said = told(site_at(tmp_path / "data"), "directories", "error")

    assert str(house.paths.database) in said
    assert "chown -R" in said


# --- disk


def statvfs(free: int = 2**30, inodes: int = 10**6, flags: int = 0) -> os.statvfs_result:
    """A disk with so many bytes and files free; 0 inodes in all where INODES is negative."""
    total = 0 if inodes < 0 else 10**6
    few = max(0, inodes)
    return os.statvfs_result((1, 1, 2**40, free, free, total, few, few, flags, 255))


@pytest.mark.parametrize(
    ("status", "database", "level", "problem"),
    [
        (statvfs(), 10**6, "ok", "1.1 GB free"),
        (statvfs(), 10**9, "warning", "2.0 GB are wanted"),
        (statvfs(free=100 * 10**6), 0, "warning", "100 MB free; 256 MB are wanted"),
        (statvfs(free=10**6), 0, "error", "is full: 1.0 MB are free"),
        (statvfs(inodes=10), 0, "error", "has room for 10 more files only"),
        (statvfs(inodes=-1), 0, "ok", "free"),
        (statvfs(flags=os.ST_RDONLY), 0, "error", "is mounted read-only"),
    ],
)
def test_a_disk_with_little_room_is_named(
    status: os.statvfs_result, database: int, level: str, problem: str
) -> None:
    findings = list(room(Path("data"), status, database))

    assert worst(findings) == level
    assert problem in " ".join(finding.what for finding in findings)


def test_the_disk_here_is_told_with_what_is_free(tmp_path: Path) -> None:
    assert any(" free" in finding.what for finding in found(site_at(tmp_path), "disk"))


def test_the_kind_of_the_disk_is_that_of_the_innermost_mount() -> None:
    places = {"/home/x": "ext4", "/srv": "nfs4", "/srv/data": "nfs4", "/srv/my disk/data": "tmpfs"}

    assert {place: mounted_as(Path(place), MOUNTS) for place in places} == places


def test_a_network_is_a_warning_and_memory_a_note() -> None:
    levels = {
        kind: worst(list(suitability(Path("data"), kind))) for kind in ("nfs4", "tmpfs", "ext4", "")
    }

    assert levels == {"nfs4": "warning", "tmpfs": "note", "ext4": "ok", "": "ok"}


def test_what_is_not_there_is_on_the_disk_of_what_is_above(tmp_path: Path) -> None:
    assert existing(tmp_path / "a" / "b") == tmp_path


# --- clock


def test_a_clock_behind_the_files_is_a_warning(tmp_path: Path) -> None:
    house = house_in(tmp_path / "data", "a")
    later = time.time() + 7200
    os.utime(house.session_file("a"), (later, later))

    (finding, *_) = agreement(site_at(tmp_path / "data"), time.time())

    assert finding.level == "warning"
    assert f"{house.session_file('a')} was changed 1 h 59 min in the future" in finding.what


def test_a_clock_before_this_program_was_made_is_a_warning(tmp_path: Path) -> None:
    (finding,) = agreement(site_at(tmp_path), 0.0)

    assert (finding.level, "1970-01-01" in finding.what) == ("warning", True)


def test_a_clock_behind_the_newest_backup_is_a_warning(tmp_path: Path) -> None:
    house_in(tmp_path / "data", "a")

    levels = {
        wall: worst(list(agreement(site_at(tmp_path / "data"), wall)))
        for wall in (NOON - 7200, NOON + 60)
    }

    assert levels == {NOON - 7200: "warning", NOON + 60: "ok"}


def test_a_clock_that_was_set_back_between_backups_is_a_note(tmp_path: Path) -> None:
    house = house_in(tmp_path / "data", "a")
    house.share("light", time=50_000.0)  # two backups, a second apart by the wall clock
    house.back_up()

    (finding,) = agreement(site_at(tmp_path / "data"), NOON + 60)

    assert finding.level == "note"
    assert "the clock was set back by 13 h 52 min" in finding.what


# --- versions


def test_packages_that_are_missing_or_too_old_are_named() -> None:
    needed = ["msgspec>=999.1", "no-such-package>=1", "click>=8", "pytest[x]>=7 ; extra == 'dev'"]

    old, missing = packages(needed)

    assert old.what == f"msgspec is {msgspec.__version__}; 999.1 or newer is needed"
    assert "no-such-package is not installed" in missing.what
    assert {old.level, missing.level} == {"error"}


def test_here_all_versions_are_well(tmp_path: Path) -> None:
    assert is_well(site_at(tmp_path), "versions")
