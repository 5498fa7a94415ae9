"""Backups by schedule, of a store that a writer has open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from actors.clocks import Clocks
from actors.disk.backup_keeper import BackupKeeper, _Look, backup_directory
from actors.dispatcher import Dispatcher
from actors.published import Published
from actors.services import Services
from actors.settings import Settings
from actors.supervised import AreYouThere, HereIAm
from actors.timer import Timer
from storage import failpoints
from storage.backup import backups_in, verify_backup
from storage.backup_file import Backup
from tests.machinery.parent import Parent
from tests.storage.data_house import NOON, House
from tests.support.waiting import DEADLINE, eventually


class Site:
    """A data directory with its services; running time goes as the test says."""

    def __init__(self, directory: Path, parent: Parent) -> None:
        self.house = House(directory)
        self.house.create("a")
        self.house.share("dark", time=0.0)
        self.now = 0.0
        self._parent = parent
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._timer = Timer()
        self._timer.start()
        self._dispatcher = Dispatcher(1)
        self.services = Services(
            settings=Published(self.settings()),
            clocks=Clocks(0.0, monotonic=lambda: self.now, wall=lambda: NOON + self.now),
            timer=self._timer,
            dispatcher=self._dispatcher,
            context=self._context,
        )

    def settings(self, **given: Any) -> Settings:
        wanted = {"backup_interval": 0.02, **given}
        return Settings(data_dir=self.house.paths.directory, **wanted)

    def start(self, **given: Any) -> Any:
        self.services.settings.publish(self.settings(**given))
        return BackupKeeper.start(self._parent.actor_ref, self.services)

    def run_to(self, seconds: float) -> None:
        """Let the running time be SECONDS, in the store too."""
        self.house.share("dark", time=seconds)
        self.now = seconds

    def backups(self) -> list[Backup]:
        return backups_in(self.house.backups)[0]

    def close(self) -> None:
        self._timer.stop()
        self._timer.join(DEADLINE)
        self._dispatcher.stop(DEADLINE)
        self._context.destroy(linger=0)


@pytest.fixture
def site(tmp_path: Path, parent: Parent) -> Iterator[Site]:
    made = Site(tmp_path, parent)
    yield made
    failpoints.disarm_all()
    made.close()


def looked_again(times: int = 3) -> None:
    """Wait until the keeper has looked so often whether a backup is due."""
    failpoints.arm("backup_keeper.receive", "delay", "0", times=1000)
    assert failpoints.wait_for_hit("backup_keeper.receive", DEADLINE, 2 * times)
    failpoints.disarm("backup_keeper.receive")


def stopped(keeper: Any) -> None:
    keeper.stop(timeout=DEADLINE)


def test_a_backup_is_made_when_there_is_none_and_then_by_running_time(site: Site) -> None:
    keeper = site.start(backup_interval=0.02)
    eventually(site.backups)
    looked_again()
    assert len(site.backups()) == 1, "no time has passed"
    site.run_to(7200.0)  # backups of one hour are not kept side by side
    made = eventually(lambda: len(site.backups()) == 2 and site.backups())
    looked_again()
    stopped(keeper)
    assert site.backups() == made, "no more time has passed"
    assert all(verify_backup(each.path) == [] for each in site.backups())
    assert {each.manifest.by for each in site.backups()} == {"schedule"}


def test_what_was_made_before_a_restart_counts(site: Site) -> None:
    site.run_to(5.0)
    site.house.back_up()
    keeper = site.start(backup_interval=0.02)
    looked_again()
    stopped(keeper)
    assert len(site.backups()) == 1


def test_backups_of_a_later_running_time_do_not_let_it_make_one_after_the_other(
    site: Site,
) -> None:
    """It was lost with a database, or they are of another service."""
    site.run_to(7200.0)
    site.house.back_up()
    site.run_to(5.0)
    keeper = site.start()
    eventually(lambda: len(site.backups()) == 2)
    names = [each.name for each in site.backups()]
    looked_again()
    assert [each.name for each in site.backups()] == names
    site.run_to(6.0)
    eventually(lambda: site.backups()[0].manifest.running_time == 6.0)
    stopped(keeper)


def test_nothing_is_made_where_it_is_turned_off(site: Site) -> None:
    keeper = site.start(backup_interval=0.0)
    failpoints.arm("backup_keeper.receive", "delay", "0")
    keeper.tell(_Look())  # as if it were time
    assert failpoints.wait_for_hit("backup_keeper.receive", DEADLINE)
    stopped(keeper)
    assert site.backups() == []


def test_generations_are_kept_as_the_settings_say(site: Site) -> None:
    keeper = site.start(backups_hourly=2, backups_daily=0, backups_weekly=0)
    for hour in range(5):
        site.run_to(hour * 3600.0 + 1)
        eventually(lambda: site.backups() and site.backups()[0].manifest.running_time == site.now)
    eventually(lambda: len(site.backups()) == 2)
    stopped(keeper)
    assert [each.manifest.running_time for each in site.backups()] == [14401.0, 10801.0]


def test_backups_go_where_the_settings_say(site: Site, tmp_path: Path) -> None:
    elsewhere = tmp_path / "far" / "away"
    assert backup_directory(site.settings(backup_dir=elsewhere)) == elsewhere
    keeper = site.start(backup_dir=elsewhere)
    eventually(lambda: backups_in(elsewhere)[0])
    stopped(keeper)


def test_a_keeper_answers_while_the_disk_hangs(site: Site, parent: Parent) -> None:
    failpoints.arm("backup.copy.before", "hang")
    keeper = site.start()
    assert failpoints.wait_for_hit("backup.copy.before", DEADLINE)
    keeper.tell(AreYouThere(parent.actor_ref))
    parent.wait_for(lambda told: any(isinstance(each, HereIAm) for each in told), "it answers")
    failpoints.disarm_all()
    eventually(site.backups)
    stopped(keeper)


def test_a_keeper_that_is_stopped_in_the_middle_leaves_nothing(site: Site) -> None:
    failpoints.arm("backup.copy.step", "hang")
    keeper = site.start()
    assert failpoints.wait_for_hit("backup.copy.step", DEADLINE)
    stopped(keeper)
    failpoints.disarm_all()
    eventually(lambda: not list(site.house.backups.glob("*.making*")))
    assert site.backups() == []


def test_the_successor_of_a_keeper_that_died_makes_the_backup(site: Site, parent: Parent) -> None:
    failpoints.arm("backup.copy.step", "hang")
    keeper = site.start()
    assert failpoints.wait_for_hit("backup.copy.step", DEADLINE)
    failpoints.arm("backup_keeper.receive", "raise")
    keeper.tell("anything")
    parent.wait_for_end(keeper)
    failpoints.disarm_all()
    eventually(lambda: not [each for each in threading.enumerate() if each.name == "backup"])
    successor = site.start()
    eventually(site.backups)
    stopped(successor)


@pytest.mark.parametrize("place", ["backup.copy.before", "backup.rename.before"])
def test_a_backup_that_fails_is_tried_again_later_and_ends_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr("actors.disk.backup_keeper._AGAIN_AFTER", 0.02)
    failpoints.arm(place, "raise", "ENOSPC", times=2)
    keeper = site.start()
    eventually(site.backups)
    assert keeper.is_alive()
    stopped(keeper)


def test_a_bug_in_the_thread_is_told_and_the_next_look_comes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.disk.backup_keeper._AGAIN_AFTER", 0.02)
    failpoints.arm("backup.verify.after", "raise", "a bug")
    caught: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: caught.append(str(args.exc_value)))
    keeper = site.start()
    eventually(site.backups)
    stopped(keeper)
    assert caught == ["a bug"]
