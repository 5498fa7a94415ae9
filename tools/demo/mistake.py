"""A context is saved before a mistake, and loaded after it."""

from __future__ import annotations

from tools.demo.report import Step
from tools.demo.scene import Scene
from tools.demo.wire import Wire


def tell(scene: Scene) -> None:
    """Go back to before the mistake; the mistake can be gone back to as well."""
    scene.report.title("A context, saved before a mistake and loaded after it")
    with scene.stage.wire() as wire:
        with scene.report.step("saves a context") as step:
            saved = scene.ask(wire, "save_context", label="before the mistake")
            step.text += f": {saved['context_id']}, {saved['label']!r}, {saved['integrity']}"
            step.check(saved["integrity"] == "verified", "It must be verified.")
        with scene.report.step("makes the mistake") as step:
            scene.evaluate(wire, scene.language.make_mistake)
            balance = scene.expect(wire, scene.language.balance, "-900")
            step.note(f"{scene.language.make_mistake}    {balance}")
        with scene.report.step(f"loads context {saved['context_id']}") as step:
            _load(scene, wire, step, saved["context_id"])


def _load(scene: Scene, wire: Wire, step: Step, context_id: str) -> None:
    loaded = scene.ask(wire, "load_context", context_id=context_id)
    scene.check_identity(wire)
    step.text += f": {scene.expect(wire, scene.language.balance, '100')}"
    contexts = scene.ask(wire, "list_contexts")["contexts"]
    kinds = {context["context_id"]: context["kind"] for context in contexts}
    step.check(
        kinds.get(loaded["saved_as"]) == "before_load",
        f"The mistake must be among the contexts as {loaded['saved_as']}: {kinds}.",
    )
    step.text += f"; the mistake is kept as context {loaded['saved_as']}"
