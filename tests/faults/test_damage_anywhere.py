"""Whatever a byte-flipper does to a data directory: no session is served as it never was.

Each session's content is compared with everything that was acknowledged of it. An older generation
may be served only where the report, or the session itself, says so.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from protocol.ids import SessionId
from storage.commit_mark import read_mark
from storage.data_paths import DataPaths
from storage.open_data import OpenedData, open_data
from storage.session_file import SessionFiles, read_file
from storage.sqlite_store import SqliteStore
from storage.store import Damaged, SessionContents, StoreError
from tests.storage.data_house import House
from tests.storage.samples import a_change, a_commit, a_context, a_reply, a_session, an_event, text

LONG = int(os.environ.get("STUI_FAULT_SAMPLES", "1"))
"""How many times as many samples are taken as in an ordinary run."""

SEED = int(os.environ.get("STUI_FAULT_SEED", "11"))
NAMES = ("a", "b", "c")
PAGE = 4096
SECTOR = 512


@dataclass
class Truth:
    """What was acknowledged: each session's contents, by the number of the commit."""

    generations: dict[SessionId, dict[int, SessionContents]] = field(default_factory=dict)

    def last(self, session_id: SessionId) -> int:
        return max(self.generations[session_id])


@dataclass
class Scene:
    """A data directory of a process that was killed, an older copy of it, and what is true."""

    whole: Path
    older: Path
    truth: Truth
    work: Path

    def fresh(self) -> Path:
        """A copy to damage."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.whole, self.work)
        return self.work


def commit_all(store: SqliteStore, truth: Truth, number: int) -> None:
    """One more commit of each session, and what is read of it then."""
    with store.transaction() as transaction:
        for name in NAMES:
            parts: dict[str, Any] = {
                "revision": number,
                "sections": {"session_state": text({"of": name, "number": number})},
                "contexts": [a_context(0, "automatic", snapshot=f"{name} {number} " * 200)],
                "events": [an_event(number)],
                "reply": a_reply(f"{name}-{number}", scope=a_session(name)),
            }
            if number == 1:
                transaction.create_session(a_change(name, **parts))
            else:
                opened = transaction.open_session(a_session(name))
                transaction.apply(a_commit(opened.fence, number, name, **parts))
    note(store, truth)


def note(store: SqliteStore, truth: Truth) -> None:
    for name in NAMES:
        contents = store.contents(a_session(name))
        assert contents is not None
        truth.generations.setdefault(a_session(name), {})[contents.head.revision] = contents


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    root = tmp_path_factory.mktemp("damage")
    house, truth = House(root / "live"), Truth()
    with house.opened().store as store:
        for number in range(1, 6):
            commit_all(store, truth, number)
        files = SessionFiles(house.paths.sessions)
        for name in NAMES:
            contents = store.contents(a_session(name))
            assert contents is not None
            files.write(contents)
    house.back_up()
    with house.opened().store as store:
        for number in range(6, 9):
            commit_all(store, truth, number)
        shutil.copytree(root / "live", root / "older")
        for number in range(9, 12):
            commit_all(store, truth, number)
        shutil.copytree(root / "live", root / "whole")  # as SIGKILL leaves it: with its log
    return Scene(root / "whole", root / "older", truth, root / "work")


def opened(directory: Path) -> OpenedData:
    return open_data(
        DataPaths(directory), directory / "backups", lambda: 100.0, lambda: 1_800_000_000.0
    )


def served(data: OpenedData, truth: Truth) -> Iterator[tuple[SessionId, str]]:
    """Each session, and how it is: `same`, `older`, `damaged` or `missing`; never anything else."""
    for session_id, generations in truth.generations.items():
        try:
            contents = data.store.contents(session_id)
        except StoreError:
            yield session_id, "damaged"
            continue
        if contents is None:
            yield session_id, "missing"
            continue
        revision = contents.head.revision
        right = generations.get(revision)
        assert right is not None, f"{session_id} has revision {revision}, which never was"
        for part in ("head", "sections"):
            assert getattr(contents, part) == getattr(right, part), f"{part} of {session_id}"
        for each in contents.contexts:
            assert each in right.contexts, f"a context of {session_id} as it never was"
        for entry in contents.evaluations:
            assert entry in right.evaluations, f"an evaluation of {session_id} as it never was"
        yield session_id, "same" if revision == truth.last(session_id) else "older"


def told(data: OpenedData, session_id: SessionId) -> bool:
    """Whether it is said that this session may not be as acknowledged."""
    recovery = data.recovery
    if recovery is None:
        return False
    if any(each.session_id == session_id for each in recovery.missing):
        return True
    for each in recovery.sessions:
        if each.session_id == session_id:
            return each.age != "as acknowledged" or bool(each.lost)
    return bool(recovery.others)


def check(scene: Scene, directory: Path, what: str) -> Counter[str]:
    """Open what was damaged, and compare; how the sessions were, counted."""
    seen: Counter[str] = Counter()
    try:
        data = opened(directory)
    except StoreError as refusal:
        sys.stdout.write(f"not opened, {what}: {refusal}\n")
        return Counter({"not opened": 1})
    with data.store:
        for session_id, state in served(data, scene.truth):
            seen[state] += 1
            if state in {"older", "missing"}:
                assert told(data, session_id), f"{session_id} is {state} and nobody says so: {what}"
    return seen


def print_seen(name: str, seen: Counter[str]) -> None:
    sys.stdout.write(f"{name}, seed {SEED}: {dict(seen)}\n")


# --- the small files, everywhere


def test_a_mark_with_any_flipped_bit_or_cut_is_the_same_or_known_to_be_damaged(
    scene: Scene,
) -> None:
    path = DataPaths(scene.fresh()).mark
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            assert read_mark(path) is None, (position, bit)
        path.write_bytes(whole[:position])
        assert read_mark(path) is None or position == 0


def test_a_session_file_with_any_flipped_bit_or_cut_is_known_to_be_damaged(scene: Scene) -> None:
    (path, *_) = sorted(DataPaths(scene.fresh()).sessions.glob("*/*.stui"))
    whole, right = path.read_bytes(), read_file(path)
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        for data in (bytes(flipped), whole[:position]):
            path.write_bytes(data)
            with suppress(Damaged):
                assert read_file(path) == right, position
                raise AssertionError(f"a damaged file was read, at {position}")


def test_session_files_that_are_swapped_between_sessions_are_not_taken_for_the_others(
    scene: Scene,
) -> None:
    directory = scene.fresh()
    paths = sorted(DataPaths(directory).sessions.glob("*/*.stui"))
    contents = [path.read_bytes() for path in paths]
    for path, other in zip(paths, [*contents[1:], contents[0]], strict=True):
        path.write_bytes(other)
    DataPaths(directory).database.unlink()
    seen = check(scene, directory, "swapped session files and no database")
    assert seen["older"] == len(NAMES)


# --- the database and its log

Damage = Callable[[Scene, Path, random.Random], str]


def database_or_log(directory: Path, rng: random.Random) -> Path:
    paths = DataPaths(directory)
    return rng.choice([paths.database, paths.log()])


def flip_bits(scene: Scene, directory: Path, rng: random.Random) -> str:
    path = database_or_log(directory, rng)
    data = bytearray(path.read_bytes())
    positions = [rng.randrange(len(data)) for _ in range(rng.choice([1, 1, 3]))]
    for position in positions:
        data[position] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return f"bits of {path.name} at {positions}"


def cut_short(scene: Scene, directory: Path, rng: random.Random) -> str:
    path = database_or_log(directory, rng)
    size = rng.randrange(path.stat().st_size)
    os.truncate(path, size)
    return f"{path.name} cut to {size}"


def cut_to_pages(scene: Scene, directory: Path, rng: random.Random) -> str:
    path = database_or_log(directory, rng)
    size = rng.randrange(path.stat().st_size // PAGE) * PAGE
    os.truncate(path, size)
    return f"{path.name} cut to {size}"


def torn_sector(scene: Scene, directory: Path, rng: random.Random) -> str:
    """A sector as it was before: a write that did not reach the disk, half of a page."""
    path = database_or_log(directory, rng)
    data = bytearray(path.read_bytes())
    before = (scene.older / path.name).read_bytes().ljust(len(data), b"\0")
    differing = [
        start
        for start in range(0, len(data), SECTOR)
        if data[start : start + SECTOR] != before[start : start + SECTOR]
    ]
    if differing:
        start = rng.choice(differing)
        data[start : start + SECTOR] = before[start : start + SECTOR]
        path.write_bytes(data)
        return f"{path.name} has an old sector at {start}"
    return f"{path.name} is the same"


def zeroed_sector(scene: Scene, directory: Path, rng: random.Random) -> str:
    path = database_or_log(directory, rng)
    data = bytearray(path.read_bytes())
    start = rng.randrange(0, len(data), SECTOR)
    data[start : start + SECTOR] = bytes(SECTOR)
    path.write_bytes(data)
    return f"{path.name} has zeros at {start}"


def swapped_pages(scene: Scene, directory: Path, rng: random.Random) -> str:
    path = DataPaths(directory).database
    data = bytearray(path.read_bytes())
    one, two = (PAGE * rng.randrange(len(data) // PAGE) for _ in range(2))
    data[one : one + PAGE], data[two : two + PAGE] = (
        data[two : two + PAGE],
        data[one : one + PAGE],
    )
    path.write_bytes(data)
    return f"the pages at {one} and {two} are swapped"


@pytest.mark.parametrize(
    "damage", [flip_bits, cut_short, cut_to_pages, torn_sector, zeroed_sector, swapped_pages]
)
@pytest.mark.parametrize("log_is_in", ["log", "database"])
def test_a_damaged_database_is_never_served_as_something_else(
    scene: Scene, damage: Damage, log_is_in: str
) -> None:
    rng = random.Random(f"{SEED} {damage.__name__} {log_is_in}")
    seen: Counter[str] = Counter()
    for _ in range(12 * LONG):
        directory = scene.fresh()
        if log_is_in == "database":
            opened(directory).store.close()  # copies the log into the database
            DataPaths(directory).log().touch()
        if log_is_in == "database" and damage in (cut_short, cut_to_pages):
            DataPaths(directory).log().write_bytes(b"\0")
        try:
            what = damage(scene, directory, rng)
        except ValueError:  # there is nothing of the log to damage
            continue
        seen += check(scene, directory, what)
    print_seen(f"{damage.__name__} ({log_is_in})", seen)
    assert seen["same"] + seen["older"] > 0, "nothing came back"
    assert not seen["not opened"], "it takes a person to start it again"


def test_tables_in_the_place_of_the_sessions_are_never_taken_for_them(scene: Scene) -> None:
    opened(scene.fresh()).store.close()  # copies the log into the database
    path = DataPaths(scene.work).database
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT rootpage, tbl_name FROM sqlite_master WHERE rootpage > 0"
        ).fetchall()
    whole = shutil.copytree(scene.work, scene.work.with_name("in-one-file"))
    seen: Counter[str] = Counter()
    for one, two in itertools.combinations([root for root, _ in rows], 2):
        if not {(one, "sessions"), (two, "sessions")} & set(rows):
            continue
        shutil.rmtree(scene.work)
        shutil.copytree(whole, scene.work)
        data = path.read_bytes()
        pages = [data[start : start + PAGE] for start in range(0, len(data), PAGE)]
        pages[one - 1], pages[two - 1] = pages[two - 1], pages[one - 1]
        path.write_bytes(b"".join(pages))
        seen += check(scene, scene.work, f"the roots at pages {one} and {two} are swapped")
    print_seen("swapped tables", seen)
    assert seen["same"] > 0
    assert not seen["not opened"], "it takes a person to start it again"


# --- files of another time


@pytest.mark.parametrize(
    "names",
    [
        ["stui.db"],
        ["stui.db-wal"],
        ["commits.mark"],
        ["stui.db", "stui.db-wal"],
        ["stui.db", "commits.mark"],
    ],
)
def test_files_of_an_earlier_time_do_not_pass_for_the_present_ones(
    scene: Scene, names: list[str]
) -> None:
    """All together would be an honest copy of an earlier time, which nothing tells from one."""
    directory = scene.fresh()
    for name in names:
        shutil.copy(scene.older / name, directory / name)
    check(scene, directory, f"{names} are older")


@pytest.mark.parametrize("name", ["stui.db", "stui.db-wal", "commits.mark"])
@pytest.mark.parametrize("how", ["lost", "empty", "garbage", "directory"])
def test_a_file_that_is_lost_empty_or_something_else_is_told(
    scene: Scene, name: str, how: str
) -> None:
    directory = scene.fresh()
    path = directory / name
    size = path.stat().st_size
    path.unlink()
    if how == "directory":
        path.mkdir()
    elif how != "lost":
        path.write_bytes(random.Random(SEED).randbytes(size) if how == "garbage" else b"")
    check(scene, directory, f"{name} is {how}")
