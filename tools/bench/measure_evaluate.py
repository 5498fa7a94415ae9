"""`evaluate` in a session on the Python image beside Jupyter's execute of the same code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

from tools.bench.asking import asking, wait_for_images
from tools.bench.bench import Bench
from tools.bench.findings import Finding, Measured, Series, Target, quotients, sums
from tools.bench.flush import flush_seconds
from tools.bench.job import Job
from tools.bench.jupyter import NoJupyter, execute_seconds, kernel
from tools.bench.seed import seed

_SHARE_OF_JUPYTER: Final = 0.6
_FLUSHES: Final = 2
_FLUSH_BYTES: Final = 1024


def measure(bench: Bench) -> Measured:
    """Of `1+1`; two flushes are part of the promise, so the bound has them on top."""
    scale, data_dir = bench.scale, bench.data_dir("evaluate")
    sessions = seed(data_dir, scale.few_sessions)[:1]
    service = bench.service(data_dir, {"python": bench.image().endpoint})
    with asking(service.endpoint) as asker:
        wait_for_images(asker)
        asker.ask("restore_session", session_id=sessions[0])
    job = Job(
        endpoint=service.endpoint,
        kind="evaluate",
        sessions=sessions,
        requests=scale.evaluations,
        seconds=scale.seconds,
    )
    loader = bench.loader()
    with ExitStack() as stack:
        contenders: dict[str, Callable[[], float]] = {
            "service": lambda: loader.run(job).p50,
            "fdatasync": partial(flush_seconds, bench.directory, _FLUSH_BYTES, scale.evaluations),
        }
        missing = []
        try:
            client = stack.enter_context(kernel(bench.data_dir("jupyter")))
            execute_seconds(client, max(1, scale.evaluations // 10))
            contenders["Jupyter"] = partial(execute_seconds, client, scale.evaluations)
        except NoJupyter as reason:
            missing.append(f"evaluate is not held against Jupyter: {reason}; `make bench` does it.")
        times = bench.rounds("evaluate", contenders)
    series = [
        Series(name=f"evaluate, p50: {name}", unit="µs", values=[1e6 * value for value in values])
        for name, values in times.items()
    ]
    return Measured(findings=_findings(times), series=series, missing=missing)


def _findings(times: dict[str, list[float]]) -> list[Finding]:
    if "Jupyter" not in times:
        return []
    allowed = sums(
        [_SHARE_OF_JUPYTER * value for value in times["Jupyter"]],
        [_FLUSHES * value for value in times["fdatasync"]],
    )
    return [
        Finding(
            what="evaluate 1+1 in a session, p50",
            beside=f"{_SHARE_OF_JUPYTER} x Jupyter + {_FLUSHES} fdatasync",
            unit="x",
            values=quotients(times["service"], allowed),
            target=Target(bound=1.0),
        )
    ]
