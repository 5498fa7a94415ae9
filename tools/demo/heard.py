"""What the second client has heard is compared with what happened."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Final

from protocol.events import EVENTS_LOST, Event
from tools.demo.listener import is_stored
from tools.demo.report import Step
from tools.demo.scene import Scene

_HEARD_WITHIN: Final = 15.0


def tell(scene: Scene) -> None:
    """All of it, once, in order, although the backend was killed twice."""
    scene.report.title("What a second client heard, which subscribed once at the beginning")
    with scene.stage.wire() as wire, scene.report.step("counts its events") as step:
        restored = scene.ask(wire, "restore_session", since=0)
        total = scene.ask(wire, "get_session_history")["total"]
        stored = [event["seq"] for event in restored["events"] if is_stored(event["event"])]
        step.check(bool(stored), "There are no events.")
        step.check(
            scene.listener.wait_for_number(stored[-1], _HEARD_WITHIN),
            f"It has not heard event {stored[-1]}. {scene.listener.failure}",
        )
        events = scene.listener.events
        check_heard(events, stored, total)
        topics = Counter(event.topic for event in events)
        counts = ", ".join(f"{count} {topic}" for topic, count in topics.most_common())
        step.text += f": {counts}; in order, none twice, none missing"


def check_heard(events: list[Event], stored: list[int], total: int) -> None:
    """Check that EVENTS are in order, and hold all that is STORED (numbers), of TOTAL evaluations.

    Raises `DoesNotHold`.
    """
    lost = [event.data for event in events if event.event == EVENTS_LOST]
    Step.check(not lost, f"It was told of lost events: {lost}.")
    Step.check(
        all(one.seq < other.seq for one, other in pairwise(events)),
        f"They are not in order: {[event.seq for event in events]}.",
    )
    heard = {event.seq for event in events if is_stored(event.event)}
    Step.check(set(stored) <= heard, f"It did not hear the events {sorted(set(stored) - heard)}.")
    for name in ("evaluation.started", "evaluation.finished"):
        numbers = [event.data["evaluation"] for event in events if event.event == name]
        Step.check(
            numbers == list(range(1, total + 1)),
            f"{name} was heard of evaluations {numbers}; there were {total}.",
        )
