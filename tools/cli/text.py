"""Text for people: what a terminal may be shown, and tables that fit it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Final

_GAP: Final = "  "
_NARROWEST: Final = 8
"""Columns are not cut below this width, however narrow the terminal is."""


def harmless(text: str) -> str:
    """TEXT without what could steer a terminal: control characters other than tab and newline."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def one_line(text: str) -> str:
    """TEXT on one line, without what could steer a terminal."""
    return harmless(" ".join(text.split()))


def shortened(text: str, width: int) -> str:
    """The beginning of TEXT in at most WIDTH characters; an ellipsis shows that it was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def table(titles: Sequence[str], rows: Sequence[Sequence[object]], width: int | None = None) -> str:
    """ROWS below TITLES, in columns; numbers are aligned to the right.

    Where that is wider than WIDTH (by default the terminal's; none where output goes elsewhere),
    the widest columns are cut.
    """
    cells = [list(titles), *([one_line(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    _fit(widths, terminal_width() if width is None else width)
    numeric = [
        bool(rows) and all(isinstance(row[column], (int, float)) for row in rows)
        for column in range(len(titles))
    ]
    return "\n".join(
        _GAP.join(
            shortened(cell, width).rjust(width) if right else shortened(cell, width).ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    )


def record(fields: Mapping[str, object]) -> str:
    """FIELDS as lines of a name and a value; fields that are empty are left out."""
    shown = {
        name: one_line(str(value)) for name, value in fields.items() if value not in ("", None)
    }
    width = max(map(len, shown), default=0)
    return "\n".join(f"{name.ljust(width)}{_GAP}{value}" for name, value in shown.items())


def terminal_width() -> int | None:
    """How wide a line may be; None where output does not go to a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def block(title: str, *lines: str) -> str:
    """TITLE and indented LINES as click's help shows them unchanged."""
    return "\n".join(["\b", title, *(f"  {line}" for line in lines)])


def duration(seconds: float) -> str:
    """SECONDS as people say it: the two largest units."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    left, parts = int(seconds), list[str]()
    for name, length in units:
        count, left = divmod(left, length)
        if count or (parts and left):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def size(count: int) -> str:
    """A number of bytes as people say it."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def _fit(widths: list[int], limit: int | None) -> None:
    """Narrow the widest of WIDTHS, in place, until a line has at most LIMIT characters."""
    if limit is None:
        return
    gaps = len(_GAP) * (len(widths) - 1)
    while sum(widths) + gaps > limit and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
