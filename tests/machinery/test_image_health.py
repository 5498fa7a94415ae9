"""How an image is, under a clock that the test moves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.images.image_health import HISTORY, RECONNECTING_FOR, TRANSITIONS, Health, Moment
from protocol.replies import ConnectionStatus

NOW = Moment(1000.0, 1_700_000_000.0)


def later(seconds: float) -> Moment:
    return Moment(NOW.monotonic + seconds, NOW.wall + seconds)


def connected() -> Health:
    return Health().answered(NOW, 0.01, "it answers")


def test_an_image_that_was_lost_is_reconnecting_and_after_a_while_in_vain_disconnected() -> None:
    health = connected().lost(NOW, "gone")
    assert (health.status, health.reason) == ("Reconnecting", "gone")
    almost = health.lost(later(RECONNECTING_FOR - 0.1), "still gone").waited(
        later(RECONNECTING_FOR - 0.1)
    )
    assert almost == health
    assert health.lost(later(RECONNECTING_FOR), "still gone").status == "Disconnected"
    assert health.waited(later(RECONNECTING_FOR)).status == "Disconnected"


def test_an_image_that_was_never_reached_is_disconnected_at_the_first_try_in_vain() -> None:
    assert Health().lost(NOW, "nobody").status == "Disconnected"


def test_what_is_no_image_has_failed_until_nothing_is_heard_of_it_any_more() -> None:
    health = Health().failed(NOW, "nonsense")
    assert health.lost(later(1), "gone").status == "Failed"
    again = health.failed(later(RECONNECTING_FOR), "nonsense")
    assert len(again.history) == 1
    assert again.lost(later(RECONNECTING_FOR + 1), "gone").status == "Failed"
    assert again.lost(later(2 * RECONNECTING_FOR), "gone").status == "Disconnected"
    assert again.answered(later(1), 0.01, "an image").status == "Connected"


def test_pings_that_are_missed_make_it_worse_and_one_that_is_answered_mends_it() -> None:
    health = connected()
    seen = []
    for _ in range(6):
        seen.append(health.grade)
        health = health.missed_one()
    assert seen == ["Healthy", "Healthy", "Warning", "Warning", "Warning", "Critical"]
    assert health.status == "Connected", "busy is not dead"
    health = health.answered(later(1), 0.25, "it answers")
    assert (health.grade, health.latency, health.last_seen) == ("Healthy", 0.25, later(1).wall)
    assert len(health.history) == 1


def test_pings_that_are_answered_with_nonsense_are_missed_and_five_of_them_are_no_images() -> None:
    health, seen = connected(), []
    for number in range(4):
        health = health.garbled_one(later(number), "nonsense")
        seen.append((health.missed, health.grade))
    assert seen == [(1, "Healthy"), (2, "Warning"), (3, "Warning"), (4, "Warning")]
    assert health.status == "Connected", "it may still have been an accident"
    failed = health.garbled_one(later(4), "nonsense")
    assert (failed.status, failed.reason, failed.missed) == ("Failed", "nonsense", 0)
    again = failed.garbled_one(later(9), "nonsense")
    assert (again.since, len(again.history)) == (later(9).monotonic, 2)


def test_nonsense_is_forgiven_by_an_answer_and_is_not_counted_with_silence() -> None:
    health = connected()
    for number in range(20):
        health = health.garbled_one(later(number), "nonsense")
        if number % 4 == 3:
            health = health.answered(later(number), 0.01, "it answers")
    assert (health.status, health.grade, health.missed) == ("Connected", "Healthy", 0)
    for _ in range(1_000):
        health = health.missed_one()
    health = health.garbled_one(later(30), "nonsense")
    assert (health.status, health.missed) == ("Connected", 1_001)


@pytest.mark.parametrize("status", ["Reconnecting", "Disconnected"])
def test_nonsense_of_an_image_that_was_away_is_no_better(status: ConnectionStatus) -> None:
    health = Health(status=status)
    for number in range(5):
        assert (health.status, health.missed) == (status, 0)
        health = health.garbled_one(later(number), "nonsense")
    assert health.status == "Failed"


@pytest.mark.parametrize(
    ("latency", "grade"), [(0.9, "Healthy"), (1.0, "Warning"), (4.9, "Warning"), (5.0, "Critical")]
)
def test_an_image_that_answers_slowly_is_not_healthy(latency: float, grade: str) -> None:
    assert Health().answered(NOW, latency, "slowly").grade == grade


def test_without_a_connection_it_is_critical_and_before_any_unknown() -> None:
    assert Health().grade == "Unknown"
    for health in (Health().lost(NOW, "x"), connected().lost(NOW, "x"), Health().failed(NOW, "x")):
        assert health.grade == "Critical"


@pytest.mark.parametrize("status", sorted(TRANSITIONS))
def test_a_step_that_is_not_in_the_table_is_a_bug(status: ConnectionStatus) -> None:
    health = Health(status=status)
    for target in sorted(TRANSITIONS):
        if target in TRANSITIONS[status]:
            assert health._becomes(target, NOW, "why").status == target
        else:
            with pytest.raises(AssertionError):
                health._becomes(target, NOW, "why")


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["answered", "missed", "garbled", "lost", "waited", "failed", "gone", "restarted"]
        ),
        st.floats(0, 15),
    ),
    max_size=120,
)


@given(EVENTS)
def test_whatever_happens_the_steps_are_those_of_the_table_and_the_record_is_right(
    events: list[tuple[str, float]],
) -> None:
    health, passed, lost_at = Health(), 0.0, 0.0
    for event, seconds in events:
        before, passed = health, passed + seconds
        now = later(passed)
        match event:
            case "answered":
                health = health.answered(now, seconds, "answered")
                assert (health.status, health.missed) == ("Connected", 0)
            case "missed":
                health = health.missed_one()
                assert health.status == before.status
            case "garbled":
                health = health.garbled_one(now, "garbled")
                assert health.status in {before.status, "Failed"}
            case "lost":
                health = health.lost(now, "lost")
                assert health.status != "Connected"
            case "waited":
                health = health.waited(now)
            case "failed":
                health = health.failed(now, "failed")
                assert health.status == "Failed"
            case "gone":
                health = health.gone(now, "gone")
                assert health.status == "Disconnected"
            case "restarted":
                health = health.restarted(now, "restarted")
        if health.status != before.status:
            assert health.status in TRANSITIONS[before.status]
            assert health.history[-1].status == health.status
            assert health.missed == 0
            if health.status == "Reconnecting":
                lost_at = passed
            if before.status == "Reconnecting" and event in {"lost", "waited"}:
                assert passed - lost_at >= RECONNECTING_FOR - 1e-6
        assert len(health.history) <= HISTORY
        assert health.status == "Connected" or health.missed == 0
        assert (health.grade == "Unknown") == (health.status == "Unknown")
        assert health.status != "Connected" or health.grade != "Unknown"
        steps = [change for change in health.history if change.reason != "restarted"]
        if len(steps) == len(health.history):
            assert all(one.status != two.status for one, two in pairwise(steps))
