"""A durable `update_session_state` beside the echo, the flush and the bare journal."""

from __future__ import annotations

from typing import Final

from tools.bench.asking import restore_all
from tools.bench.bench import Bench
from tools.bench.contest import Score, contest
from tools.bench.findings import Finding, Measured, Target, percentages, quotients, sums
from tools.bench.flush import flush_seconds
from tools.bench.job import Job
from tools.bench.seed import seed

_BYTES: Final = 1024
_ALONE: Final = Target(bound=2.5)
_TOGETHER: Final = Target(bound=25.0, at_least=True)


def measure(bench: Bench) -> Measured:
    """Of 1 KB, with unique ids, every client in a session of its own."""
    scale, data_dir = bench.scale, bench.data_dir("update")
    sessions = seed(data_dir, scale.few_sessions)[: scale.clients]
    service = bench.service(data_dir).endpoint
    restore_all(service, sessions)

    def job(endpoint: str, expected: str) -> Job:
        return Job(
            endpoint=endpoint,
            kind="update",
            sessions=sessions,
            requests=scale.durable_alone,
            seconds=scale.seconds,
            size=_BYTES,
            expected=expected,
        )

    def flush() -> Score:
        return Score(flush_seconds(bench.directory, _BYTES, scale.durable_alone))

    jobs = {
        "echo": job(bench.echo().endpoint, '"command"'),
        "journal": job(bench.journal().endpoint, '"command"'),
        "service": job(service, '"success"'),
    }
    result = contest(bench, "update", jobs, scale.durable_together, {"fdatasync": flush})
    floor = sums(result.alone("echo"), result.alone("fdatasync"))
    return Measured(
        findings=[
            Finding(
                what="update_session_state of 1 KB, p50, 1 client",
                beside="echo + fdatasync",
                unit="x",
                values=quotients(result.alone("service"), floor),
                target=_ALONE,
            ),
            Finding(
                what=f"update_session_state of 1 KB a second, {scale.clients} clients",
                beside="bare journal",
                unit="%",
                values=percentages(result.rate("service"), result.rate("journal")),
                target=_TOGETHER,
            ),
        ],
        series=result.series("update", scale.clients),
    )
