"""The commands for the sessions on images, clean-up and the trash, as people use them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tests.tools.processes import running
from tests.tools.stui_command import Stui, as_json, output, stui_for
from tools.client.client import Client
from tools.exit_codes import ExitCode


@pytest.fixture
def stui(service: str, client: Client) -> Stui:
    return stui_for(service, client)


def expired_session(stui: Stui, name: str) -> str:
    """A session on the image that has expired at once."""
    made = stui("sessions", "create", "--name", name, "--image", "py", "--expires-after", "0.05")
    session = output(made).strip()

    def expired() -> bool:
        return bool(as_json(stui("sessions", "info", session, "--json"))["is_expired"])

    eventually(expired)
    return session


def test_the_sessions_on_an_image_are_listed_and_counted(stui: Stui) -> None:
    session = output(stui("sessions", "create", "--name", "first", "--image", "py")).strip()

    listed = output(stui("images", "sessions", "py"))
    everywhere = as_json(stui("images", "sessions", "--json"))
    stats = output(stui("images", "stats", "py"))
    counted = as_json(stui("images", "stats", "py", "--json"))

    assert re.search(rf"^{session} +first .* Connected ", listed, re.MULTILINE)
    assert session in [each["session_id"] for each in everywhere["sessions"]]
    assert re.search(r"in all, \d+ orphaned$", listed)
    assert re.search(rf"^sessions +{counted['total_sessions']}$", stats, re.MULTILINE)


def test_a_clean_up_is_previewed_done_and_undone(stui: Stui, client: Client) -> None:
    session = expired_session(stui, "old")

    preview = output(stui("images", "cleanup", "py", "--expired", "--dry-run"))
    untouched = output(stui("sessions", "trash", "list"))
    done = output(stui("images", "cleanup", "py", "--expired"))
    trash = output(stui("sessions", "trash", "list"))
    told = as_json(stui("sessions", "trash", "list", "--all", "--json"))["sessions"]
    restored = output(stui("sessions", "trash", "restore", "old"))

    assert re.search(rf"^{session} +trash +expired: not used for ", preview, re.MULTILINE)
    assert "would go to the trash" in preview
    assert untouched == "the trash is empty\n"
    assert "are in the trash now" in done
    assert re.search(rf"^{session} +old +{client.client_id} .* expired: ", trash, re.MULTILINE)
    assert session in [each["session_id"] for each in told]
    assert restored == f"{session} is open again\n"
    assert output(stui("sessions", "trash", "list")) == "the trash is empty\n"


def test_sessions_that_were_used_lately_are_spared_where_that_is_asked_for(stui: Stui) -> None:
    session = expired_session(stui, "lately")

    told = as_json(stui("images", "cleanup", "py", "--unused-for", "1", "--dry-run", "--json"))

    assert "less than 1 h" in told["protected"][session]


def test_a_session_is_moved_to_another_image(stui: Stui, tmp_path: Path) -> None:
    session = output(stui("sessions", "create", "--name", "moves", "--image", "py")).strip()
    output(stui("eval", "x = 41", "--session", "moves"))
    arguments = ["--bind", "tcp://127.0.0.1:*", "--state-dir", str(tmp_path)]
    with running("image", "python", *arguments, stderr=tmp_path / "log") as image:
        output(stui("images", "connect", image.endpoint(), "--name", "second"))

        moved = output(stui("images", "switch", "second", "--session", "moves"))
        value = output(stui("eval", "x + 1", "--session", "moves"))
        again = stui("images", "switch", "nobody", "--session", "moves")
        output(stui("images", "disconnect", "second"))

    assert moved.startswith(f"{session} is on ")
    assert value == "42\n"
    assert again.exit_code == ExitCode.FAILED
    assert "nobody" in again.stderr
