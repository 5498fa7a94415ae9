"""Run measures one after the other, each with processes and data of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from tools.bench import (
    measure_autosave,
    measure_evaluate,
    measure_file,
    measure_images,
    measure_info,
    measure_memory,
    measure_neighbour,
    measure_sessions,
    measure_snapshots,
    measure_start,
    measure_update,
)
from tools.bench.bench import Bench
from tools.bench.errors import CannotMeasure
from tools.bench.findings import Measured
from tools.bench.report import Report, this_machine
from tools.bench.scale import Scale

MEASURES: Final[dict[str, Callable[[Bench], Measured]]] = {
    "info": measure_info.measure,
    "update": measure_update.measure,
    "evaluate": measure_evaluate.measure,
    "start": measure_start.measure,
    "memory": measure_memory.measure,
    "neighbour": measure_neighbour.measure,
    "sessions": measure_sessions.measure,
    "snapshots": measure_snapshots.measure,
    "autosave": measure_autosave.measure,
    "images": measure_images.measure,
    "file": measure_file.measure,
}


def run(
    names: Iterable[str],
    scale: Scale,
    directory: Path,
    serve: Sequence[str],
    say: Callable[[str], None],
) -> Report:
    """Run the measures of these NAMES, with the data below DIRECTORY; it is removed afterwards.

    SERVE is the command that starts a service; SAY is told what is measured now. Raises
    `CannotMeasure`, and leaves the logs there, when something does not work.
    """
    directory.mkdir(parents=True, exist_ok=True)
    data = Path(tempfile.mkdtemp(prefix="data-", dir=directory))
    machine, began = this_machine(data), time.monotonic()
    measured = {}
    try:
        for name in names:
            own = data / name
            own.mkdir()
            with Bench(scale, own, serve, say) as bench:
                measured[name] = MEASURES[name](bench)
    except CannotMeasure as problem:
        raise CannotMeasure(f"{problem} The logs are in {own}.") from problem
    except BaseException:
        shutil.rmtree(data)
        raise
    shutil.rmtree(data)
    return Report(machine=machine, scale=scale, seconds=time.monotonic() - began, measured=measured)
