"""What `stui doctor` says of addresses is what `stui serve` does with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq

from actors.gateway.front_door import CannotBind, FrontDoor
from tests.tools.doctoring import is_well, site_at, told


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:http",
        "tcp://:5555",
        "tcp://",
        "ipc://",
        f"ipc:///{'x' * 200}",
        f"ipc:///{'ü' * 100}",
        "http://127.0.0.1:80",
        "here",
        "",
    ],
)
def test_an_address_at_which_serve_cannot_listen_is_an_error(tmp_path: Path, address: str) -> None:
    assert is_refused(address)
    site = site_at(tmp_path / "data", bind=(address,))

    assert f"nobody can listen at {address} (bind): " in told(site, "configuration", "error")
    assert "the settings are valid" not in told(site, "configuration", "ok")
    assert f"nobody can listen at {address}: " in told(site, "ports", "error")


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:*", "tcp://127.0.0.1:0", "tcp://*:*", "tcp://lo:*", "ipc://*"]
)
def test_an_address_at_which_serve_can_listen_is_none(tmp_path: Path, address: str) -> None:
    assert not is_refused(address)
    assert is_well(site_at(tmp_path / "data", bind=(address, address)), "configuration")


def test_a_port_for_metrics_that_there_is_not_is_an_error(tmp_path: Path) -> None:
    site = site_at(tmp_path / "data", metrics="127.0.0.1:99999")

    for check in ("configuration", "ports"):
        assert "nobody can listen at 127.0.0.1:99999" in told(site, check, "error")


def is_refused(address: str) -> bool:
    """Whether a backend's door does not open at ADDRESS."""
    with zmq.Context() as context:
        door = FrontDoor(context)
        try:
            door.open((address,))
        except CannotBind:
            return True
        finally:
            door.close()
    return False
