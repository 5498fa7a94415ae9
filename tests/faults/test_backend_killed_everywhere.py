"""Kills a whole backend at every place of its actors and sockets, under load, again and again."""

from __future__ import annotations

import random
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.places import OF_THE_BACKEND
from tools.faults.plan import Life, everywhere
from tools.faults.report import as_text
from tools.faults.torture import Torture, short_directory

AT_LEAST = 50
"""Ends by SIGKILL."""

PASSED_WITHIN = 20.0
"""Seconds in which a backend under load comes to any place; most take a moment."""


@pytest.fixture
def directory() -> Iterator[Path]:
    with short_directory() as made:
        yield made


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


@pytest.mark.timeout(400)
def test_a_backend_that_is_killed_at_every_place_keeps_its_promises(directory: Path) -> None:
    seed = secrets.randbelow(2**32)
    places = list(OF_THE_BACKEND)
    random.Random(seed).shuffle(places)
    report = Torture(directory, seed, say).run(everywhere(places, PASSED_WITHIN))
    say(as_text(report))
    assert report.books.is_clean, as_text(report)
    assert sorted(report.passed) == sorted(OF_THE_BACKEND)
    assert report.kills["backend"] >= AT_LEAST
    assert report.books.acknowledged >= AT_LEAST


@pytest.mark.timeout(200)
def test_a_backend_and_its_image_that_stand_still_for_a_while_keep_their_promises(
    directory: Path,
) -> None:
    """For longer than anybody waits for an answer; `make torture` goes beyond every timeout."""
    lives = [Life("", "freeze backend", 0.2, 6.0), Life("", "freeze image", 0.2, 4.0)]
    report = Torture(directory, 1, say, images=1).run(lives)
    assert report.books.is_clean, as_text(report)
    assert report.kills["frozen backend"] == report.kills["frozen image"] == 1
    assert report.books.silent > 0, "nobody has noticed"
