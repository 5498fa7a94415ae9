"""What people read of a soak: a table, a JSON file and a plot."""

from __future__ import annotations

import importlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec

from tools.soak.run import Soaked
from tools.soak.trend import Tolerance, Trend, trend

_MIB: Final = 1024 * 1024
TOLERANCES: Final[dict[str, Tolerance]] = {
    "resident bytes": Tolerance(4 * _MIB),
    "malloc bytes": Tolerance(_MIB),
    "python blocks": Tolerance(4000, 0.0),
    "python objects": Tolerance(2000, 0.0),
    "threads": Tolerance(1),
    "descriptors": Tolerance(4),
    "sockets": Tolerance(2),
    "database bytes": Tolerance(_MIB // 2),
    "log bytes": Tolerance(_MIB),
    "session files": Tolerance(15, 0.2),
    "session file bytes": Tolerance(_MIB // 8, 0.2),
}
"""What each may grow by after the warm-up.

Of what is resident, malloc holds a varying part free in pieces: within a quarter of an hour it was
between 4 and 8 MiB of 22 MiB, while what was in use kept its level but for SQLite's caches, which
fill to 2 MiB a connection. The database keeps pages to use again: 0.2 MB came within that time.
Blocks, objects and files follow how many sessions there are just then, as clients come and go at
random. One small object left over in ten requests, or a session's file in twenty sessions, passes
these within five minutes.
"""


def judged(soaked: Soaked) -> dict[str, Trend]:
    """The trend of each series after the warm-up."""
    first = next(index for index, at in enumerate(soaked.times) if at >= soaked.warm_up)
    times = soaked.times[first:]
    return {
        name: trend(times, values[first:], TOLERANCES[name])
        for name, values in soaked.series.items()
    }


def as_text(soaked: Soaked, trends: dict[str, Trend]) -> str:
    """The table."""
    summary = (
        f"{sum(soaked.requests.values())} requests in {soaked.seconds:.0f} s, "
        f"{sum(soaked.refused.values())} refused, {len(soaked.faults)} that should not be; "
        f"the image had {soaked.image_lives} lives; seed {soaked.seed}"
    )
    heading = f"{'':20}{'level':>14}{'growth':>14}{'allowed':>14}{'certainty':>11}"
    lines = [summary, heading]
    for name, found in trends.items():
        verdict = "GROWS" if found.grows else "flat"
        lines.append(
            f"{name:20}{found.level:14.0f}{found.growth:14.1f}{found.allowed:14.0f}"
            f"{found.certainty:11.1f}  {verdict}"
        )
    if "python objects" in trends and trends["python objects"].grows:
        grown = (f"{count} {name}" for name, count in soaked.more_objects.items())
        lines.append(f"more objects: {', '.join(grown)}")
    lines += [f"NOT EXPECTED: {fault}" for fault in soaked.faults[:20]]
    return "\n".join(lines)


def write(soaked: Soaked, trends: dict[str, Trend], path: Path) -> None:
    """Write PATH.json, and PATH.png where matplotlib is installed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    verdicts = {name: {**asdict(found), "grows": found.grows} for name, found in trends.items()}
    whole = msgspec.json.encode({"soaked": soaked, "trends": verdicts})
    path.with_suffix(".json").write_bytes(msgspec.json.format(whole, indent=1))
    try:
        # By name: the extra `bench` may be missing where this file is checked.
        matplotlib: Any = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        plots: Any = importlib.import_module("matplotlib.pyplot")
    except ModuleNotFoundError:
        return
    figure, axes = plots.subplots(
        len(soaked.series), 1, sharex=True, figsize=(9, 1.6 * len(soaked.series))
    )
    for axis, (name, values) in zip(axes, soaked.series.items(), strict=True):
        axis.plot(soaked.times, values, color="tab:red" if trends[name].grows else "tab:green")
        axis.axvline(soaked.warm_up, color="gray", linewidth=0.5)
        axis.set_ylabel(name, rotation=0, ha="right", fontsize=8)
        axis.set_ylim(0, 1.1 * max(*values, 1))
    axes[-1].set_xlabel("seconds; judged right of the line")
    figure.tight_layout()
    figure.savefig(path.with_suffix(".png"), dpi=100)
    plots.close(figure)
