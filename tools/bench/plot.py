"""A picture of the findings: how much of its bound each one uses, and how things grow."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

from tools.bench.findings import Curves, Finding, Measured

_MET: Final = "tab:green"
_MISSED: Final = "tab:red"
_CURVES_HEIGHT: Final = 4.0


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
    curves = [curve for each in measured.values() for curve in each.curves]
    heights = [1.5 + 0.38 * len(found), *([_CURVES_HEIGHT] if curves else [])]
    figure = plots.figure(figsize=(11, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), max(1, len(curves)), height_ratios=heights)
    _draw_bars(figure.add_subplot(grid[0, :]), found)
    for column, curve in enumerate(curves):
        _draw_curves(figure.add_subplot(grid[1, column]), curve)
    figure.savefig(path, dpi=120)
    plots.close(figure)


def _draw_bars(axes: Any, found: list[Finding]) -> None:
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


def _draw_curves(axes: Any, curves: Curves) -> None:
    for name, points in curves.lines.items():
        axes.loglog(*zip(*points, strict=True), marker="o", label=name)
    axes.set_title(curves.what, fontsize=9)
    axes.set_xlabel(curves.across)
    axes.set_ylabel(curves.unit)
    axes.legend(fontsize=8)


def _used(finding: Finding) -> tuple[float, float, float]:
    """What the bar shows, and the least and the most of all rounds."""
    target = finding.target
    assert target is not None  # noqa: S101  only such findings are drawn
    shares = sorted(target.used_by(value) for value in finding.values)
    return target.used_by(finding.value), shares[0], shares[-1]
