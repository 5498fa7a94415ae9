"""The demo holds, and ends what it starts however it goes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol.events import Event
from tests.tools.processes import DEADLINE, environment, wait_until
from tools.client.client import Client
from tools.demo import fates
from tools.demo.heard import check_heard
from tools.demo.listener import Listener
from tools.demo.report import DoesNotHold
from tools.demo.streams import Streams
from tools.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
PROCESS = re.compile(r"\(process (\d+)\)")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def demo(
    directory: Path, *arguments: str, more: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The demo, with its temporary files in DIRECTORY."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stui", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(more), "TMPDIR": str(directory)},
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=DEADLINE)
        process.kill()


def smalltalk() -> pytest.MarkDecorator:
    there = (ROOT / "node_modules" / "@ambers" / "lang").is_dir()
    return pytest.mark.skipif(not there, reason="node_modules is missing: `make setup` installs it")


def told_by(directory: Path, kind: str) -> str:
    """What a demo with an image of KIND tells, when it has held and left nothing behind."""
    with demo(directory, "--image", kind) as process:
        output, errors = process.communicate(timeout=50)

    assert (process.returncode, errors) == (ExitCode.DONE, "")
    changes = re.search(r"acknowledged (\d+), present (\d+), lost 0\n", output)
    assert changes, output
    assert int(changes[1]) == int(changes[2]) >= 400  # 50 of four clients, before and after it
    assert "it writes 5 session files" in output
    assert "Each step held." in output
    pids = [int(pid) for pid in PROCESS.findall(output)]
    assert len(pids) == len(set(pids)) == 7, "two images, one of them thrice; a backend thrice"
    assert not any(map(is_alive, pids))
    assert list(directory.iterdir()) == []
    return output


def test_each_step_of_the_demo_holds(tmp_path: Path) -> None:
    output = told_by(tmp_path, "python")

    killed, _, switched = output.partition("The session goes to the python-2 image")
    for part in (killed, switched):
        assert re.search(
            r"^ +variable +ring +restored +\[\[\.\.\.\], an Account", part, re.MULTILINE
        )


@smalltalk()
def test_it_shows_what_comes_back_to_a_killed_smalltalk_and_what_python_takes_over(
    tmp_path: Path,
) -> None:
    output = told_by(tmp_path, "smalltalk")

    killed, _, switched = output.partition("The session goes to the python image")
    for row in (
        r"variable +account +restored +an Account",
        r"variable +owner +restored +an Account",
        r"variable +rate +restored +7",
        r"variable +ring +restored +an Array \(an Array \(\.\.\.\) an Account\)",
        r"variable +twice +lost +a block cannot be kept",
        r"object \S+ +account +restored +an Account",
        r"inspector +windows\[0\]\.object_id +present",
        r"evaluations whose effects are lost: none",
    ):
        assert re.search(rf"^ +{row}", killed, re.MULTILINE), row
    for row in (
        r"variable +account +lost +.*there is no class Account",
        r"variable +rate +restored +7",
        r"variable +ring +partial +.*there is no class Account",
        r"inspector +windows\[0\]\.object_id +missing",
    ):
        assert re.search(rf"^ +{row}", switched, re.MULTILINE), row


def test_what_is_kept_can_be_looked_at(tmp_path: Path) -> None:
    with demo(tmp_path, "--image", "python", "--keep") as process:
        output, _ = process.communicate(timeout=50)
    (kept,) = tmp_path.iterdir()

    assert f"The sessions and logs are in {kept}" in output
    names = {path.name for path in kept.iterdir()}
    assert {"backend.log", "python.log", "python-2.log", "data"} <= names


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_nothing_is_left_of_a_demo_that_is_interrupted(tmp_path: Path, how: signal.Signals) -> None:
    lines: list[str] = []
    with demo(tmp_path, "--image", "python") as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "clients stream changes" in line:
                break
        process.send_signal(how)
        output, errors = process.communicate(timeout=DEADLINE)
    pids = [int(pid) for pid in PROCESS.findall("".join(lines) + output)]

    assert process.returncode == ExitCode.FAILED
    assert "Interrupted" in output
    assert "Traceback" not in errors
    assert pids
    wait_until(lambda: not any(map(is_alive, pids)), "its processes have ended")
    assert list(tmp_path.iterdir()) == []


def test_a_backend_that_does_not_come_up_is_shown_with_its_log(tmp_path: Path) -> None:
    with demo(tmp_path, "--image", "python", more={"STUI_LEASE": "soon"}) as process:
        output, errors = process.communicate(timeout=DEADLINE)

    assert process.returncode == ExitCode.FAILED
    assert "The demo failed." in output
    assert re.search(r"^stui: `stui serve .*` does not come up\.$", errors, re.MULTILINE)
    assert "The end of backend.log:\n    stui: STUI_LEASE: is 'soon'" in errors
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_does_not_hold_fails_the_demo(tmp_path: Path) -> None:
    full = {"STUI_FAILPOINTS": "store.apply.before=raise:ENOSPC*100000"}

    with demo(tmp_path, "--image", "python", more=full) as process:
        output, errors = process.communicate(timeout=DEADLINE)

    assert process.returncode == ExitCode.FAILED
    assert re.search(r"^FAILED .*(session|class)", output, re.MULTILINE)
    assert "storage_unavailable" in errors


def test_a_lost_change_is_noticed(service: str, client: Client) -> None:
    streams = Streams(service, 2)
    streams.start()
    try:
        assert streams.wait_for(3, within=DEADLINE), streams.failures
    finally:
        streams.stop()
    assert streams.lost() == []
    robbed, other = streams.clients

    client.update_session_state(robbed.session_id, {robbed.acknowledged[0]: 0})

    assert streams.lost() == robbed.acknowledged[1:]
    assert streams.acknowledged == len(robbed.acknowledged) + len(other.acknowledged)


def evaluation_events() -> list[Event]:
    """What a client hears of two evaluations, with an event that is only told between them."""
    names = ["started", "finished", "attached", "started", "finished"]
    return [
        Event(
            event=f"session.{name}" if name == "attached" else f"evaluation.{name}",
            seq=10 + number,
            data={"evaluation": 1 if number < 2 else 2},
            timestamp="",
        )
        for number, name in enumerate(names)
    ]


def test_events_that_are_all_there_in_order_are_as_they_should_be() -> None:
    check_heard(evaluation_events(), [10, 11, 13, 14], 2)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda events: events[:-1], r"did not hear the events \[14\]"),
        (lambda events: [events[1], events[0], *events[2:]], "not in order"),
        (lambda events: [events[0], *events], "not in order"),
        (
            lambda events: [*events, msgspec.structs.replace(events[4], event="events_lost")],
            "told of lost events",
        ),
        (lambda events: [msgspec.structs.replace(events[0], seq=9), *events], "heard of evaluat"),
    ],
    ids=["missing", "out of order", "twice", "lost", "evaluated twice"],
)
def test_events_that_are_not_as_they_should_be_are_noticed(
    spoil: Callable[[list[Event]], list[Event]], says: str
) -> None:
    with pytest.raises(DoesNotHold, match=says):
        check_heard(spoil(evaluation_events()), [10, 11, 13, 14], 2)


def report(**changes: Any) -> dict[str, Any]:
    """A restore report of two variables, of which one is lost, an object and a window on it."""
    return {
        "variables": [
            {"name": "rate", "fate": "restored", "print_string": "7"},
            {"name": "twice", "fate": "lost", "reason": "a block cannot be kept"},
        ],
        "objects": [{"object_id": "e-1", "fate": "restored", "via": "rate"}],
        "inspector": [{"path": "w", "object_id": "e-1", "present": True}],
        "evaluations_lost": [],
        **changes,
    }


def test_a_report_is_held_against_what_is_promised() -> None:
    fates.check_variables(report(), restored={"rate"}, lost={"twice"})
    fates.check_nothing_else_lost(report())


@pytest.mark.parametrize(
    "variables",
    [
        [],
        [{"name": "rate", "fate": "restored"}],
        [{"name": "rate", "fate": "partial", "reason": "?"}, {"name": "twice", "fate": "lost"}],
        [{"name": "rate", "fate": "restored"}, {"name": "twice", "fate": "lost"}],
        [{"name": name, "fate": "restored"} for name in ("rate", "twice")],
    ],
    ids=["none", "one missing", "one partial", "no reason", "more than there can be"],
)
def test_variables_that_came_back_otherwise_than_promised_are_noticed(variables: Any) -> None:
    with pytest.raises(DoesNotHold):
        fates.check_variables(report(variables=variables), restored={"rate"}, lost={"twice"})


@pytest.mark.parametrize(
    "changes",
    [
        {"objects": [{"object_id": "e-1", "fate": "lost", "via": "rate"}]},
        {"inspector": [{"path": "w", "object_id": "e-1", "present": False}]},
        {"evaluations_lost": [3]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_losses_are_noticed(changes: dict[str, Any]) -> None:
    with pytest.raises(DoesNotHold):
        fates.check_nothing_else_lost(report(**changes))


def test_the_second_client_hears_what_another_does_until_it_is_stopped(
    service: str, client: Client
) -> None:
    session = client.create_session(image_id="py").session_id
    listener = Listener()
    listener.listen(service, session)
    try:
        number = client.evaluate("answer = 42", session).evaluation
        assert isinstance(number, int)
        assert listener.wait_for_saved(number, DEADLINE), listener.failure
        assert not listener.wait_for_saved(number + 1, 0.0)
    finally:
        listener.stop()

    names = [event.event for event in listener.events]
    assert names.index("evaluation.started") < names.index("evaluation.finished")
    assert not listener.is_alive()


def test_a_second_client_of_a_session_that_is_not_there_says_so(service: str) -> None:
    listener = Listener()
    listener.listen(service, "session_" + "0" * 32)
    try:
        assert not listener.wait_for_number(1, DEADLINE)
        assert "session_not_found" in listener.failure
    finally:
        listener.stop()
