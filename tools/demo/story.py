"""What the demo tells: a session is made, the backend is killed, and everything is still there."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

import zmq

from protocol.errors import StuiError
from tools.cli.text import shortened
from tools.demo.language import LANGUAGES, Language
from tools.demo.program import Program, ProgramFailed, Programs
from tools.demo.report import DoesNotHold, Report
from tools.demo.streams import Streams
from tools.demo.wire import Wire, request
from tools.exit_codes import ExitCode
from tools.session_files import CannotRead, describe

_ANYWHERE: Final = "tcp://127.0.0.1:*"
_CONNECTS_WITHIN: Final = 15.0
_CLIENTS: Final = 4
_CHANGES: Final = 50
"""Acknowledged changes of each client before the kill, and again after it."""
_INSPECTOR: Final = {"windows": [{"target": "account", "pane": "balance", "at": [12, 3]}]}
_EXCERPT: Final = 88


def run(kind: str, *, keep: bool) -> ExitCode:
    """Tell the story with an image of KIND; whether each step held.

    What is started is ended in every case, and the directory removed unless KEEP says otherwise.
    Must run in the main thread.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    directory = Path(tempfile.mkdtemp(prefix="stui-demo-"))
    report, programs = Report(), Programs(directory)
    try:
        with programs.ended():
            _Story(kind, LANGUAGES[kind], directory, report, programs).tell()
    except (DoesNotHold, ProgramFailed, StuiError, CannotRead, RuntimeError) as problem:
        return _failed(report, str(problem), programs)
    except zmq.Again:
        return _failed(report, "The backend did not answer in time.", programs)
    except KeyboardInterrupt:
        report.end("Interrupted; everything that was started is ended.")
        return ExitCode.FAILED
    finally:
        if keep:
            print(f"The sessions and logs are in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    report.end("Each step held.")
    return ExitCode.DONE


def _failed(report: Report, why: str, programs: Programs) -> ExitCode:
    sys.stdout.flush()
    print(f"stui: {why}", file=sys.stderr)
    print(programs.tails(), file=sys.stderr)
    report.end("The demo failed.")
    return ExitCode.FAILED


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@dataclass(slots=True)
class _Story:
    kind: str
    language: Language
    directory: Path
    report: Report
    programs: Programs
    endpoint: str = ""
    image: str = ""
    session: str = ""
    state_before: dict[str, Any] = field(default_factory=dict)
    deposit: dict[str, Any] = field(default_factory=dict)
    deposited: dict[str, Any] = field(default_factory=dict)

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def tell(self) -> None:
        self.report.title("An image, and a backend in front of it")
        self._start_image()
        backend = self._start_backend(_ANYWHERE)
        with Wire(self.endpoint) as wire:
            self._await_image(wire)
            self.report.title("A session, by a plain REQ client with JSON made by hand")
            self._work(wire)
        self.report.title(f"{_CLIENTS} clients change their sessions; the backend is killed")
        streams = Streams(self.endpoint, _CLIENTS)
        try:
            backend = self._kill_in_the_middle(backend, streams)
        finally:
            streams.stop()
        self.report.title("What is there after the kill")
        with Wire(self.endpoint) as wire:
            self._restore(wire)
            self._compare(streams)
            self._ask_again(wire)
        self.report.title("What a person finds on disk")
        self._end(backend)
        self._show_files()

    # --- the programs

    def _start_image(self) -> None:
        with self.report.step(f"starts a {self.kind} image") as step:
            arguments = ["--bind", _ANYWHERE, "--state-dir", str(self.directory / "image")]
            image = self.programs.start("image", "image", self.kind, *arguments)
            self.image = image.ready()
            step.note(f"{self.image} (process {image.pid})")

    def _start_backend(self, endpoint: str) -> Program:
        with self.report.step("starts the backend") as step:
            backend = self.programs.start(
                *("backend", "serve", "--bind", endpoint, "--data-dir", str(self._data)),
                *("--image", f"{self.kind}={self.image}"),
            )
            self.endpoint = backend.ready()
            step.note(f"{self.endpoint} (process {backend.pid})")
            return backend

    def _await_image(self, wire: Wire) -> None:
        with self.report.step("the backend is connected to the image") as step:
            deadline = time.monotonic() + _CONNECTS_WITHIN
            while (status := wire.ask("list_images")["images"][0])["status"] != "Connected":
                step.check(time.monotonic() < deadline, f"The image is {status['status']}.")
                time.sleep(0.01)

    def _end(self, backend: Program) -> None:
        with self.report.step("ends the backend with SIGTERM; it writes the session files"):
            backend.end()

    # --- the session

    def _work(self, wire: Wire) -> None:
        with self.report.step("creates a session") as step:
            message = request("create_session", client_id="demo", name="accounts")
            self.session = wire.send(message)["session_id"]
            step.note(f"sent  {shortened(json.dumps(message), _EXCERPT)}")
            step.note(f"got   {self.session}")
        with self.report.step("defines a class with a method") as step:
            step.note(self.language.define_account)
            self._evaluate(wire, self.language.define_account)
        with self.report.step("assigns workspace variables") as step:
            step.note(self.language.make_account)
            self._evaluate(wire, self.language.make_account)
        with self.report.step("evaluates a deposit to the account of 42") as step:
            code = self.language.deposit_58
            self.deposit = request("evaluate", code=code, session_id=self.session)
            self.deposited = wire.send(self.deposit)
            step.note(f"{code}  =>  {self.deposited['result']}")
            step.check(self.deposited["result"] == "100", "The balance must be 100.")
        with self.report.step("inspects the account") as step:
            seen = wire.ask("inspect", target="account", session_id=self.session)
            step.note(f"{seen['object_info']['string_representation']}: {seen['instance_vars']}")
            step.check(seen["instance_vars"].get("balance") == "100", "The account must hold 100.")
        with self.report.step("stores the state of its inspector windows") as step:
            stored = wire.ask(
                "update_session_state", session_id=self.session, inspector_state=_INSPECTOR
            )
            step.note(f"revision {stored['revision']}: {json.dumps(_INSPECTOR)}")
        self.state_before = wire.ask("restore_session", session_id=self.session)

    def _evaluate(self, wire: Wire, code: str) -> dict[str, Any]:
        return wire.ask("evaluate", code=code, session_id=self.session)

    def _kill_in_the_middle(self, backend: Program, streams: Streams) -> Program:
        with self.report.step(f"{_CLIENTS} clients stream changes") as step:
            streams.start()
            step.check(streams.wait_for(_CHANGES, 30.0), "; ".join(streams.failures) or "Too slow.")
            step.note(f"{streams.acknowledged} are acknowledged, and more are on their way")
        with self.report.step(f"kill -9 {backend.pid}"):
            backend.kill()
        acknowledged = streams.acknowledged
        backend = self._start_backend(self.endpoint)
        with self.report.step("the clients ask again by themselves, and go on") as step:
            step.check(streams.wait_for(_CHANGES, 30.0), "; ".join(streams.failures) or "Too slow.")
            streams.stop()
            step.check(not streams.failures, "; ".join(streams.failures))
            more = streams.acknowledged - acknowledged
            step.note(f"{acknowledged} were acknowledged before the kill, {more} after it")
        return backend

    # --- afterwards

    def _restore(self, wire: Wire) -> None:
        self._await_image(wire)
        with self.report.step("restores the session") as step:
            now = wire.ask("restore_session", session_id=self.session)
            for part in ("inspector_state", "workspace_context", "history", "revision"):
                step.check(
                    now[part] == self.state_before[part],
                    f"{part} is {now[part]!r}; it was {self.state_before[part]!r}.",
                )
            step.note(f"revision {now['revision']}, {len(now['history'])} evaluations")
            step.note(f"variables {now['workspace_context'].get('variables')}")
            step.note(f"inspector state {json.dumps(now['inspector_state'])}")
            fate = now["restore_report"]["workspace"]
            step.note(f"the workspace in the image is {fate}")
            step.check(fate == "live", f"It must be live: {now['restore_report']['notes']}.")

    def _compare(self, streams: Streams) -> None:
        with self.report.step("compares every acknowledged change with what came back") as step:
            lost = len(streams.lost())
            count = streams.acknowledged
            step.note(f"acknowledged {count}, present {count - lost}, lost {lost}")
            step.check(lost == 0, f"{lost} acknowledged changes are lost.")

    def _ask_again(self, wire: Wire) -> None:
        with self.report.step("sends the deposit again, with the id of then") as step:
            again = wire.send(self.deposit)
            for part in ("result", "evaluation", "revision"):
                step.check(
                    again[part] == self.deposited[part],
                    f"{part} is {again[part]!r}; it was {self.deposited[part]!r}.",
                )
            total = wire.ask("get_session_history", session_id=self.session)["total"]
            revision = wire.ask("get_session_info", session_id=self.session)["revision"]
            step.check(total == len(self.state_before["history"]), f"{total} evaluations.")
            step.check(revision == self.state_before["revision"], f"Revision {revision}.")
            step.note(
                f"the same answer: evaluation {again['evaluation']}, revision {again['revision']}; "
                f"still {total} evaluations and revision {revision} in all"
            )
        with self.report.step("the money was deposited once") as step:
            result = self._evaluate(wire, self.language.balance)["result"]
            step.note(f"{self.language.balance}  =>  {result}")
            step.check(result == "100", "The balance must be 100.")

    def _show_files(self) -> None:
        with self.report.step("session files") as step:
            files = sorted((self._data / "sessions").glob("*/*.stui"))
            for path in files:
                step.note(f"{path.stat().st_size:7d} bytes  {path.relative_to(self._data)}")
            step.check(
                len(files) == _CLIENTS + 1, f"There must be {_CLIENTS + 1}, of all sessions."
            )
        with self.report.step("one of them, as `stui sessions show FILE` shows it") as step:
            (path,) = [path for path in files if self.session in path.name]
            shown = describe(path)
            lines = shown.as_text(_EXCERPT).splitlines()
            step.note("\n".join(shortened(line, _EXCERPT) for line in lines))
            step.check(shown.contents.head.session_id == self.session, "It is another session.")
