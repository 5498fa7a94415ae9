"""Snapshot and restore of workspaces in both images beside `pickle` of the same graph."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from tools.bench.asking import Asker, asking
from tools.bench.bench import Bench, CannotStartImage
from tools.bench.errors import CannotMeasure
from tools.bench.findings import Curves, Finding, Measured, Series, Target, quotients
from tools.bench.objects import grown
from tools.bench.workspaces import Dialect, growing

_TARGET: Final = Target(bound=10.0)
_TARGET_IS_FOR: Final = ("Python", 1000)
_OBJECTS_A_ROUND: Final = 300_000
"""Large workspaces are snapshotted less often."""
_FEWEST: Final = 3
_MOST_BYTES: Final = 32 * 1024 * 1024
_MOST_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Times:
    """One round of one contender; seconds."""

    snapshot: float
    restore: float


def measure(bench: Bench) -> Measured:
    """Of the image's round trip: the request, the work, the data as text in the reply."""
    findings: list[Finding] = []
    series: list[Series] = []
    missing: list[str] = []
    with ExitStack() as stack:
        askers: dict[Dialect, Asker] = {
            "Python": stack.enter_context(asking(bench.image().endpoint))
        }
        try:
            askers["Amber"] = stack.enter_context(asking(bench.smalltalk_image().endpoint))
        except CannotStartImage as reason:
            missing.append(f"Snapshots are not measured on the Smalltalk image: {reason}")
        pings = bench.rounds(
            "ping of an image",
            {name: partial(_ping, asker, bench.scale.snapshots) for name, asker in askers.items()},
        )
        results = {count: _contest(bench, askers, count) for count in bench.scale.snapshot_objects}
    for count, times in results.items():
        findings += _findings(times, count)
        series += _series(times, count)
    for name, seconds in pings.items():
        micros = [1e6 * value for value in seconds]
        series.append(Series(name=f"ping of the image: {name}", unit="µs", values=micros))
    curves = [
        _curves("snapshot of a workspace", results, _snapshots),
        _curves("restore of a workspace", results, _restores),
    ]
    return Measured(findings=findings, series=series, curves=curves, missing=missing)


def _contest(bench: Bench, askers: Mapping[Dialect, Asker], count: int) -> dict[str, list[_Times]]:
    often = min(bench.scale.snapshots, max(_FEWEST, _OBJECTS_A_ROUND // count))
    contenders: dict[str, Callable[[], _Times]] = {"pickle": partial(_pickled, grown(count), often)}
    for dialect, asker in askers.items():
        session = f"bench-{count}"
        for number, code in enumerate(growing(dialect, count)):
            asker.ask(
                "evaluate",
                session=session,
                code=code,
                request=f"{session}-{number}",
                mode="Execute",
            )
        contenders[dialect] = partial(_in_image, asker, session, count, often)
    return bench.rounds(f"snapshots of {count} objects", contenders)


def _pickled(graph: list[object], often: int) -> _Times:
    dumps, loads = [], []
    for _ in range(often):
        began = time.perf_counter()
        data = pickle.dumps(graph, pickle.HIGHEST_PROTOCOL)
        dumped = time.perf_counter()
        again = pickle.loads(data)  # noqa: S301  our own
        loads.append(time.perf_counter() - dumped)
        dumps.append(dumped - began)
        del again
    return _Times(median(dumps), median(loads))


def _in_image(asker: Asker, session: str, count: int, often: int) -> _Times:
    """Every restore is into a workspace that is not there yet."""
    snapshots, restores, other = [], [], f"{session}-restored"
    for _ in range(often):
        taken = asker.ask(
            "snapshot_workspace",
            session=session,
            most_bytes=_MOST_BYTES,
            most_seconds=_MOST_SECONDS,
        )
        snapshots.append(asker.seconds)
        restored = asker.ask(
            "restore_workspace", session=other, format=taken["format"], data=taken["data"]
        )
        restores.append(asker.seconds)
        asker.ask("close_workspace", session=other)
        if taken["object_count"] < count * 4 // 5:  # where strings have no identity
            raise CannotMeasure(f"A snapshot of {count} objects has {taken['object_count']}.")
        if any(variable["fate"] != "restored" for variable in restored["variables"]):
            raise CannotMeasure(f"Not all was restored: {restored['variables']}")
    return _Times(median(snapshots), median(restores))


def _ping(asker: Asker, often: int) -> float:
    times = []
    for _ in range(often):
        asker.ask("ping")
        times.append(asker.seconds)
    return median(times)


def _findings(times: Mapping[str, list[_Times]], count: int) -> list[Finding]:
    found = []
    for name in times:
        if name == "pickle":
            continue
        target = _TARGET if (name, count) == _TARGET_IS_FOR else None
        for what, values, beside in (
            ("snapshot", _snapshots(times[name]), _snapshots(times["pickle"])),
            ("restore", _restores(times[name]), _restores(times["pickle"])),
        ):
            found.append(
                Finding(
                    what=f"{what} of {count} objects, {name} image",
                    beside="pickle.dumps" if what == "snapshot" else "pickle.loads",
                    unit="x",
                    values=quotients(values, beside),
                    target=target,
                )
            )
    return found


def _series(times: Mapping[str, list[_Times]], count: int) -> list[Series]:
    return [
        Series(name=f"{what} of {count} objects: {name}", unit="ms", values=values)
        for name, rounds in times.items()
        for what, values in (
            ("snapshot", [1e3 * value for value in _snapshots(rounds)]),
            ("restore", [1e3 * value for value in _restores(rounds)]),
        )
    ]


def _curves(
    what: str,
    results: Mapping[int, Mapping[str, list[_Times]]],
    seconds: Callable[[list[_Times]], list[float]],
) -> Curves:
    lines: dict[str, list[tuple[float, float]]] = {}
    for count, times in results.items():
        for name, rounds in times.items():
            lines.setdefault(name, []).append((count, 1e3 * median(seconds(rounds))))
    return Curves(what=what, across="objects", unit="ms", lines=lines)


def _snapshots(rounds: list[_Times]) -> list[float]:
    return [each.snapshot for each in rounds]


def _restores(rounds: list[_Times]) -> list[float]:
    return [each.restore for each in rounds]
