"""The soak's own parts, and a few seconds of it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.support.backend import running_backend
from tools.soak.__main__ import main
from tools.soak.hold import hold
from tools.soak.memory import allocated
from tools.soak.report import as_text, judged
from tools.soak.run import Soaked
from tools.soak.trend import Tolerance, trend

TIMES = [float(each) for each in range(40)]
NONE = Tolerance(0.0, 0.0)


def test_a_leak_is_seen_through_noise() -> None:
    source = random.Random(1)
    values = [1000 + 5 * at + source.uniform(-30, 30) for at in TIMES]
    found = trend(TIMES, values, Tolerance(50, 0.05))
    assert found.grows
    assert found.growth == pytest.approx(5 * 39, rel=0.2)


def test_noise_and_saws_and_outliers_are_no_growth() -> None:
    source = random.Random(2)
    noise = [1000 + source.uniform(-30, 30) for _ in TIMES]
    saw = [1000 + 100 * (at % 7) for at in TIMES]
    outliers = [1000.0 + (9000 if at > 36 else 0) for at in TIMES]
    for values in (noise, saw, outliers, [7.0] * 40):
        assert not trend(TIMES, values, Tolerance(50, 0.0)).grows


def test_what_grows_less_than_is_allowed_is_flat() -> None:
    values = [1000 + at for at in TIMES]
    assert trend(TIMES, values, NONE).grows
    assert not trend(TIMES, values, Tolerance(40, 0.0)).grows
    assert not trend(TIMES, values, Tolerance(0, 0.05)).grows


def test_a_trend_needs_three_samples() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        trend([1.0, 2.0], [1.0, 2.0], NONE)


def test_what_is_left_over_is_counted_by_those_who_have_allocated_it() -> None:
    before = allocated()
    kept = [[number] for number in range(10_000)], bytes(2**20)
    after = allocated()
    assert after["python objects"] - before["python objects"] >= 10_000
    assert after["python blocks"] - before["python blocks"] >= 10_000
    if "malloc bytes" in after:
        assert after["malloc bytes"] - before["malloc bytes"] > 2**19
    assert kept


def test_the_report_names_what_grows_and_what_was_answered_that_must_not_be() -> None:
    soaked = Soaked(seed=7, seconds=39.0, warm_up=10.0, times=TIMES)
    soaked.series = {"threads": [10 + at for at in TIMES], "descriptors": [20.0] * 40}
    soaked.faults = ["evaluate: internal: no"]
    text = as_text(soaked, judged(soaked))
    (threads,) = [line for line in text.splitlines() if line.startswith("threads")]
    (descriptors,) = [line for line in text.splitlines() if line.startswith("descriptors")]
    assert threads.endswith("GROWS")
    assert descriptors.endswith("flat")
    assert "NOT EXPECTED: evaluate: internal: no" in text


def test_a_short_soak_writes_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--minutes", "0.1", "--seed", "3", "--results", str(tmp_path), "--quiet"])
    (report,) = tmp_path.glob("*.json")
    found = json.loads(report.read_text())
    assert found["soaked"]["faults"] == [], capsys.readouterr().out
    assert found["soaked"]["requests"]["evaluate"] > 0
    assert {"threads", "descriptors"} <= found["trends"].keys()
    assert code in {0, 1}  # six seconds are warm-up: whether anything grows is not told by them


def test_two_hundred_clients_are_all_answered_once(tmp_path: Path) -> None:
    with running_backend(tmp_path) as backend:
        held = hold(backend.endpoint, clients=200, seconds=4.0)
    assert held.good, held.as_text()
    assert len(held.seconds) == held.sent
    assert held.sent >= 200
    assert not set(held.refused) - {"overloaded"}, held.as_text()
