"""Session files that somebody puts into the data directory of a running service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import failpoints
from storage.session_form import encode_session
from storage.store import SessionContents
from tests.storage.samples import a_head, an_evaluation, text
from tests.support.backend import RunningBackend, running_backend
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Message, Wire


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[RunningBackend]:
    with running_backend(tmp_path, max_sessions_per_client=1) as running:
        yield running


@pytest.fixture
def wire(backend: RunningBackend) -> Iterator[Wire]:
    with backend.client() as client:
        yield client


def a_file(name: str = "dropped", client: str = "somebody") -> bytes:
    """A session file: a state, an evaluation that ended and one that did not."""
    head = a_head(name, client, revision=4, evaluations=2, used_at=1e8)
    evaluations = [an_evaluation(1, "finished", result="7"), an_evaluation(2, "running")]
    sections = {"session_state": text({"kept": True})}
    return encode_session(SessionContents(9, head, sections, evaluations))  # type: ignore[arg-type]  # a literal


def drop(directory: Path, name: str, data: bytes) -> Path:
    """Put a file there as people do who know how: at once."""
    hidden = directory / f".{name}.part"
    hidden.write_bytes(data)
    return hidden.rename(directory / name)


def taken(path: Path) -> bool:
    return path.with_name(path.name + ".taken").exists() and not path.exists()


def refused(path: Path) -> bool:
    return path.with_name(path.name + ".refused").exists() and not path.exists()


def restored(wire: Wire, session: str = "session_dropped") -> Message:
    return wire.do("restore_session", session_id=session)


def test_a_file_is_taken_in_with_its_id_and_its_client(wire: Wire, tmp_path: Path) -> None:
    path = drop(tmp_path, "any name.stui", a_file())
    eventually(lambda: taken(path))
    info = wire.do("get_session_info", session_id="session_dropped")
    assert (info["client_id"], info["revision"], info["is_expired"]) == ("somebody", 4, False)
    again = restored(wire)
    assert again["session_state"] == {"kept": True}
    assert [entry["state"] for entry in again["history"]] == ["finished", "unknown"]
    assert wire.do("update_session_state", session_id="session_dropped", state_data={})


def test_a_file_that_was_put_there_while_the_service_was_off_is_taken_in_at_its_start(
    backend: RunningBackend, tmp_path: Path
) -> None:
    backend.stop()
    path = drop(tmp_path, "dropped.stui", a_file())
    backend.start()
    eventually(lambda: taken(path))
    with backend.client() as wire:
        assert restored(wire)["session_state"] == {"kept": True}


def test_the_limit_of_sessions_does_not_bind_an_administrator(wire: Wire, tmp_path: Path) -> None:
    wire.new_session("somebody")
    paths = [drop(tmp_path, f"{name}.stui", a_file(name)) for name in "abc"]
    eventually(lambda: all(map(taken, paths)))
    assert wire.do("list_client_sessions", client_id="somebody")["session_count"] == 4


def test_a_session_that_is_there_is_not_replaced(wire: Wire, tmp_path: Path) -> None:
    first = drop(tmp_path, "first.stui", a_file())
    eventually(lambda: taken(first))
    wire.do("update_session_state", session_id="session_dropped", state_data={"newer": True})
    second = drop(tmp_path, "second.stui", a_file(client="another"))
    eventually(lambda: refused(second))
    assert restored(wire)["session_state"] == {"newer": True}
    assert wire.do("list_client_sessions", client_id="another")["session_count"] == 0


def test_a_file_that_is_still_being_written_is_taken_in_when_it_is_whole(
    wire: Wire, tmp_path: Path
) -> None:
    data, path = a_file(), tmp_path / "slow.stui"
    with path.open("wb") as file:
        for number in range(3):
            file.write(data[number * 50 : number * 50 + 50])
            file.flush()
            # The service looks meanwhile: what settles is another file.
            other = drop(tmp_path, f"other{number}.stui", a_file(f"other{number}"))
            eventually(lambda other=other: taken(other))  # type: ignore[misc]  # a default
            assert path.exists()
        file.write(data[150:])
    eventually(lambda: taken(path))
    assert restored(wire)["session_state"] == {"kept": True}


@pytest.mark.parametrize(
    "data",
    [b"", b"no session", a_file()[:-1], a_file()[:-20] + b"x" * 20],
    ids=["empty", "foreign", "cut", "damaged"],
)
def test_a_file_that_cannot_be_read_is_refused_and_set_aside(
    wire: Wire, tmp_path: Path, data: bytes
) -> None:
    path = drop(tmp_path, "bad.stui", data)
    good = drop(tmp_path, "good.stui", a_file("good"))
    eventually(lambda: taken(good))
    eventually(lambda: refused(path))
    assert path.with_name("bad.stui.refused").read_bytes() == data
    assert wire.do("list_client_sessions", client_id="somebody")["session_count"] == 1


def test_what_is_no_regular_file_does_no_harm(wire: Wire, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "target").write_bytes(a_file())
    (tmp_path / "link.stui").symlink_to(elsewhere / "target")
    os.mkfifo(tmp_path / "pipe.stui")
    (tmp_path / "folder.stui").mkdir()
    with (tmp_path / "huge.stui").open("wb") as file:
        file.truncate(10 * 1024**3)  # of nothing
    good = drop(tmp_path, "good.stui", a_file("good"))
    eventually(lambda: taken(good))
    for name in ("link", "pipe", "huge"):
        eventually(lambda name=name: refused(tmp_path / f"{name}.stui"))  # type: ignore[misc]  # a default
    assert (elsewhere / "target").read_bytes() == a_file()
    assert (tmp_path / "folder.stui").is_dir()
    assert wire.fail("get_session_info", session_id="session_dropped").code == "session_not_found"


def test_no_file_that_was_set_aside_is_ever_replaced(wire: Wire, tmp_path: Path) -> None:
    first = drop(tmp_path, "same.stui", a_file("one"))
    eventually(lambda: taken(first))
    second = drop(tmp_path, "same.stui", a_file("two"))
    eventually((tmp_path / "same.stui.taken.2").exists)
    assert not second.exists()
    assert (tmp_path / "same.stui.taken").read_bytes() == a_file("one")
    assert wire.do("list_client_sessions", client_id="somebody")["session_count"] == 2


def test_a_file_waits_while_nothing_can_be_stored(
    backend: RunningBackend, wire: Wire, tmp_path: Path
) -> None:
    failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)
    path = drop(tmp_path, "dropped.stui", a_file())
    assert failpoints.wait_for_hit("store.commit.before", DEADLINE)
    assert path.exists()
    failpoints.disarm_all()
    backend.restart()  # instead of waiting for the next slow look
    eventually(lambda: taken(path))


@pytest.mark.parametrize("place", ["store.commit.before", "store.commit.after"])
def test_a_file_is_taken_in_once_although_the_writer_dies_of_it(
    wire: Wire, tmp_path: Path, place: str
) -> None:
    failpoints.arm(place, "raise", "EIO")
    path = drop(tmp_path, "dropped.stui", a_file())
    eventually(lambda: taken(path))
    assert restored(wire)["session_state"] == {"kept": True}


def test_a_file_that_was_stored_and_not_renamed_before_a_crash_is_not_refused(
    backend: RunningBackend, tmp_path: Path
) -> None:
    first = drop(tmp_path, "dropped.stui", a_file())
    eventually(lambda: taken(first))
    backend.stop()
    (tmp_path / "dropped.stui.taken").rename(first)  # as if it had been killed in between
    backend.start()
    eventually(lambda: taken(first))
