"""The fault driver itself: what is broken it must see, and what it draws it must draw again."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from storage.failpoints import arm_from, disarm_all
from tests.support.wire import Message
from tools.faults import __main__ as program
from tools.faults.books import Books, Clockwork, summed
from tools.faults.plan import drawn
from tools.faults.plot import as_svg, draw
from tools.faults.report import Report, as_json, as_text
from tools.faults.service import Program
from tools.faults.wire import Reply
from tools.faults.workers import Evaluator, Keeper, Refused, Updater

Answers = Callable[[str, Message], Message]

REPORT = Report(
    seed=7,
    seconds=3.0,
    workers=5,
    kills={"backend": 2, "image": 1},
    books=Books(operations=100, acknowledged=90, repeated=4, unknown=1),
    passed=["store.begin"],
    recoveries=[0.5, 0.7, 2.0],
    curve=[(0.1, 3, 0), (1.0, 40, 1), (3.0, 90, 2)],
)


def made(kind: type, answers: Answers, **how: Any) -> Any:
    """A worker whose requests are answered by a function."""
    worker = kind("somebody", lambda: "", Clockwork(), 1, dialect="command", cbor=False, **how)
    worker.do = lambda command, **parameters: answers(command, parameters)
    worker.prepare()
    return worker


class ItsSession:
    """Answers to an updater, as they should be, until something is broken."""

    def __init__(self) -> None:
        self.revision, self.state = 1, Message()

    def __call__(self, command: str, parameters: Message) -> Message:
        if command == "create_session":
            self.revision = 1
        if command == "update_session_state":
            self.revision += 1
            self.state = parameters["state_data"]
        return {
            "session_id": "session_1",
            "revision": self.revision,
            "session_state": self.state,
        }


def test_an_updater_has_nothing_to_say_where_all_is_well() -> None:
    updater = made(Updater, ItsSession())
    for _ in range(70):
        updater.step()
    updater.check()
    assert summed([updater.books]).is_clean
    assert updater.books.acknowledged == 70


@pytest.mark.parametrize("revision", [-1, 0])
def test_an_updater_sees_an_update_that_is_lost(revision: int) -> None:
    session = ItsSession()
    updater = made(Updater, session)
    updater.step()
    session.revision += revision
    session.state = {}
    updater.check()
    assert updater.books.lost


def test_an_updater_sees_an_update_that_was_applied_twice() -> None:
    session = ItsSession()
    updater = made(Updater, session)
    updater.step()
    session.revision += 1
    updater.check()
    updater.step()
    assert len(updater.books.duplicated) == 2


class ItsWorkspace:
    """Answers to an evaluator; `seen` and the history are what it will be shown."""

    def __init__(self, ledger: Path, *, saved: bool = True) -> None:
        self.ledger, self.saved = ledger, saved
        self.seen: list[int] = []
        self.states: list[str] = []

    def __call__(self, command: str, parameters: Message) -> Message:
        if command == "get_session_history":
            entries = [
                {"evaluation": number, "state": state}
                for number, state in enumerate(self.states, start=1)
                if number > parameters["since"]
            ]
            return {"history": entries, "total": len(self.states)}
        if command == "evaluate":
            self.states.append("finished")
            if "open(" in parameters["code"]:
                self.seen.append(len(self.seen) + 1)
                self.note(self.seen[-1])
        return {"session_id": "session_1", "result": repr(self.seen), "context_saved": self.saved}

    def note(self, number: int) -> None:
        with self.ledger.open("a") as ledger:
            ledger.write(f"somebody {number}\n")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger"
    path.touch()
    return path


def an_evaluator(workspace: ItsWorkspace) -> Any:
    evaluator = made(Evaluator, workspace, ledger=workspace.ledger, image="any")
    for _ in range(3):
        evaluator.step()
    return evaluator


def test_an_evaluator_has_nothing_to_say_where_all_is_well(ledger: Path) -> None:
    evaluator = an_evaluator(ItsWorkspace(ledger))
    evaluator.check()
    assert summed([evaluator.books]).is_clean


def test_an_evaluator_sees_code_that_ran_twice(ledger: Path) -> None:
    workspace = ItsWorkspace(ledger)
    evaluator = an_evaluator(workspace)
    workspace.note(2)
    evaluator.check()
    assert evaluator.books.duplicated


def test_an_evaluator_sees_code_that_was_answered_and_never_ran(ledger: Path) -> None:
    evaluator = an_evaluator(ItsWorkspace(ledger))
    ledger.write_text("somebody 1\nsomebody 3\n")
    evaluator.check()
    assert evaluator.books.lost


def test_an_evaluator_sees_code_that_nobody_has_asked_for(ledger: Path) -> None:
    workspace = ItsWorkspace(ledger)
    evaluator = an_evaluator(workspace)
    workspace.note(99)
    evaluator.check()
    assert evaluator.books.wrong


@pytest.mark.parametrize(("saved", "lost"), [(True, 1), (False, 0)])
def test_an_evaluator_misses_what_was_saved_and_only_that(
    ledger: Path, saved: bool, lost: int
) -> None:
    workspace = ItsWorkspace(ledger, saved=saved)
    evaluator = an_evaluator(workspace)
    workspace.seen.remove(2)
    evaluator.check()
    assert len(evaluator.books.lost) == lost


def test_an_evaluator_sees_a_workspace_in_which_code_has_run_twice(ledger: Path) -> None:
    workspace = ItsWorkspace(ledger)
    evaluator = an_evaluator(workspace)
    workspace.seen.append(1)
    evaluator.check()
    assert evaluator.books.duplicated


@pytest.mark.parametrize(
    ("states", "kind"),
    [(["finished"] * 2, "lost"), (["finished"] * 3 + ["running"], "wrong")],
)
def test_an_evaluator_sees_a_history_that_is_not_true(
    ledger: Path, states: list[str], kind: str
) -> None:
    workspace = ItsWorkspace(ledger)
    evaluator = an_evaluator(workspace)
    workspace.states = states
    evaluator.check()
    assert getattr(evaluator.books, kind)


def test_an_evaluator_counts_an_end_that_nobody_knows(ledger: Path) -> None:
    workspace = ItsWorkspace(ledger)
    evaluator = an_evaluator(workspace)

    def unknown(command: str, **parameters: object) -> Message:
        raise Refused(Reply("1", {}, "outcome_unknown", "nobody knows"))

    answered, evaluator.do = evaluator.do, unknown
    evaluator.step()
    evaluator.do = answered
    evaluator.check()
    assert evaluator.books.unknown == 1
    assert summed([evaluator.books]).is_clean


@pytest.mark.parametrize(("mark", "lost"), [("1", 0), ("-1", 1)])
def test_a_keeper_sees_a_context_that_was_not_loaded(mark: str, lost: int) -> None:
    reply = {"session_id": "session_1", "context_id": "c", "context_saved": True, "result": mark}
    keeper = made(Keeper, lambda command, parameters: reply, image="any")
    keeper.step()
    assert len(keeper.books.lost) == lost


# --- plans


def test_a_seed_draws_the_same_lives_again_and_another_one_others() -> None:
    first, again, other = (list(itertools.islice(drawn(seed, 2), 50)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_whatever_is_drawn_can_be_armed() -> None:
    for life in itertools.islice(drawn(3, 2), 300):
        arm_from(life.failpoints)
    disarm_all()


# --- reports


def test_a_report_tells_what_was_lost(tmp_path: Path) -> None:
    broken = msgspec.structs.replace(REPORT, books=Books(lost=["this", "that"]))
    assert REPORT.books.is_clean
    assert not broken.books.is_clean
    assert "lost          2" in as_text(broken)
    assert "LOST: this" in as_text(broken)
    assert msgspec.json.decode(as_json(broken), type=Report) == broken


def test_a_picture_is_drawn_with_matplotlib_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = ET.fromstring(as_svg(REPORT))  # noqa: S314 - our own
    assert len(drawing.findall("{http://www.w3.org/2000/svg}line")) == 2, "it died twice"
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = draw(REPORT, tmp_path / "picture")
    assert path.suffix == ".svg"
    assert path.read_text() == as_svg(REPORT)


def test_an_empty_run_is_drawn_too() -> None:
    ET.fromstring(as_svg(msgspec.structs.replace(REPORT, curve=[])))  # noqa: S314


# --- the program


class Tortured:
    """Stands for a run whose report is known."""

    report = REPORT

    def __init__(self, directory: Path, *_: object, **__: object) -> None:
        (directory / "ledger").write_text("evidence")

    def run(self, *_: object) -> Report:
        return self.report


@pytest.mark.parametrize(("lost", "code"), [([], 0), (["something"], 1)])
def test_a_loss_ends_the_program_with_1_and_keeps_the_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: list[str], code: int
) -> None:
    monkeypatch.setattr(Tortured, "report", msgspec.structs.replace(REPORT, books=Books(lost=lost)))
    monkeypatch.setattr(program, "Torture", Tortured)
    arguments = ["faults", "torture", "--minutes", "0.1", "--seed", "7", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    assert program.main() == code
    written = {path.suffix for path in tmp_path.iterdir()}
    assert {".json", ".txt"} < written
    assert written & {".png", ".svg"}
    assert [path.read_text() for path in tmp_path.glob("*.kept/ledger")] == ["evidence"] * code


def test_a_program_that_ends_before_it_is_ready_is_not_ready(tmp_path: Path) -> None:
    ended = Program(["-c", "raise SystemExit(3)"], tmp_path / "log")
    assert not ended.start()
    assert ended.wait() == 3


def test_books_are_added_up() -> None:
    one, other = Books(operations=2, lost=["a"]), Books(operations=3, duplicated=["b"])
    total = summed([one, other])
    assert (total.operations, total.lost, total.duplicated) == (5, ["a"], ["b"])
    assert not total.is_clean
