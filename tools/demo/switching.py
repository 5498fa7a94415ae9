"""The session goes to the Python image and comes back."""

from __future__ import annotations

from typing import Any, Final

from tools.demo import fates
from tools.demo.report import Step
from tools.demo.scene import Scene
from tools.demo.wire import Wire

_MADE_AWAY: Final = "visited"


def tell(scene: Scene) -> None:
    """Switch it, go on there, switch it back, and load what could not go along."""
    stage = scene.stage
    scene.report.title(f"The session goes to the {stage.away} image, and comes back")
    with stage.wire() as wire:
        with scene.report.step(f"switches the session to {stage.away}") as step:
            report = _switched(scene, wire, stage.away)
            step.note(fates.told(report, objects=False))
            _check_away(scene, report)
            before = _context_before(scene, wire)
        with scene.report.step("goes on there:") as step:
            made = f"{_MADE_AWAY} = [rate, ring]"
            scene.evaluate(wire, made)
            ring = scene.expect(wire, "ring[0] is ring", "True")
            step.text += f" {made}    {ring}    {scene.expect(wire, 'rate * 6', '42')}"
        with scene.report.step(f"switches back to {stage.home}") as step:
            report = _switched(scene, wire, stage.home)
            _check_back(scene, report)
            step.text += f": {', '.join(map(_came, report['variables']))} come along"
            scene.expect(wire, scene.language.ring_of_itself, scene.language.true)
        with scene.report.step(f"loads context {before}, from before it went:") as step:
            loaded = scene.ask(wire, "load_context", context_id=before)
            _check_window(loaded["restore_report"], present=True)
            shown, *_ = scene.check_identity(wire)
            step.text += f" {shown}"


def _switched(scene: Scene, wire: Wire, image: str) -> dict[str, Any]:
    (switched,) = scene.ask(wire, "switch_image_context", to_image_id=image)["sessions"]
    Step.check("error" not in switched, f"It could not move: {switched.get('error')}.")
    report: dict[str, Any] = switched["restore_report"]
    return report


def _came(variable: dict[str, Any]) -> str:
    return f"{variable['name']}{' (partly)' if variable['fate'] == 'partial' else ''}"


def _check_away(scene: Scene, report: dict[str, Any]) -> None:
    """What Python has as well is there; the rest is told of, and no window shows it."""
    language = scene.language
    fates.check_variables(
        report,
        restored=language.variables - language.lost_elsewhere - language.partial_elsewhere,
        partial=language.partial_elsewhere,
        lost=language.lost_elsewhere,
    )
    _check_window(report, present="account" not in language.lost_elsewhere)


def _check_back(scene: Scene, report: dict[str, Any]) -> None:
    """What went comes back, with what was made there; what was lost there is not claimed."""
    language = scene.language
    went = language.variables - language.lost_elsewhere | {_MADE_AWAY}
    # What was made there holds the ring, and misses what the ring misses.
    partial = language.partial_elsewhere and language.partial_elsewhere | {_MADE_AWAY}
    fates.check_variables(report, restored=went - partial, partial=partial)
    _check_window(report, present="account" not in language.lost_elsewhere)


def _check_window(report: dict[str, Any], *, present: bool) -> None:
    found = [entry["present"] for entry in report["inspector"]]
    Step.check(found == [present], f"The inspector's entry is told as {report['inspector']}.")


def _context_before(scene: Scene, wire: Wire) -> str:
    """The context that was saved before the session was switched."""
    contexts = scene.ask(wire, "list_contexts")["contexts"]
    found = [each["context_id"] for each in contexts if each["kind"] == "before_switch"]
    Step.check(len(found) == 1, f"There must be one context from before it: {found}.")
    return str(found[0])
