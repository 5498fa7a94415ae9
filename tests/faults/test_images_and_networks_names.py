from __future__ import annotations

import threading
from pathlib import Path

import pytest

from actors.directory.name_lookup import LookedUp, NameLookup, has_name
from tests.support.far_image import backend_beside_near
from tests.support.images import fake_image
from tests.support.neighbour import nobody_else_suffers
from tests.support.network import network
from tests.support.own_names import own_names
from tests.support.waiting import DEADLINE, eventually


def test_a_name_that_stops_being_answered_holds_up_nobody_and_is_found_again(
    tmp_path: Path,
) -> None:
    with (
        own_names(tmp_path) as names,
        fake_image("far") as far,
        network(far.endpoint) as between,
        backend_beside_near(tmp_path, names.prefix) as (backend, _),
        backend.client(dealer=True) as client,
    ):
        names.know("far.test")
        address = between.endpoint.replace("127.0.0.1", "far.test")
        assert client.do("connect_image", address=address, name="far")["status"] == "Connected"
        session = client.new_session(image_id="far")
        assert client.do("evaluate", session_id=session, code="before")["result"] == "before"
        with nobody_else_suffers(backend) as neighbour:
            names.know()
            between.cut()
            eventually(lambda: _status(client.do("list_images")) == "Reconnecting")
            before = neighbour.rounds
            eventually(lambda: neighbour.rounds > before + 50)
            names.know("far.test")
            eventually(lambda: _status(client.do("list_images")) == "Connected", 30)
        assert client.do("evaluate", session_id=session, code="after")["result"] == "after"


def _status(listed: dict[str, list[dict[str, str]]]) -> str:
    (found,) = (entry["status"] for entry in listed["images"] if entry["name"] == "far")
    return found


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("tcp://localhost:5555", True),
        ("tcp://image-1.example.org:5555", True),
        ("tcp://1und1:5555", True),
        ("tcp://127.0.0.1:5555", False),
        ("tcp://[::1]:5555", False),
        ("tcp://eth0;host:5555", False),
        ("tcp://host", False),
        ("tcp://:5555", False),
        ("tcp://a b:5555", False),
        ("ipc:///tmp/door", False),
        ("", False),
    ],
)
def test_only_names_of_hosts_are_looked_up(address: str, named: bool) -> None:
    assert has_name(address) is named


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("tcp://localhost:5555", "tcp://127.0.0.1:5555"),
        ("tcp://no-such-host.invalid:5555", None),
        ("tcp://" + "x" * 64 + ".invalid:5555", None),
        ("tcp://a..b:5555", None),
    ],
)
def test_a_lookup_always_tells_its_end(address: str, found: str | None) -> None:
    ended: list[LookedUp] = []
    told = threading.Event()

    def then(end: LookedUp) -> None:
        ended.append(end)
        told.set()

    lookup = NameLookup(address, then)
    assert told.wait(2 * DEADLINE)
    (end,) = ended
    assert end.lookup is lookup
    assert (end.address if not end.problem else None) == found
