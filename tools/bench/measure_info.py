"""`get_session_info` beside the echo: what a request costs that writes nothing."""

from __future__ import annotations

from typing import Final

from tools.bench.asking import restore_all
from tools.bench.bench import Bench
from tools.bench.contest import contest
from tools.bench.findings import Finding, Measured, Target, percentages, quotients
from tools.bench.job import Job
from tools.bench.seed import seed

_ALONE: Final = Target(bound=3.0)
_TOGETHER: Final = Target(bound=20.0, at_least=True)


def measure(bench: Bench) -> Measured:
    """Of sessions that are open, and of sessions at rest that only the store knows."""
    scale = bench.scale
    services: dict[str, Job] = {}
    for stored in (scale.few_sessions, scale.many_sessions):
        data_dir = bench.data_dir("info")
        ids = seed(data_dir, stored)
        endpoint = bench.service(data_dir).endpoint
        open_ones, at_rest = ids[: scale.clients], ids[scale.clients :]
        restore_all(endpoint, open_ones)
        services[f"open, {stored} stored"] = _job(bench, endpoint, open_ones)
        services[f"at rest, {stored} stored"] = _job(bench, endpoint, at_rest)
    echo = _job(bench, bench.echo().endpoint, ids, expected='"command"')

    result = contest(bench, "info", {"echo": echo, **services}, scale.together)
    alone = [
        Finding(
            what=f"get_session_info p50, 1 client ({name})",
            beside="echo",
            unit="x",
            values=quotients(result.alone(name), result.alone("echo")),
            target=_ALONE,
        )
        for name in services
    ]
    together = [
        Finding(
            what=f"get_session_info a second, {scale.clients} clients ({name})",
            beside="echo",
            unit="%",
            values=percentages(result.rate(name), result.rate("echo")),
            target=_TOGETHER,
        )
        for name in services
    ]
    return Measured(findings=alone + together, series=result.series("info", scale.clients))


def _job(bench: Bench, endpoint: str, sessions: list[str], expected: str = '"success"') -> Job:
    return Job(
        endpoint=endpoint,
        kind="info",
        sessions=sessions,
        requests=bench.scale.alone,
        seconds=bench.scale.seconds,
        expected=expected,
    )
