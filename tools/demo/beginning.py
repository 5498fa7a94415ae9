"""The first chapters: programs are started, and a session is made and used."""

from __future__ import annotations

import json
from typing import Any, Final

from tools.cli.text import shortened
from tools.demo.report import Step
from tools.demo.scene import Scene, short_id
from tools.demo.wire import Wire, request

_EXCERPT: Final = 88
_OBJECTS_BY_ID: Final = 2
"""The account and its balance get ids when the account is inspected."""


def start(scene: Scene) -> None:
    """Start the images and the backend."""
    scene.report.title("Two images, and a backend in front of them")
    for name in scene.stage.images:
        with scene.report.step(f"starts the {name} image:") as step:
            step.text += f" {scene.stage.start_image(name)}"
    with scene.report.step("starts the backend, which connects to both:") as step:
        step.text += f" {scene.stage.start_backend()}"
        with scene.stage.wire() as wire:
            scene.stage.await_images(wire)


def work(scene: Scene) -> None:
    """Make the session and all that is to come back."""
    scene.report.title("A session, by a plain REQ client with JSON made by hand")
    with scene.stage.wire() as wire:
        with scene.report.step("creates a session") as step:
            message = request(
                "create_session", client_id="demo", name="accounts", image_id=scene.stage.home
            )
            scene.session = wire.send(message)["session_id"]
            step.note(f"sent  {shortened(json.dumps(message), _EXCERPT)}")
        scene.listener.listen(scene.stage.endpoint, scene.session)
        with scene.report.step("defines a class with a method") as step:
            step.note(scene.language.define_account)
            scene.evaluate(wire, scene.language.define_account)
        with scene.report.step("fills the workspace") as step:
            step.note(scene.language.fill_workspace)
            scene.evaluate(wire, scene.language.fill_workspace)
        with scene.report.step("evaluates a deposit to the account of 42:") as step:
            _deposit(scene, wire, step)
        with scene.report.step("inspects the account, and keeps a window on it") as step:
            _inspect(scene, wire, step)


def _inspect(scene: Scene, wire: Wire, step: Step) -> None:
    seen = scene.ask(wire, "inspect", target="account")
    balance = seen["instance_vars"].get("balance")
    step.check(balance == "100", f"The account has {balance}; it must be 100.")
    scene.account_id = seen["object_id"]
    step.check(
        len({scene.account_id, *seen["children"].values()}) == _OBJECTS_BY_ID,
        "The account and its balance must have an id each.",
    )
    windows = [{"object_id": scene.account_id, "selection": "balance"}]
    state: dict[str, Any] = {"windows": windows}
    scene.ask(wire, "update_session_state", inspector_state=state)
    shown = json.dumps(state).replace(scene.account_id, short_id(scene.account_id))
    step.note(shown)
    # When the effects of an evaluation are on disk, so are the ids from before it.
    scene.expect(wire, scene.language.one_account, scene.language.true)


def _deposit(scene: Scene, wire: Wire, step: Step) -> None:
    code = scene.language.deposit_58
    scene.deposit = request(
        "evaluate", code=code, session_id=scene.session, evaluation_mode="Execute"
    )
    scene.deposited = wire.send(scene.deposit)
    step.text += f" {code}  =>  {scene.deposited['result']}"
    step.check(scene.deposited["result"] == "100", "The balance must be 100.")
    scene.await_saved(scene.deposited)
