"""What a flood does to others: a steady client's p99 beside each kind of flood and without it.

The flood goes on and off in turns, so that both are measured in the same minute on the same
machine: `python -m tools.soak.fairness --endpoint … --turns N [KIND …]`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from statistics import median
from typing import Final

from tools.soak.flood import KINDS
from tools.soak.program import Program

_TURN: Final = 2.0
_UNSETTLED: Final = 0.15
"""Seconds after each switch that belong to neither side."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """What a steady client saw beside one kind of flood; seconds."""

    flood: str
    kind: str
    alone_p50: float
    alone_p99: float
    beside_p50: float
    beside_p99: float
    outcomes: dict[str, int]

    @property
    def ratio(self) -> float:
        """How many times the p99 alone it is beside the flood."""
        return self.beside_p99 / self.alone_p99


def measure(endpoint: str, flood: str, turns: int) -> list[Disturbed]:
    """Two steady clients beside FLOOD, which goes on and off TURNS times."""
    steady = {kind: Program("tools.soak.steady", kind, endpoint) for kind in ("read", "change")}
    flooder = Program("tools.soak.flood", flood, endpoint)
    spans: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(turns):
        for on in (False, True):
            flooder.tell("go" if on else "pause")
            began = time.monotonic() + _UNSETTLED
            time.sleep(_TURN)
            spans[on].append((began, time.monotonic()))
    flooder.tell("pause")
    outcomes = json.loads(flooder.tell("count"))
    noted = {kind: json.loads(each.end()) for kind, each in steady.items()}
    flooder.end()
    return [_compared(flood, kind, each, spans, outcomes) for kind, each in noted.items()]


def _compared(
    flood: str,
    kind: str,
    noted: list[tuple[float, float]],
    spans: dict[bool, list[tuple[float, float]]],
    outcomes: dict[str, int],
) -> Disturbed:
    """The median of the turns: what else the machine does now and then is in few of them."""
    found: dict[tuple[bool, int], float] = {}
    for on, some in spans.items():
        turns = [sorted(took for at, took in noted if begin <= at < end) for begin, end in some]
        for percent in (50, 99):
            found[on, percent] = median(_share(times, percent) for times in turns)
    return Disturbed(
        flood,
        kind,
        alone_p50=found[False, 50],
        alone_p99=found[False, 99],
        beside_p50=found[True, 50],
        beside_p99=found[True, 99],
        outcomes=outcomes,
    )


def _share(times: list[float], percent: int) -> float:
    return times[len(times) * percent // 100] if times else math.inf


def in_words(found: Disturbed) -> str:
    """A line of the table; times are milliseconds."""
    times = (found.alone_p50, found.beside_p50, found.alone_p99, found.beside_p99)
    shown = " ".join(f"{1e3 * each:9.2f}" for each in times)
    return f"{found.flood:15} {found.kind:7}{shown}{found.ratio:9.2f}"


HEADING: Final = (
    f"{'flood':15} {'request':7}{'p50 alone':>10}{'beside':>10}"
    f"{'p99 alone':>10}{'beside':>10}    times"
)


def main() -> None:
    """Measure beside each kind of flood, or those that are named, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak.fairness", description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("kinds", nargs="*", default=["nothing", *KINDS])
    given = parser.parse_args()
    print(HEADING)
    for flood in given.kinds:
        for found in measure(given.endpoint, flood, given.turns):
            outcomes = f"  {found.outcomes}" if found.kind == "read" else ""
            print(in_words(found) + outcomes, flush=True)


if __name__ == "__main__":
    main()
