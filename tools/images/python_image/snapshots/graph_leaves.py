"""The nodes of `stui-graph-1` that refer to no others, and intervals, as values."""

import base64
import datetime as dt
from collections.abc import Callable
from typing import Any

MAX_INTERVAL = 1_000_000

_FLOATS = frozenset({"nan", "inf", "-inf", "-0.0"})


def interval(begin: Any, end: Any, step: Any) -> range | list[Any]:
    """A range, or a list where the numbers are not whole. Raises ValueError beyond a million."""
    whole = [int(number) if number == int(number) else number for number in (begin, end, step)]
    if all(isinstance(number, int) for number in whole):
        begin, end, step = whole
        return range(begin, end + (1 if step > 0 else -1), step)
    count = int((end - begin) / step + 1e-9) + 1
    if count > MAX_INTERVAL:
        raise ValueError(f"an interval of {count} numbers")
    return [begin + step * number for number in range(max(0, count))]


def _float(name: str) -> float:
    if name not in _FLOATS:
        raise ValueError("it is no float that has a name")
    # Each an object of its own: two that are not equal stay two in a set.
    return float(name)


# A datetime without an offset has none here either.
LEAVES: dict[str, Callable[..., object]] = {
    "integer": int,
    "float": _float,
    "symbol": str,
    "character": str,
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "datetime": dt.datetime.fromisoformat,
    "duration": lambda seconds: dt.timedelta(seconds=seconds),
}
