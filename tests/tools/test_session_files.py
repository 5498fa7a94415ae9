"""`stui sessions show FILE`, which needs no backend."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from protocol.ids import ClientId, SessionId
from protocol.requests import JsonText
from storage.document import Evaluation, Knowledge, SessionHead, StoredSection
from storage.session_file import write_file
from storage.store import SessionContents
from tools.cli.command import cli
from tools.exit_codes import ExitCode


@pytest.fixture
def session_file(tmp_path: Path) -> Path:
    path = tmp_path / "session.stui"
    head = SessionHead(
        session_id=SessionId("session_1"),
        client_id=ClientId("me"),
        created_at=0,
        last_modified=60,
        timeout=3600,
        name="first",
        client_info=JsonText(b'{"terminal":"xterm"}'),
        revision=3,
    )
    evaluation = Evaluation(
        number=1, code="6 * 7", state="finished", started_at=1, request="r", result="42"
    )
    sections: dict[StoredSection, JsonText] = {
        "session_state": JsonText(b'{"cursor":7}'),
        "knowledge": JsonText(msgspec.json.encode(Knowledge(variables=["x", "total"]))),
    }
    contents = SessionContents(3, head, sections, [evaluation])
    write_file(path, contents)
    return path


def show(*arguments: object) -> Result:
    # Nothing is asked of it; it is where nobody listens.
    return CliRunner().invoke(
        cli, ["sessions", "show", *map(str, arguments)], env={"STUI_ENDPOINT": "tcp://127.0.0.1:9"}
    )


def test_a_file_is_shown_to_people(session_file: Path) -> None:
    result = show(session_file)

    assert result.exit_code == ExitCode.DONE
    assert "first" in result.stdout
    assert '{"cursor":7}' in result.stdout
    assert re.search(r"^variables +x total$", result.stdout, re.MULTILINE)
    assert result.stdout.splitlines()[-1].split() == ["1", "finished", "6", "*", "7", "42"]


def test_a_file_is_shown_to_programs_whole(session_file: Path) -> None:
    shown = json.loads(show(session_file, "--json").stdout)

    assert shown["session"]["session_id"] == "session_1"
    assert shown["session"]["client_info"] == {"terminal": "xterm"}
    assert shown["sections"]["session_state"] == {"cursor": 7}
    assert shown["sections"]["knowledge"]["variables"] == ["x", "total"]
    assert shown["evaluations"][0]["result"] == "42"


def test_the_generation_before_is_shown_as_well(session_file: Path) -> None:
    previous = session_file.rename(session_file.with_name("session.stui.previous"))

    assert "first" in show(previous).stdout


def test_a_damaged_file_is_reported_in_one_line(session_file: Path) -> None:
    damaged = bytearray(session_file.read_bytes())
    damaged[-1] ^= 1
    session_file.write_bytes(damaged)

    result = show(session_file)

    assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
    assert result.stderr.startswith(f"stui: {session_file} is damaged")
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_there_is_reported_in_one_line(tmp_path: Path) -> None:
    result = show(tmp_path / "gone.stui")

    assert result.exit_code == ExitCode.FAILED
    problem = "cannot be read: No such file or directory."
    assert result.stderr == f"stui: {tmp_path}/gone.stui {problem}\n"
