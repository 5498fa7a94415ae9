"""Kills a backend that takes in a file dropped into its directory, at its renaming."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.machinery.test_dropped_files import a_file, drop, restored, taken
from tests.support.waiting import eventually
from tests.support.wire import Wire
from tests.tools.processes import Process, running, serving


@pytest.mark.parametrize("place", ["dropped.rename.before", "dropped.rename.after"])
def test_a_file_whose_taking_in_was_cut_short_is_taken_in_once(tmp_path: Path, place: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    path = drop(data, "dropped.stui", a_file())
    killed = Process(serving(tmp_path), tmp_path / "first", {"STUI_FAILPOINTS": f"{place}=kill"})
    assert killed.wait()[0] == -signal.SIGKILL, killed.errors()
    with running(*serving(tmp_path), stderr=tmp_path / "second") as again:
        endpoint = again.endpoint()
        eventually(lambda: taken(path))
        with Wire(endpoint) as wire:
            found = wire.do("list_client_sessions", client_id="somebody", include_closed=True)
            assert [each["revision"] for each in found["sessions"]] == [4]
            back = restored(wire)
            assert back["session_state"] == {"kept": True}
            assert [entry["state"] for entry in back["history"]] == ["finished", "unknown"]
            wire.do("update_session_state", session_id=back["session_id"], state_data={"new": 1})
    with running(*serving(tmp_path), stderr=tmp_path / "third") as later:
        with Wire(later.endpoint()) as wire:
            assert restored(wire)["session_state"] == {"new": 1}
        assert sorted(each.name for each in data.glob("dropped*")) == ["dropped.stui.taken"]
