"""The image is killed, and then image and backend together."""

from __future__ import annotations

from typing import Any

from tools.demo import fates
from tools.demo.report import Step
from tools.demo.scene import Scene
from tools.demo.wire import Wire


def tell(scene: Scene) -> None:
    """Kill the image alone; show each thing back in the new one."""
    scene.report.title("The image is killed; a new one starts on the same directory")
    with scene.stage.wire() as wire:
        with scene.report.step("kill -9") as step:
            step.text = scene.stage.kill_home()
            step.text += f"; starts it again {scene.stage.start_image(scene.stage.home)}"
            scene.stage.await_images(wire)
        with scene.report.step("restores the session, item by item") as step:
            report = _restored(scene, wire)
            step.note(fates.told(report, objects=True))
            fates.check_variables(
                report, restored=scene.language.variables, lost=scene.language.cannot_be_kept
            )
            _check_the_rest(scene, report)
        with scene.report.step("what was one object is one object") as step:
            told = scene.check_identity(wire)
            step.note("    ".join(told[:2]))
            step.note("    ".join(told[2:]))


def tell_of_both(scene: Scene) -> None:
    """Kill image and backend at once; everything is back again."""
    scene.report.title("Image and backend are killed together")
    with scene.report.step("kill -9") as step:
        step.text = f"{scene.stage.kill_home()}; {scene.stage.kill_backend()}; starts both again"
        step.text += f" {scene.stage.start_image(scene.stage.home)}"
        step.text += f" {scene.stage.start_backend()}"
    with scene.stage.wire() as wire, scene.report.step("restores the session") as step:
        scene.stage.await_images(wire)
        report = _restored(scene, wire)
        fates.check_variables(report, restored=scene.language.variables)
        _check_the_rest(scene, report)
        scene.check_identity(wire)
        step.text += (
            f": {len(report['variables'])} variables, {len(report['objects'])} objects, "
            f"{len(report['inspector'])} inspector entry; one object is one object"
        )


def _restored(scene: Scene, wire: Wire) -> dict[str, Any]:
    restored = scene.ask(wire, "restore_session")
    report: dict[str, Any] = restored["restore_report"]
    return report


def _check_the_rest(scene: Scene, report: dict[str, Any]) -> None:
    fates.check_nothing_else_lost(report)
    for part in ("objects", "inspector"):
        ids = {item["object_id"] for item in report[part]}
        Step.check(scene.account_id in ids, f"The account is not among the {part}: {ids}.")
