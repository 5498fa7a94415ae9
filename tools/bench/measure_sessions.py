"""Creating sessions and restoring large ones from disk: how long, and how much memory meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from tools.bench import memory
from tools.bench.asking import Asker, asking
from tools.bench.bench import Bench
from tools.bench.findings import Finding, Measured, Series, Target
from tools.bench.seed import seed

_LARGE: Final = 1024 * 1024
_CREATED_WITHIN: Final = Target(bound=100.0)
_RESTORED_WITHIN: Final = Target(bound=500.0)
_MEGABYTES: Final = Target(bound=10.0)


@dataclass(frozen=True, slots=True)
class _Costs:
    """Of each request: milliseconds, and how many megabytes the service's memory peaked higher."""

    times: list[float]
    growths: list[float]


def measure(bench: Bench) -> Measured:
    """One request after the other; every restored session is restored for the first time."""
    scale, data_dir = bench.scale, bench.data_dir("sessions")
    large = iter(seed(data_dir, scale.restorations * scale.rounds, _LARGE))
    clients = iter(range(scale.creations * scale.rounds))
    service = bench.service(data_dir)
    with asking(service.endpoint) as asker:
        results = bench.rounds(
            "sessions",
            {
                "create_session": lambda: _costs(
                    asker,
                    service.pid,
                    scale.creations,
                    lambda: ("create_session", {"client_id": f"creator-{next(clients)}"}),
                ),
                "restore_session of 1 MB": lambda: _costs(
                    asker,
                    service.pid,
                    scale.restorations,
                    lambda: ("restore_session", {"session_id": next(large)}),
                ),
            },
        )
    limits = (_CREATED_WITHIN, _RESTORED_WITHIN)
    findings, series = [], []
    for (name, costs), within in zip(results.items(), limits, strict=True):
        findings += _findings(name, costs, within)
        middle = [median(cost.times) for cost in costs]
        series.append(Series(name=f"{name}, p50", unit="ms", values=middle))
    missing = [] if memory.can_measure() else ["Memory is not measured: only Linux tells in /proc."]
    return Measured(findings=findings, series=series, missing=missing)


def _findings(name: str, costs: list[_Costs], within: Target) -> list[Finding]:
    slowest = [max(cost.times) for cost in costs]
    found = [
        Finding(what=f"{name}, slowest", unit="ms", values=slowest, target=within, by_worst=True)
    ]
    if memory.can_measure():
        highest = [max(cost.growths) for cost in costs]
        what = f"{name}, memory meanwhile"
        found.append(
            Finding(what=what, unit="MB", values=highest, target=_MEGABYTES, by_worst=True)
        )
    return found


def _costs(
    asker: Asker, pid: int, count: int, request: Callable[[], tuple[str, dict[str, Any]]]
) -> _Costs:
    times, growths = [], []
    for _ in range(count):
        command, parameters = request()
        before = 0
        if memory.can_measure():
            memory.reset_peak(pid)
            before = memory.peak(pid)
        asker.ask(command, **parameters)
        times.append(1e3 * asker.seconds)
        if memory.can_measure():
            growths.append((memory.peak(pid) - before) / 2**20)
    return _Costs(times, growths)
