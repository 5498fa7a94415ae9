"""`python -m tools.soak`: a service under churn for as long as asked, and whether anything grows.

Exit codes: 0 all is flat and nothing was answered that must not be; 1 otherwise; 2 it cannot run.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tools.bench.errors import CannotMeasure
from tools.soak.program import CannotRun
from tools.soak.report import as_text, judged, write
from tools.soak.run import soak


def main(arguments: list[str] | None = None) -> int:
    """Soak, print the table, write the report; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--results", type=Path, default=Path("soak-results"))
    parser.add_argument("--quiet", action="store_true", help="print the table alone")
    given = parser.parse_args(arguments)
    if given.minutes < 0.05:
        parser.error(f"--minutes is {given.minutes:g}; 0.05 is the least.")
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="stui-soak-") as directory:
        try:
            soaked = soak(
                Path(directory),
                60 * given.minutes,
                given.seed,
                (lambda _: None) if given.quiet else lambda line: print(line, flush=True),
            )
        except (CannotRun, CannotMeasure) as problem:
            print(problem, file=sys.stderr)
            return 2
    trends = judged(soaked)
    write(soaked, trends, given.results / time.strftime("%Y-%m-%dT%H%M%S"))
    print(as_text(soaked, trends))
    return 1 if soaked.faults or any(found.grows for found in trends.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
