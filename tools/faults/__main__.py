"""Run the fault driver: `python -m tools.faults --help`."""

from __future__ import annotations

import argparse
import re
import secrets
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from tools.faults.plan import drawn
from tools.faults.plot import draw
from tools.faults.report import as_json, as_text
from tools.faults.torture import CannotGoOn, Torture, short_directory

_IMAGES = 2


def main() -> int:
    """Torture a service; 0 where every promise was kept, 1 where not, 2 where it cannot start."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # end the children too
    seed = arguments.seed
    print(f"seed {seed}", flush=True)
    stem = arguments.output / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{seed}"
    with short_directory() as directory:
        torture = Torture(directory, seed, _say, images=_IMAGES)
        try:
            report = torture.run(drawn(seed, _IMAGES), arguments.minutes * 60)
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        except CannotGoOn as problem:
            print(f"faults: {problem}", file=sys.stderr)
            return 2
        arguments.output.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".json").write_bytes(as_json(report))
        stem.with_suffix(".txt").write_text(as_text(report), encoding="utf-8")
        picture = draw(report, stem)
        print(f"\n{as_text(report)}\nWritten: {stem}.json, {stem}.txt, {picture}")
        if not report.books.is_clean:
            kept = stem.with_suffix(".kept")
            shutil.copytree(directory, kept, ignore=lambda _, names: _sockets(names))
            print(f"What was there is kept in {kept}.")
    return 0 if report.books.is_clean else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    commands = parser.add_subparsers(required=True)
    torture = commands.add_parser(
        "torture",
        help="kill backend, images and actors under load, and check what was acknowledged",
    )
    torture.add_argument("--minutes", type=float, default=1.0, metavar="N")
    torture.add_argument("--seed", type=int, default=secrets.randbelow(2**32), metavar="S")
    torture.add_argument(
        "--output",
        type=Path,
        default=Path("torture-results"),
        metavar="DIRECTORY",
        help="for the report (default: %(default)s)",
    )
    return parser.parse_args()


def _sockets(names: list[str]) -> set[str]:
    """What cannot be copied."""
    return {name for name in names if re.fullmatch(r"door|image[0-9]+", name)}


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
