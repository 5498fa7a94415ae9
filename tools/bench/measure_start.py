"""From starting the process to its first reply, with many stored sessions and with none."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Final

from tools.bench.asking import asking
from tools.bench.bench import Bench
from tools.bench.findings import Finding, Measured, Series, Target, quotients
from tools.bench.seed import seed

_TARGET: Final = Target(bound=1.5)


def measure(bench: Bench) -> Measured:
    """Sessions that are not in use cost nothing at start."""
    stored, none = bench.data_dir("start"), bench.data_dir("start")
    count = bench.scale.start_sessions
    seed(stored, count)
    names = {f"{count} stored": stored, "none stored": none}
    for data_dir in names.values():
        _start(bench, data_dir)  # the first one makes files and fills caches
    times = bench.rounds(
        "start", {name: partial(_start, bench, data_dir) for name, data_dir in names.items()}
    )
    with_sessions, without = times.values()
    return Measured(
        findings=[
            Finding(
                what=f"start to first reply, {count} sessions stored",
                beside="none stored",
                unit="x",
                values=quotients(with_sessions, without),
                target=_TARGET,
            )
        ],
        series=[
            Series(name=f"start: {name}", unit="ms", values=[1e3 * value for value in values])
            for name, values in times.items()
        ],
    )


def _start(bench: Bench, data_dir: Path) -> float:
    with bench.start_service(data_dir) as service, asking(service.endpoint) as asker:
        asker.ask("ping")
        return time.perf_counter() - service.started
