"""The session that the demo tells of, and what every chapter does with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tools.demo.language import Language
from tools.demo.listener import Listener
from tools.demo.report import Report, Step
from tools.demo.stage import Stage
from tools.demo.wire import Wire

_SAVED_WITHIN: Final = 10.0


@dataclass(slots=True)
class Scene:
    """Grows from chapter to chapter."""

    stage: Stage
    report: Report
    language: Language
    listener: Listener
    session: str = ""
    account_id: str = ""
    """The object id of the account, which the inspector state names."""
    deposit: dict[str, Any] = field(default_factory=dict)
    """The request that deposited 58."""
    deposited: dict[str, Any] = field(default_factory=dict)
    """Its result."""

    def ask(self, wire: Wire, command: str, **parameters: object) -> dict[str, Any]:
        """The result of a command to the session."""
        return wire.ask(command, session_id=self.session, **parameters)

    def evaluate(self, wire: Wire, code: str) -> dict[str, Any]:
        """The result of CODE, when its effects are on disk in a snapshot."""
        result = self.ask(wire, "evaluate", code=code, evaluation_mode="Execute")
        self.await_saved(result)
        return result

    def await_saved(self, evaluated: dict[str, Any]) -> None:
        """Wait until the effects of an evaluation are on disk, which an event tells."""
        if not evaluated["context_saved"]:
            number = evaluated["evaluation"]
            Step.check(
                self.listener.wait_for_saved(number, _SAVED_WITHIN),
                f"The effects of evaluation {number} were not saved. {self.listener.failure}",
            )

    def expect(self, wire: Wire, code: str, result: str) -> str:
        """Evaluate CODE and check that it answers RESULT; what to tell of it."""
        answered = self.evaluate(wire, code)["result"]
        Step.check(answered == result, f"{code} answers {answered}; it must be {result}.")
        return f"{code}  =>  {answered}"

    def check_identity(self, wire: Wire) -> list[str]:
        """Check that what were one object is one object; what to tell of it.

        One object is the account by its two names, by its place in the ring and by its id; and the
        ring, by its name and by its place in itself.
        """
        by_id = self.ask(wire, "inspect", object_id=self.account_id)
        by_name = self.ask(wire, "inspect", target="account")
        Step.check(
            by_name["object_id"] == self.account_id,
            f"`account` is {by_name['object_id']}; it was {self.account_id}.",
        )
        balance = by_id["instance_vars"].get("balance")
        Step.check(balance == "100", f"Object {self.account_id} has balance {balance}, not 100.")
        kind = by_id["object_info"]["class_name"]
        shown = f"the id {short_id(self.account_id)}  =>  `account`, of {kind}: {balance}"
        return [
            shown,
            *(
                self.expect(wire, code, self.language.true)
                for code in (
                    self.language.one_account,
                    self.language.ring_of_itself,
                    self.language.ring_has_account,
                )
            ),
        ]


def short_id(object_id: str) -> str:
    """The end of an object id, by which people can tell it from others."""
    return object_id if len(object_id) <= 8 else f"…{object_id[-7:]}"
