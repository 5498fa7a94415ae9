"""Whether the tests took enough of the branches: `coverage report` counts lines with them.

`coverage json -q -o - | python -m tools.branch_coverage 90` exits with 1 below 90 %.
"""

from __future__ import annotations

import sys
from typing import BinaryIO, Final

import msgspec

_NO_BRANCHES: Final = 100.0


class _Totals(msgspec.Struct):
    num_branches: int
    covered_branches: int


class _Report(msgspec.Struct):
    totals: _Totals


def main(arguments: list[str], report: BinaryIO) -> int:
    """Print the share of branches in REPORT that was taken; 1 where it is below ARGUMENTS[0]."""
    (least,) = map(float, arguments)
    totals = msgspec.json.decode(report.read(), type=_Report).totals
    share = (
        100 * totals.covered_branches / totals.num_branches if totals.num_branches else _NO_BRANCHES
    )
    print(
        f"Branches alone: {share:.1f} % of {totals.num_branches}; at least {least:g} % are needed"
    )
    return 0 if share >= least else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer))
