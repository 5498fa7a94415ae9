"""A picture of a run: what was acknowledged over time, and when the backend died.

With matplotlib where that is installed, else as SVG written here.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

from tools.faults.report import Report

_WIDTH: Final = 900
_HEIGHT: Final = 360
_LEFT: Final = 70
_BELOW: Final = 40


def draw(report: Report, stem: Path) -> Path:
    """Write a picture beside STEM; its path, which says what it is."""
    try:
        # By name: the extra may be missing where this file is checked.
        matplotlib: Any = importlib.import_module("matplotlib")
        matplotlib.use("Agg")
        plots: Any = importlib.import_module("matplotlib.pyplot")
    except ModuleNotFoundError:
        path = stem.with_suffix(".svg")
        path.write_text(as_svg(report), encoding="utf-8")
        return path
    path = stem.with_suffix(".png")
    _draw_png(report, path, plots)
    return path


def _draw_png(report: Report, path: Path, plots: Any) -> None:
    figure, axes = plots.subplots(figsize=(11, 4.5), layout="constrained")
    axes.plot([at for at, _, _ in report.curve], [count for _, count, _ in report.curve])
    for at in _deaths(report):
        axes.axvline(at, color="tab:red", linewidth=0.5, alpha=0.5)
    axes.set_title(_title(report), fontsize=10)
    axes.set_xlabel("seconds")
    axes.set_ylabel("acknowledged")
    figure.savefig(path, dpi=120)
    plots.close(figure)


def as_svg(report: Report) -> str:
    """The picture as text."""
    longest = max((at for at, _, _ in report.curve), default=0.0) or 1.0
    most = max((count for _, count, _ in report.curve), default=0) or 1

    def x(at: float) -> float:
        return round(_LEFT + at / longest * (_WIDTH - _LEFT - 10), 1)

    def y(count: int) -> float:
        return round(_HEIGHT - _BELOW - count / most * (_HEIGHT - _BELOW - 40), 1)

    points = " ".join(f"{x(at)},{y(count)}" for at, count, _ in report.curve)
    deaths = "".join(
        f'<line x1="{x(at)}" x2="{x(at)}" y1="40" y2="{y(0)}" stroke="#d62728" opacity="0.4"/>'
        for at in _deaths(report)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
        f'<text x="{_LEFT}" y="24">{_title(report)}</text>{deaths}'
        f'<polyline points="{points}" fill="none" stroke="#1f77b4" stroke-width="2"/>'
        f'<text x="5" y="{y(most) + 4}">{most}</text><text x="5" y="{y(0)}">0</text>'
        f'<text x="{_WIDTH - 80}" y="{_HEIGHT - 12}">{longest:.0f} s</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 12}">acknowledged; red: the backend died</text></svg>\n'
    )


def _deaths(report: Report) -> list[float]:
    """The moments at which the backend had died once more."""
    found, before = [], 0
    for at, _, deaths in report.curve:
        if deaths > before:
            found.append(at)
        before = deaths
    return found


def _title(report: Report) -> str:
    return (
        f"{report.books.acknowledged} acknowledged, {len(report.books.lost)} lost, "
        f"{len(report.books.duplicated)} duplicated, {sum(report.kills.values())} kills, "
        f"seed {report.seed}"
    )
