"""Contenders under the same two loads: one client alone, and many together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from tools.bench.bench import Bench
from tools.bench.findings import Series
from tools.bench.job import Job
from tools.bench.loader import Loader


@dataclass(frozen=True, slots=True)
class Score:
    """One round of one contender; `alone` and `slowest` in seconds, `rate` in replies a second.

    `busy` is how much of a core the load program used with many clients.
    """

    alone: float
    slowest: float = 0.0
    rate: float = 0.0
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class Contest:
    """The scores of each contender, one a round."""

    scores: Mapping[str, list[Score]]

    def alone(self, name: str) -> list[float]:
        """The median times of replies to the client that is alone, in seconds."""
        return [score.alone for score in self.scores[name]]

    def rate(self, name: str) -> list[float]:
        """Replies a second to all clients together."""
        return [score.rate for score in self.scores[name]]

    def series(self, what: str, clients: int) -> list[Series]:
        """The raw numbers."""
        found = []
        for name, scores in self.scores.items():
            micros = [1e6 * score.alone for score in scores]
            found.append(Series(name=f"{what}, 1 client, p50: {name}", unit="µs", values=micros))
            if any(score.rate for score in scores):
                slowest = [1e3 * score.slowest for score in scores]
                found.append(
                    Series(name=f"{what}, 1 client, slowest: {name}", unit="ms", values=slowest)
                )
                many = f"{what}, {clients} clients: {name}"
                busy = [100 * score.busy for score in scores]
                found.append(Series(name=many, unit="/s", values=self.rate(name)))
                found.append(Series(name=f"{many}, load program", unit="% CPU", values=busy))
        return found


def contest(
    bench: Bench,
    what: str,
    jobs: Mapping[str, Job],
    together: int,
    others: Mapping[str, Callable[[], Score]] | None = None,
) -> Contest:
    """Run each job as it is, for the client alone, and again with TOGETHER requests of all clients.

    OTHERS take part in the rounds too.
    """
    loader = bench.loader()
    contenders = {name: partial(_play, bench, loader, job, together) for name, job in jobs.items()}
    return Contest(bench.rounds(what, {**contenders, **(others or {})}))


def _play(bench: Bench, loader: Loader, job: Job, together: int) -> Score:
    alone = loader.run(job)
    crowd = msgspec.structs.replace(job, clients=bench.scale.clients, requests=together)
    many = loader.run(crowd)
    return Score(alone.p50, alone.worst, many.rate, many.busy)
