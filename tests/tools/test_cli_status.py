"""`stui status` as an operator and a monitoring program see it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.tools.processes import running, serving, wait_until
from tests.tools.stui_command import Stui, as_json, output, stui_for
from tools.client.client import Client
from tools.exit_codes import ExitCode


@pytest.fixture
def stui(service: str, client: Client) -> Stui:
    return stui_for(service, client)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_where_all_is_well_it_counts_sessions_and_the_exit_code_is_0(stui: Stui) -> None:
    output(stui("sessions", "create"))

    text, told = output(stui("status")), as_json(stui("status", "--json"))

    assert "active" in text.splitlines()[1]
    assert told["attention"] == []


def test_an_image_that_is_away_needs_attention_and_the_exit_code_is_1(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    arguments = serving(tmp_path, "--image", f"amber={address}")
    with (
        running(*arguments, stderr=tmp_path / "log") as backend,
        Client(backend.endpoint(), client_id="me") as client,
    ):
        stui = stui_for(client.endpoint, client)
        text, told = stui("status"), stui("status", "--json")

    assert (text.exit_code, told.exit_code) == (ExitCode.FAILED, ExitCode.FAILED)
    assert f"attention: the image amber at {address} is " in text.stdout
    assert len(json.loads(told.stdout)["attention"]) == 1


def test_a_disk_that_refuses_needs_attention_where_it_may_ask_for_the_health(
    tmp_path: Path,
) -> None:
    metrics = f"127.0.0.1:{free_port()}"
    more = {"STUI_METRICS": metrics, "STUI_FAILPOINTS": "store.begin=raise:ENOSPC*1000000"}
    with (
        running(*serving(tmp_path), stderr=tmp_path / "log", more=more) as backend,
        Client(backend.endpoint(), client_id="me") as client,
    ):
        stui = stui_for(client.endpoint, client)
        assert stui("sessions", "create").exit_code == ExitCode.FAILED
        wait_until(
            lambda: stui("status", "--metrics", metrics).exit_code == ExitCode.FAILED,
            "the disk is known to refuse",
        )
        text = stui("status", STUI_METRICS=metrics).stdout
        unasked = stui("status")

    assert "attention: not ready: the disk refuses changes" in text
    assert unasked.exit_code == ExitCode.DONE


def test_a_disk_that_does_not_answer_needs_attention_and_is_told_nevertheless(
    tmp_path: Path,
) -> None:
    metrics = f"127.0.0.1:{free_port()}"
    more = {"STUI_METRICS": metrics, "STUI_FAILPOINTS": "read.before=delay:3600*1000@20"}
    with (
        running(*serving(tmp_path), stderr=tmp_path / "log", more=more) as backend,
        Client(backend.endpoint(), client_id="me", timeout=0.2) as client,
    ):
        stui = stui_for(client.endpoint, client)
        wait_until(lambda: "does not tell" in stui("status", "--timeout", "0.2").stdout, "it waits")
        wait_until(
            lambda: (
                "the disk has not"
                in stui("status", "--timeout", "0.2", STUI_METRICS=metrics).stdout
            ),
            "it is known why",
        )
        text = stui("status", "--timeout", "0.2", "--metrics", metrics)
        told = stui("status", "--timeout", "0.2", "--json")
        backend.process.kill()

    assert (text.exit_code, told.exit_code) == (ExitCode.FAILED, ExitCode.FAILED)
    assert "attention: not ready: the disk has not answered for " in text.stdout
    assert "attention: it does not tell what is stored: " in text.stdout
    assert json.loads(told.stdout)["statistics"] is None
    assert json.loads(told.stdout)["service"]["status"] == "ready"


@pytest.mark.parametrize("address", ["127.0.0.1:9", "no address", "127.0.0.1:99999"])
def test_a_health_that_nobody_tells_needs_attention(stui: Stui, address: str) -> None:
    result = stui("status", "--metrics", address)

    assert result.exit_code == ExitCode.FAILED
    assert f"attention: nothing tells of its health at {address}: " in result.stdout
