"""A picture of the findings: how much of its bound each one uses."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

from tools.bench.findings import Finding, Measured

_MET: Final = "tab:green"
_MISSED: Final = "tab:red"


class NoPlot(Exception):
    """The extra `bench` is not installed."""


def draw(measured: dict[str, Measured], path: Path) -> None:
    """Write a PNG; a bar that ends left of the line meets its target. Raises `NoPlot`."""
    try:
        # By name: the extra may be missing where this file is checked.
        matplotlib: Any = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        plots: Any = importlib.import_module("matplotlib.pyplot")
    except ModuleNotFoundError as error:
        raise NoPlot(
            f"There is no plot: {error.name} is not installed; `make bench` does it."
        ) from None
    found = [finding for each in measured.values() for finding in each.findings if finding.target]
    figure, axes = plots.subplots(figsize=(11, 1.5 + 0.38 * len(found)), layout="constrained")
    for row, finding in enumerate(reversed(found)):
        used, least, most = _used(finding)
        axes.barh(
            row,
            used,
            xerr=[[used - least], [most - used]],
            color=_MET if finding.met else _MISSED,
            alpha=0.7,
            capsize=3,
        )
    axes.set_yticks(range(len(found)), [finding.what for finding in reversed(found)], fontsize=8)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlabel("share of what the target allows (whiskers: all rounds)")
    figure.savefig(path, dpi=120)
    plots.close(figure)


def _used(finding: Finding) -> tuple[float, float, float]:
    """What the bar shows, and the least and the most of all rounds."""
    target = finding.target
    assert target is not None  # noqa: S101  only such findings are drawn
    shares = sorted(target.used_by(value) for value in finding.values)
    return target.used_by(finding.value), shares[0], shares[-1]
