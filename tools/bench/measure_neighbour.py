"""Small requests of one client while another one sends large bodies without pause."""

from __future__ import annotations

from typing import Final

from tools.bench.asking import restore_all
from tools.bench.bench import Bench
from tools.bench.findings import Finding, Measured, Series, Target, quotients
from tools.bench.job import Job, Result
from tools.bench.seed import seed

_LARGE: Final = 9 * 1024 * 1024
_INTERVAL: Final = 0.004
_LONGER: Final = 1.25
"""So much longer than the small requests the large ones go on, because those have a warm-up."""
_TARGET: Final = Target(bound=3.0)


def measure(bench: Bench) -> Measured:
    """Both clients are processes of their own; the small one keeps a steady pace."""
    scale, data_dir = bench.scale, bench.data_dir("neighbour")
    small_one, large_one = seed(data_dir, scale.few_sessions)[:2]
    endpoint = bench.service(data_dir).endpoint
    restore_all(endpoint, [small_one, large_one])
    small, large = bench.loader(), bench.loader()
    duration = scale.steady * _INTERVAL
    steady = Job(
        endpoint=endpoint,
        kind="info",
        sessions=[small_one],
        requests=scale.steady,
        seconds=scale.seconds + duration,
        interval=_INTERVAL,
    )
    bulk = Job(
        endpoint=endpoint,
        kind="update",
        sessions=[large_one],
        requests=1000,
        seconds=_LONGER * duration,
        warm_up=0.0,
        size=_LARGE,
    )
    large_rates = []

    def disturbed() -> Result:
        large.begin(bulk)
        result = small.run(steady)
        large_rates.append(large.result().rate)
        return result

    results = bench.rounds(
        "neighbour", {"alone": lambda: small.run(steady), "beside large ones": disturbed}
    )
    p99s = {name: [run.p99 for run in runs] for name, runs in results.items()}
    p50s = {name: [run.p50 for run in runs] for name, runs in results.items()}
    return Measured(
        findings=[
            Finding(
                what="get_session_info p99 beside 9 MiB updates of another client",
                beside="the same alone",
                unit="x",
                values=quotients(p99s["beside large ones"], p99s["alone"]),
                target=_TARGET,
            )
        ],
        series=[
            *(_milliseconds(f"steady info, p50: {name}", p50s[name]) for name in p50s),
            *(_milliseconds(f"steady info, p99: {name}", p99s[name]) for name in p99s),
            Series(name="9 MiB updates meanwhile", unit="/s", values=large_rates),
        ],
    )


def _milliseconds(name: str, values: list[float]) -> Series:
    return Series(name=name, unit="ms", values=[1e3 * value for value in values])
