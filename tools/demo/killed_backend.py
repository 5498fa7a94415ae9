"""The backend is killed while clients change their sessions."""

from __future__ import annotations

from typing import Any, Final

from tools.demo.report import Step
from tools.demo.scene import Scene
from tools.demo.streams import Streams
from tools.demo.wire import Wire

CLIENTS: Final = 4
_CHANGES: Final = 50
"""Acknowledged changes of each client before the kill, and again after it."""
_WITHIN: Final = 20.0
_UNCHANGED: Final = ("inspector_state", "workspace_context", "history", "revision")


def tell(scene: Scene) -> None:
    """Kill it, start it again, and compare."""
    scene.report.title(f"{CLIENTS} clients change their sessions; the backend is killed")
    with scene.stage.wire() as wire:
        before = scene.ask(wire, "restore_session")
    streams = Streams(scene.stage.endpoint, CLIENTS)
    try:
        _kill_in_the_middle(scene, streams)
    finally:
        streams.stop()
    with scene.stage.wire() as wire:
        with scene.report.step("restores the session") as step:
            _compare(scene, wire, step, before)
        with scene.report.step("sends the deposit again, with the id of then") as step:
            _ask_again(scene, wire, step, before)


def _kill_in_the_middle(scene: Scene, streams: Streams) -> None:
    with scene.report.step(f"{CLIENTS} clients stream changes") as step:
        streams.start()
        _await_changes(streams)
        step.text += f"; {streams.acknowledged} are acknowledged"
    with scene.report.step("kill -9") as step:
        step.text = scene.stage.kill_backend()
        step.text += f"; starts it again {scene.stage.start_backend()}"
    with scene.report.step("they ask again by themselves, and go on") as step:
        _await_changes(streams)
        streams.stop()
        step.check(not streams.failures, "; ".join(streams.failures))
        lost, count = len(streams.lost()), streams.acknowledged
        step.text += f": acknowledged {count}, present {count - lost}, lost {lost}"
        step.check(lost == 0, f"{lost} acknowledged changes are lost.")


def _await_changes(streams: Streams) -> None:
    came = streams.wait_for(_CHANGES, _WITHIN)
    Step.check(came, "; ".join(streams.failures) or "The changes are too slow.")


def _compare(scene: Scene, wire: Wire, step: Step, before: dict[str, Any]) -> None:
    scene.stage.await_images(wire)
    now = scene.ask(wire, "restore_session")
    for part in _UNCHANGED:
        step.check(now[part] == before[part], f"{part} is {now[part]!r}; it was {before[part]!r}.")
    fate = now["restore_report"]["workspace"]
    step.text += (
        f": revision {now['revision']}, {len(now['history'])} evaluations; "
        f"its workspace in the image is {fate}"
    )
    step.check(fate == "live", f"It must be live: {now['restore_report']['notes']}.")


def _ask_again(scene: Scene, wire: Wire, step: Step, before: dict[str, Any]) -> None:
    again = wire.send(scene.deposit)
    for part in ("result", "evaluation", "revision"):
        then = scene.deposited[part]
        step.check(again[part] == then, f"{part} is {again[part]!r}; it was {then!r}.")
    total = scene.ask(wire, "get_session_history")["total"]
    step.check(total == len(before["history"]), f"There are {total} evaluations now.")
    balance = scene.expect(wire, scene.language.balance, "100")
    step.text += f": the same answer; done once: {balance}"
