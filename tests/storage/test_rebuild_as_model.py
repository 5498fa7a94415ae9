"""Any history of commits, files and backups, and then no database: the highest number comes back.

What each source holds is kept in a model beside; every source may be damaged too.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.storage.data_house import House, flip, garbage, halve, lose

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), names),
        st.tuples(st.just("file"), names),
        st.tuples(st.just("back up"), names),
        st.tuples(st.just("lose file"), names),
        st.tuples(st.just("damage file"), names),
        st.tuples(st.just("damage backup"), names),
    ),
    max_size=14,
)


Step = tuple[str, str]


class History:
    """A data directory, and what each source in it holds; None for one that is damaged."""

    def __init__(self, directory: Path) -> None:
        self.house = House(directory)
        self.house.share("dark")
        self.present: dict[str, int] = {}
        self.files: dict[str, list[int | None]] = defaultdict(list)
        self.backups: list[dict[str, int] | None] = []

    def do(self, what: str, name: str) -> None:
        house, files = self.house, self.files[name]
        if what == "commit":
            if name in self.present:
                self.present[name] = house.commit(name)
            else:
                house.create(name)
                self.present[name] = 1
        elif what == "file" and name in self.present:
            house.file(name)
            self.files[name] = [*files[-1:], self.present[name]]
        elif what == "back up":
            house.back_up()
            self.backups.append(dict(self.present))
        elif what == "lose file":
            path = house.session_file(name)
            for each in (path, path.with_name(path.name + ".previous")):
                lose(each)
            files.clear()
        elif what == "damage file" and files and files[-1] is not None:
            halve(house.session_file(name))
            files[-1] = None
        elif what == "damage backup" and self.backups and self.backups[-1] is not None:
            newest = max(house.backups.glob("*.stui-backup"))
            flip(newest, newest.stat().st_size // 3)
            self.backups[-1] = None

    def best(self, name: str) -> int:
        """The highest number that a file or the newest good backup has; 0 where none does."""
        good = next((each for each in reversed(self.backups) if each is not None), {})
        return max([good.get(name, 0), *(number or 0 for number in self.files[name])])


@settings(max_examples=25, deadline=None)
@given(steps, st.sampled_from([lose, garbage]))
def test_the_highest_valid_number_among_the_sources_comes_back(
    history: list[Step], destroy: Callable[[Path], None]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        past = History(Path(directory))
        for what, name in history:
            past.do(what, name)
        destroy(past.house.paths.database)
        found = past.house.numbers()
        assert found == {name: past.best(name) for name in NAMES if past.best(name)}


@settings(max_examples=25, deadline=None)
@given(steps, st.floats(0, 1), st.integers(0, 7))
def test_nothing_falls_behind_the_sources_whatever_bit_of_the_database_is_flipped(
    history: list[Step], where: float, bit: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        past = History(Path(directory))
        for what, name in history:
            past.do(what, name)
        database = past.house.paths.database
        flip(database, int(where * (database.stat().st_size - 1)), bit)
        found = past.house.numbers()
        for name in NAMES:
            assert past.best(name) <= found.get(name, 0) <= past.present.get(name, 0)
