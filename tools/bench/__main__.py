"""Run the bench: `python -m tools.bench --help`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tools.bench.bench import SERVE
from tools.bench.errors import CannotMeasure
from tools.bench.plot import NoPlot, draw
from tools.bench.report import as_text
from tools.bench.run import MEASURES, run
from tools.bench.scale import FULL, QUICK


def main() -> int:
    """Measure, print the tables, write the files; 0 also where targets are missed."""
    arguments = _arguments()
    scale = QUICK if arguments.quick else FULL
    if arguments.repeat is not None:
        scale = msgspec.structs.replace(scale, rounds=arguments.repeat)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # end the children too
    names = [name for name in MEASURES if not arguments.only or name in arguments.only]
    try:
        report = run(names, scale, arguments.output, shlex.split(arguments.serve), _say)
    except CannotMeasure as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    _say("")
    text = as_text(report)
    print(text)
    stem = arguments.output / datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
    stem.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    stem.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    try:
        draw(report.measured, stem.with_suffix(".png"))
    except NoPlot as problem:
        print(f"\n{problem}")
    print(f"\nWritten: {stem}.*")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench",
        description="Measure the service beside its limits and print ratios. Loopback only.",
    )
    parser.add_argument("--quick", action="store_true", help="small counts, under a minute")
    parser.add_argument(
        "--only", nargs="+", choices=sorted(MEASURES), metavar="NAME", help=", ".join(MEASURES)
    )
    parser.add_argument(
        "--repeat", type=_positive, metavar="N", help="rounds (default: 5; 2 quick)"
    )
    parser.add_argument(
        "--serve",
        default=shlex.join(SERVE),
        metavar="COMMAND",
        help="what starts a service, but --bind, --data-dir and --image (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("bench-results"),
        metavar="DIRECTORY",
        help="for results, and for the data meanwhile: a real disk (default: %(default)s)",
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _say(text: str) -> None:
    """Show what is measured now: on one line of a terminal, else a line each."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
