"""The commands that ask a backend, as people and programs use them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.go_between import Message, fake_backend, success
from tests.tools.processes import environment, running, wait_until
from tests.tools.stui_command import Stui, as_json, output, stui_for
from tools.cli.asking import login_name
from tools.cli.command import cli
from tools.client.client import Client
from tools.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
SESSION_ID = re.compile(r"session_[0-9a-f]{32}\n\Z")


@pytest.fixture
def stui(service: str, client: Client) -> Stui:
    return stui_for(service, client)


# --- code


def test_code_is_evaluated_in_a_session_that_is_called_by_name(stui: Stui) -> None:
    assert SESSION_ID.match(output(stui("sessions", "create", "--name", "mine")))

    output(stui("eval", "x = 41", "--session", "mine"))

    assert output(stui("eval", "x + 1", "--session", "mine")) == "42\n"
    assert as_json(stui("eval", "x", "--session", "mine", "--json"))["evaluation"] == 3


def test_a_session_may_be_called_by_the_start_of_its_id(stui: Stui) -> None:
    session = output(stui("sessions", "create")).strip()

    for start in (session[:14], session.removeprefix("session_")[:6]):
        assert as_json(stui("sessions", "info", start, "--json"))["session_id"] == session


def test_a_name_that_fits_several_sessions_is_not_guessed(stui: Stui) -> None:
    for _ in range(2):
        output(stui("sessions", "create", "--name", "twin"))

    result = stui("sessions", "info", "twin")

    assert result.exit_code == ExitCode.CANNOT_START
    assert "'twin' fits 2 sessions" in result.stderr


def test_code_is_read_from_standard_input(stui: Stui) -> None:
    assert output(stui("eval", "-", text="x = 'ü'\nx".encode())) == "'ü'\n"


def test_standard_input_that_is_no_text_is_refused(stui: Stui) -> None:
    result = stui("eval", "-", text=b"\xff")

    assert result.exit_code == ExitCode.FAILED
    assert result.stderr.startswith("stui: Standard input is no UTF-8 text")


def test_an_evaluation_error_is_one_line_and_exit_code_1(stui: Stui) -> None:
    result = stui("eval", "1 / 0")

    assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
    assert result.stderr == "stui: ZeroDivisionError: division by zero\n"


def test_an_error_is_a_json_object_for_programs(stui: Stui) -> None:
    result = stui("eval", "1 / 0", "--json")

    error = json.loads(result.stderr)
    assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
    assert error["error_code"] == "evaluation_error"
    assert error["details"]["class"] == "ZeroDivisionError"


def test_code_that_takes_too_long_is_interrupted(stui: Stui) -> None:
    result = stui("eval", "while True: pass", "--timeout", "0.2")

    assert result.exit_code == ExitCode.FAILED
    assert result.stderr.startswith("stui: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("in_session", [True, False])
def test_ctrl_c_interrupts_the_code(
    client: Client, service: str, tmp_path: Path, in_session: bool
) -> None:
    session = client.create_session().session_id
    marker = tmp_path / "running"
    code = f"open({str(marker)!r}, 'w').close()\nwhile True: pass"
    where = ["--session", session] if in_session else []

    with running(
        "eval", code, *where, stderr=tmp_path / "log", more={"STUI_ENDPOINT": service}
    ) as command:
        wait_until(marker.exists, "the code runs")
        ended = command.end(signal.SIGINT)

    assert ended == (ExitCode.FAILED, "")
    assert command.errors() == "stui: interrupted\n"
    assert client.evaluate("6 * 7", session).result == "42"  # the image is free again


def test_ctrl_c_interrupts_on_the_image_where_the_code_runs(tmp_path: Path) -> None:
    def answer(message: Message) -> list[bytes]:
        return [success(message, {"interrupted": True})] if "interrupt" in message.values() else []

    with (
        fake_backend(answer) as backend,
        running(
            *("eval", "code", "--image", "second"),
            stderr=tmp_path / "log",
            more={"STUI_ENDPOINT": backend.endpoint},
        ) as command,
    ):
        wait_until(lambda: bool(backend.requests), "the code is sent")
        ended = command.end(signal.SIGINT)

    assert ended == (ExitCode.FAILED, "")
    assert backend.requests[-1]["command"] == "interrupt"
    assert backend.requests[-1]["parameters"] == {"image_id": "second"}


def test_a_result_cannot_steer_the_terminal(stui: Stui) -> None:
    code = "class A:\n    def __repr__(self): return '\\x1b[2J'\nA()"

    assert output(stui("eval", code)) == "\N{REPLACEMENT CHARACTER}[2J\n"


# --- sessions


def test_sessions_are_listed_with_what_people_want_to_know(stui: Stui) -> None:
    nothing = output(stui("sessions", "list"))
    session = output(stui("sessions", "create", "--name", "first", "--expires-after", "90")).strip()

    titles, row = output(stui("sessions", "list")).splitlines()

    assert "has no sessions" in nothing
    assert titles.split()[:4] == ["SESSION", "NAME", "STATUS", "REVISION"]
    assert row.split()[:4] == [session, "first", "active", "1"]
    assert re.search(r"1 min( \d+ s)?\Z", row)


def test_a_session_goes_through_its_life(stui: Stui) -> None:
    session = output(stui("sessions", "create", "--name", "first", "--image", "py")).strip()
    output(stui("eval", "x = 1", "--session", "first"))

    assert output(stui("sessions", "rename", "first", "second")) == f"{session} is second now\n"
    assert "second" in output(stui("sessions", "info", session))
    assert "x = 1" in output(stui("sessions", "history", "second"))
    assert output(stui("sessions", "close", "second")) == f"{session} is closed\n"
    assert session not in output(stui("sessions", "list"))
    assert "closed" in output(stui("sessions", "list", "--all"))
    restored = output(stui("sessions", "restore", "second"))
    assert re.search(r"^workspace +\w+$", restored, re.MULTILINE)
    assert output(stui("eval", "x", "--session", "second")) == "1\n"
    assert "x = 1" in restored
    assert output(stui("sessions", "delete", session, "--yes")) == f"{session} is removed\n"
    assert stui("sessions", "info", session).exit_code == ExitCode.FAILED


def test_a_session_is_not_deleted_without_a_yes(stui: Stui) -> None:
    session = output(stui("sessions", "create")).strip()

    result = stui("sessions", "delete", session, text=b"n\n")

    assert result.exit_code == ExitCode.FAILED
    assert "for good?" in result.stderr
    assert session in output(stui("sessions", "list"))


def test_showing_a_session_does_not_use_it(stui: Stui) -> None:
    session = output(stui("sessions", "create")).strip()
    output(stui("eval", "6 * 7", "--session", session))
    output(stui("sessions", "close", session))

    shown = output(stui("sessions", "show", session))
    told = as_json(stui("sessions", "show", session, "--json"))

    assert "6 * 7" in shown
    assert told["history"]["history"][0]["result"] == "42"
    assert told["info"]["status"] == "closed"
    assert as_json(stui("sessions", "info", session, "--json"))["status"] == "closed"


def test_a_history_shows_failures_and_what_comes_after_a_number(stui: Stui) -> None:
    session = output(stui("sessions", "create")).strip()
    nothing = output(stui("sessions", "history", session))
    for code in ("1", "1 / 0", "3"):
        stui("eval", code, "--session", session)

    lines = output(stui("sessions", "history", session, "--since", "1")).splitlines()

    assert nothing == "nothing was evaluated\n"
    assert [line.split()[:2] for line in lines[1:]] == [["2", "failed"], ["3", "finished"]]
    assert "division by zero" in lines[1]


# --- images and the service


def test_images_are_connected_shown_and_disconnected(stui: Stui, tmp_path: Path) -> None:
    arguments = ["--bind", "tcp://127.0.0.1:*", "--state-dir", str(tmp_path)]
    with running("image", "python", *arguments, stderr=tmp_path / "log") as image:
        address = image.endpoint()

        connected = output(stui("images", "connect", address, "--name", "second"))
        listed = output(stui("images", "list"))
        told = as_json(stui("images", "list", "--json"))["images"]
        output(stui("images", "disconnect", "second"))

    assert address in connected
    assert re.search(r"^is +Python 3", connected, re.MULTILINE)
    assert "second" in listed
    assert {image["name"] for image in told} == {"py", "second"}
    assert "second" not in output(stui("images", "list"))
    assert "the image answers" in output(stui("images", "status", "py"))


@pytest.mark.parametrize("address", ["here", "tcp://127.0.0.1:9"], ids=["no address", "nobody"])
def test_an_image_that_cannot_be_connected_is_reported_in_one_line(
    stui: Stui, client: Client, address: str
) -> None:
    result = stui("images", "connect", address)
    for image in client.list_images():
        if image.address == address:  # it is remembered, in case that it comes up
            client.disconnect_image(image.image_id)

    assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
    assert result.stderr.startswith("stui: ")
    assert result.stderr.count("\n") == 1


def test_the_status_has_everything_at_a_glance(stui: Stui, service: str) -> None:
    bare = output(stui("status"))
    session = output(stui("sessions", "create")).strip()

    text, told = output(stui("status")), as_json(stui("status", "--json"))

    assert "no sessions of" in bare
    assert text.startswith(f"stui at {service}, up for ")
    assert session in text
    assert "py" in text
    assert told["service"]["status"] == "ready"
    assert [info["session_id"] for info in told["sessions"]] == [session]


# --- the command itself


def test_where_nothing_answers_the_exit_code_is_3(stui: Stui) -> None:
    result = stui("status", "--timeout", "0.3", STUI_ENDPOINT="tcp://127.0.0.1:9")

    assert (result.exit_code, result.stdout) == (ExitCode.NO_ANSWER, "")
    assert result.stderr == (
        "stui: nothing answers at tcp://127.0.0.1:9 (waited 0.3 s): is `stui serve` running?\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["sessions", "shwo"],
        ["eval"],
        ["status", "--timeout", "0"],
        ["status", "--endpoint", "nowhere"],
    ],
    ids=" ".join,
)
def test_wrong_usage_has_exit_code_2(stui: Stui, arguments: list[str]) -> None:
    assert stui(*arguments).exit_code == ExitCode.CANNOT_START


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_for_each_shell(stui: Stui, shell: str) -> None:
    assert "_STUI_COMPLETE" in output(stui("completion", shell))


def test_every_command_explains_itself(stui: Stui) -> None:
    commands = [["--help"], *([name, "--help"] for name in cli.commands)]

    for arguments in commands:
        assert len(output(stui(*arguments)).splitlines()) > 5, arguments


def test_the_module_is_the_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "stui", "--version"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        check=True,
    )

    assert re.fullmatch(r"stui \d+\.\d+\.\d+\n", result.stdout)


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ("alice", "alice"),
        ("DOMAIN\\böb smith", "DOMAIN-b-b-smith"),
        ("_svc", "svc"),
        ("!!", "stui"),
    ],
)
def test_the_client_is_the_login_name_made_to_fit(
    monkeypatch: pytest.MonkeyPatch, login: str, expected: str
) -> None:
    monkeypatch.setenv("LOGNAME", login)

    assert login_name() == expected
