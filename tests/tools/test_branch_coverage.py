"""`make test` fails where too few branches were taken, however many lines were."""

from __future__ import annotations

import io
import json

import pytest

from tools.branch_coverage import main


def of(covered: int, branches: int) -> io.BytesIO:
    totals = {"num_branches": branches, "covered_branches": covered, "percent_covered": 99.0}
    return io.BytesIO(json.dumps({"totals": totals}).encode())


@pytest.mark.parametrize(("covered", "branches"), [(90, 100), (0, 0)])
def test_enough_branches_are_enough(covered: int, branches: int) -> None:
    assert main(["90"], of(covered, branches)) == 0


def test_too_few_branches_fail_and_the_share_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["90"], of(899, 1000)) == 1
    assert "89.9 % of 1000; at least 90 %" in capsys.readouterr().out
