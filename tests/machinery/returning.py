"""A session whose image has been started anew, so that its workspace is to be brought back."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.session.restoration import Restoration
from protocol.errors import (
    StuiError,
)
from protocol.ids import ObjectId
from protocol.image_messages import (
    RestoredObject,
    RestoredVariable,
    RestoreResult,
    SnapshotVariable,
)
from protocol.replies import RestoreReport
from tests.machinery.workplace import SESSION, SessionAtWork

RESTORE, CLOSE = "restore_workspace", "close_workspace"
X = SnapshotVariable(name="x", class_name="int", print_string="1", size=8)
STREAM = msgspec.structs.replace(X, name="s", restorable=False, reason="it is open")


class Returning(SessionAtWork):
    """A session whose image has been started anew, after some evaluations that were saved."""

    def __init__(self, *saved: str, lost: int = 0, variables: Any = (X,), **settings: Any) -> None:
        super().__init__(**settings)
        for code in saved:
            self.evaluate(code)
            self.write()
            self.finish(variables=["x"], object_id=f"o-{code}")
            self.show_snapshot(code, variables=list(variables))
            self.write()
        for _ in range(lost):
            self.run(saved=False)
        self.show_image("Connected", epoch="e2")
        self.ends: list[StuiError | None] = []

    def begin(self) -> None:
        Restoration(self.place, self.image, self.ends.append).begin()

    def answer(self, outcome: Any, command: str = RESTORE) -> None:
        """Let the image answer the last request of a kind."""
        self.reply(self.asked(command)[-1], outcome)

    @property
    def report(self) -> RestoreReport:
        """What was reported."""
        report = self.log.durable.knowledge.report
        assert report is not None
        return report

    def kept(self) -> list[str]:
        """The kinds of the contexts that are kept, but the automatic ones."""
        heads = self.store.context_heads(SESSION)
        return [head.kind for head in heads if head.number > 0]


def restored(*lost: str, objects: dict[str, Any] | None = None) -> RestoreResult:
    variables = [RestoredVariable(name="x", fate="lost" if "x" in lost else "restored")]
    if "s" in lost:
        variables.append(RestoredVariable(name="s", fate="lost"))
    told = [RestoredObject(object_id=ObjectId(n), fate=f) for n, f in (objects or {}).items()]
    return RestoreResult(variables=variables, objects=told)
