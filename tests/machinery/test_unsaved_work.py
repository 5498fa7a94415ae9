"""Which evaluations are told as lost when a workspace is gone, and when they are told again."""

from __future__ import annotations

from typing import Any

import pytest

from actors.session.session_contexts import Moment, moved_to_image, parts_cleared, workspace_left
from actors.session.session_state import SessionState, Step
from actors.session.unsaved_work import is_empty, saved_through, unsaved
from protocol.replies import VariableFate
from tests.machinery.returning import Returning
from tests.machinery.workplace import IMAGE

NOW = Moment(wall=1000.0, running=10.0)


class Losing(Returning):
    """A session that loses its workspace with each life of its image."""

    def do(self, step: Step) -> SessionState:
        """Store a step."""
        self.log.commit(step, lambda _: None, self.ends.append)
        self.write()
        return self.log.durable

    def lose(self, epoch: str, **image: Any) -> list[int]:
        """Start the image anew, and have brought back what can be; the evaluations lost."""
        self.show_image("Connected", epoch=epoch, **image)
        self.begin()
        self.write()
        assert self.report.workspace == "lost"
        return self.report.evaluations_lost


def test_what_was_done_before_an_emptying_is_not_lost_later_either() -> None:
    session = Losing("a", lost=1)
    session.do(parts_cleared(session.log.latest, ["variables"], NOW))
    session.begin()
    session.write()
    for number in (3, 4):
        session.run(saved=False)
        assert session.lose(f"e{number}") == list(range(3, number + 1))
        assert unsaved(session.log.durable) == list(range(3, number + 1))


@pytest.mark.parametrize("how", ["moved", "left"])
def test_what_was_lost_is_still_lost_when_the_workspace_is_in_no_image(how: str) -> None:
    session = Losing(lost=2)
    assert session.lose("e2") == [1, 2]
    state = session.log.latest
    step = (
        moved_to_image(state, IMAGE, NOW, carry=True) if how == "moved" else workspace_left(state)
    )
    session.do(step)
    assert unsaved(session.log.durable) == [1, 2]
    assert session.lose("e3") == [1, 2]


@pytest.mark.parametrize(("lost", "told"), [(0, []), (2, [2, 3])])
def test_a_workspace_that_is_left_behind_loses_what_was_in_no_snapshot(
    lost: int, told: list[int]
) -> None:
    session = Losing("a", lost=lost)
    after = session.do(moved_to_image(session.log.latest, IMAGE, NOW, carry=False))
    assert (saved_through(after), unsaved(after), is_empty(after)) == (1, told, not told)
    if told:
        assert session.lose("e3") == told


@pytest.mark.parametrize("damaged", [False, True])
def test_what_a_snapshot_holds_that_the_image_cannot_read_is_told_by_its_variables(
    damaged: bool,
) -> None:
    session = Losing("a", "b", lost=1)
    mark = session.head.snapshot
    assert mark is not None
    session.store.damaged = {mark.slot} if damaged else set()
    assert session.lose("e3", formats=("another",)) == ([2, 3] if damaged else [3])
    reason = "the snapshot is one of Dialect, which the image mine cannot restore"
    assert session.report.variables == [VariableFate(name="x", fate="lost", reason=reason)]
    assert session.report.notes[-1] == reason
