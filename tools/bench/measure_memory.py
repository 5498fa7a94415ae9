"""What an idle live session holds in memory beside its document."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tools.bench import memory
from tools.bench.bench import Bench
from tools.bench.findings import Finding, Measured, Target
from tools.bench.job import Job
from tools.bench.loader import Loader
from tools.bench.seed import seed

_WARM_UP: Final = 100
"""Sessions that are opened before the growth is looked at: the first ones fill caches."""
_TARGET: Final = Target(bound=60.0)


def measure(bench: Bench) -> Measured:
    """Growth of the resident set by opening many empty sessions, for each of them."""
    if not memory.can_measure():
        return Measured(missing=["Memory is not measured: only Linux tells in /proc."])
    data_dir, count, loader = bench.data_dir("memory"), bench.scale.live_sessions, bench.loader()
    sessions = seed(data_dir, count + _WARM_UP)
    grown = bench.rounds("memory", {"growth": lambda: _grown(bench, loader, data_dir, sessions)})
    kilobytes = [value / count / 1024 for value in grown["growth"]]
    return Measured(
        findings=[
            Finding(
                what=f"memory of an idle live session ({count} of them)",
                unit="KB",
                values=kilobytes,
                target=_TARGET,
            )
        ]
    )


def _grown(bench: Bench, loader: Loader, data_dir: Path, sessions: list[str]) -> int:
    with bench.start_service(data_dir) as service:

        def restore(some: list[str]) -> None:
            loader.run(
                Job(
                    endpoint=service.endpoint,
                    kind="restore",
                    sessions=some,
                    requests=len(some),
                    seconds=60.0,
                    warm_up=0.0,
                )
            )

        restore(sessions[:_WARM_UP])
        before = memory.resident(service.pid)
        restore(sessions[_WARM_UP:])
        return memory.resident(service.pid) - before
