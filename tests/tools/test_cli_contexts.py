"""The commands for contexts, portable files, preferences and events, as people use them."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.tools.processes import running
from tests.tools.stui_command import Stui, as_json, output, stui_for
from tools.client.client import Client
from tools.exit_codes import ExitCode


@pytest.fixture
def stui(service: str, client: Client) -> Stui:
    return stui_for(service, client)


@pytest.fixture
def session(stui: Stui) -> str:
    """A session called `first` in which x is 41."""
    session = output(stui("sessions", "create", "--name", "first", "--image", "py")).strip()
    output(stui("eval", "x = 41", "--session", "first"))
    return session


# --- contexts


def test_a_context_is_saved_listed_and_gone_back_to(stui: Stui, session: str) -> None:
    assert output(stui("sessions", "save", "first", "before")) == "saved as context 1\n"
    output(stui("eval", "x = 0", "--session", "first"))

    listed = output(stui("sessions", "contexts", "first"))
    told = as_json(stui("sessions", "contexts", "first", "--json"))["contexts"]
    loaded = output(stui("sessions", "load", "first", "1"))

    assert re.search(r"^1 +saved +before ", listed, re.MULTILINE)
    assert told[-1]["integrity"] == "verified"
    assert loaded.startswith(f"{session} is as in context 1\nworkspace  restored\n")
    assert output(stui("eval", "x", "--session", "first")) == "41\n"
    back = re.search(r"back again: stui (.*)", loaded)
    assert back is not None
    output(stui(*back[1].split()))
    assert output(stui("eval", "x", "--session", "first")) == "0\n"


def test_a_context_that_is_not_there_is_reported_in_one_line(stui: Stui, session: str) -> None:
    result = stui("sessions", "load", session, "7")

    assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
    assert result.stderr.count("\n") == 1


def test_a_summary_shows_the_variables(stui: Stui, session: str) -> None:
    output(stui("sessions", "save", session))

    text = output(stui("sessions", "summary", session))

    assert re.search(r"^x +int .* 41", text, re.MULTILINE)
    assert "verified" in text


def test_a_session_is_cleared_and_the_way_back_is_said(stui: Stui, session: str) -> None:
    cleared = output(stui("sessions", "clear", session, "--only", "variables"))
    gone = stui("eval", "x", "--session", session)
    back = re.search(r"back again: stui (.*)", cleared)

    assert cleared.startswith("cleared: 1 variables")
    assert "NameError" in gone.stderr
    assert back is not None
    output(stui(*back[1].split()))
    assert output(stui("eval", "x", "--session", session)) == "41\n"


# --- portable files


def test_a_session_is_exported_to_a_file_and_imported_from_it(
    stui: Stui, session: str, tmp_path: Path
) -> None:
    file = tmp_path / "first.stui"

    exported = output(stui("sessions", "export", "first", str(file)))
    again = stui("sessions", "export", "first", str(file))
    made = output(stui("sessions", "import", str(file), "--name", "second")).strip()

    assert exported.startswith(f"{file} (")
    assert again.exit_code == ExitCode.FAILED
    assert "--force" in again.stderr
    assert output(stui("sessions", "export", "first", str(file), "--force"))
    assert made != session
    assert output(stui("eval", "x + 1", "--session", "second")) == "42\n"
    assert "x = 41" in output(stui("sessions", "show", str(file)))


def test_a_session_goes_through_a_pipe(stui: Stui, session: str) -> None:
    exported = stui("sessions", "export", session, "-")

    made = output(stui("sessions", "import", "-", text=exported.stdout_bytes)).strip()

    assert made != session
    assert "x = 41" in output(stui("sessions", "history", made))


def test_a_file_that_is_no_session_is_refused(stui: Stui, tmp_path: Path) -> None:
    (tmp_path / "bad.stui").write_bytes(b"no session")

    for path in (tmp_path / "bad.stui", tmp_path / "not there"):
        result = stui("sessions", "import", str(path))

        assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
        assert result.stderr.count("\n") == 1


def test_a_fork_goes_its_own_way(stui: Stui, session: str) -> None:
    fork = output(stui("sessions", "fork", session, "--name", "fork")).strip()
    output(stui("eval", "x = 0", "--session", "fork"))

    assert output(stui("eval", "x", "--session", fork)) == "0\n"
    assert output(stui("eval", "x", "--session", session)) == "41\n"


# --- preferences


def test_preferences_are_set_and_read(stui: Stui) -> None:
    assert output(stui("prefs", "get")) == "{}\n"

    output(stui("prefs", "set", '{"theme": "dark"}'))

    assert json.loads(output(stui("prefs", "get"))) == {"theme": "dark"}
    assert as_json(stui("prefs", "get", "--json"))["revision"] == 1
    output(stui("prefs", "set", "-", text=b'{"size": 1}'))
    assert json.loads(output(stui("prefs", "get"))) == {"size": 1}


@pytest.mark.parametrize("value", ["", "[1]", "{", '"text"'])
def test_preferences_that_are_no_object_are_refused(stui: Stui, value: str) -> None:
    result = stui("prefs", "set", value)

    assert result.exit_code == ExitCode.FAILED
    assert "is no JSON object" in result.stderr


# --- events


def test_events_are_printed_one_a_line_for_programs(stui: Stui, session: str) -> None:
    lines = output(
        stui("events", session, "--since", "0", "--topic", "evaluation", "--count", "1", "--json")
    ).splitlines()

    events = [json.loads(line) for line in lines]
    assert [event["session_id"] for event in events] == [session]
    assert events[0]["event"].startswith("evaluation.")


def test_events_come_as_they_happen_until_ctrl_c(
    client: Client, service: str, session: str, tmp_path: Path
) -> None:
    arguments = ["events", session, "--topic", "evaluation", "--since", "0"]
    where = {"STUI_ENDPOINT": service}
    with (
        running(*arguments, stderr=tmp_path / "log", more=where) as endless,
        running(*arguments, "--count", "4", stderr=tmp_path / "log2", more=where) as counting,
    ):
        assert "evaluation." in endless.first_line()
        assert "evaluation." in counting.first_line()
        client.evaluate("x = 42", session)
        exit_code, rest = counting.wait()
        ended = endless.end(signal.SIGINT)

    assert exit_code == ended[0] == ExitCode.DONE
    assert re.search("evaluation.finished +evaluation=2 ", rest)
    assert endless.errors() == counting.errors() == ""


def test_events_of_a_session_that_is_not_there_are_an_error(stui: Stui) -> None:
    result = stui("events", "session_" + "0" * 32)

    assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
    assert result.stderr.startswith("stui: ")
