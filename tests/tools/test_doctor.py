"""`stui doctor` as a person and a monitoring program meet it, and how it bears its own failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.errors import StuiError
from storage.progress import Progress
from storage.store import Damaged
from tests.storage.data_house import lose
from tests.tools.doctoring import as_json, doctor, house_in, site_at
from tools.cli.doctor import lines
from tools.doctor.checks import ALL
from tools.doctor.examination import Check, examine
from tools.doctor.findings import CHECKS, Checked, Finding, error, note, ok, warning, worst
from tools.doctor.repairing import PLANS, planned
from tools.doctor.site import Site
from tools.exit_codes import ExitCode

QUIET = ("configuration", "versions", "directories", "lock", "database", "sessions", "files")


def only(*names: str) -> list[str]:
    return [argument for name in names for argument in ("--only", name)]


def one(check: Check, tmp_path: Path, within: float | None = None) -> list[Finding]:
    (checked,) = examine(site_at(tmp_path), [check], within)
    return checked.findings


# --- the command


def test_a_healthy_site_says_so_and_the_exit_code_is_0(tmp_path: Path) -> None:
    house_in(tmp_path / "data", "a")

    result = doctor(tmp_path / "data", *only(*QUIET))

    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert "\nok       database       " in result.stdout
    assert {line.split()[0] for line in result.stdout.splitlines()[:-2]} <= {"ok", "note", "→"}


def test_a_warning_is_exit_code_1_and_an_error_2(tmp_path: Path) -> None:
    house = house_in(tmp_path / "data", "a")
    house.paths.directory.chmod(0o755)
    warned = doctor(house.paths.directory, *only("directories"))
    lose(house.paths.log())
    lose(house.paths.database)
    failed = doctor(house.paths.directory, *only("directories", "database"))

    assert warned.exit_code == ExitCode.FAILED
    assert warned.stdout.endswith("\n1 check: 1 warning\n")
    assert failed.exit_code == ExitCode.CANNOT_START
    assert failed.stdout.endswith("\n2 checks: 1 error, 1 warning\n")


def test_programs_get_everything_as_json(tmp_path: Path) -> None:
    house = house_in(tmp_path / "data", "a")
    house.paths.directory.chmod(0o755)

    told = as_json(doctor(house.paths.directory, "--json", *only("directories", "lock")))

    assert (told["level"], told["repair"]) == ("warning", None)
    assert [each["check"] for each in told["checks"]] == ["directories", "lock"]
    (finding,) = told["checks"][0]["findings"]
    assert finding["level"] == told["checks"][0]["level"] == "warning"
    assert finding["advice"] == f"Sessions hold code and data of people: chmod 700 {tmp_path}/data"
    assert finding["mending"] == "modes"
    assert told["checks"][1]["findings"] == [
        {"level": "ok", "what": f"no backend runs on {tmp_path}/data"}
    ]


def test_settings_that_are_wrong_do_not_keep_it_from_looking(tmp_path: Path) -> None:
    house_in(tmp_path / "data", "a")
    (tmp_path / "bad.toml").write_text("leese = 1")

    result = doctor(
        tmp_path / "data", *only("configuration", "database"), STUI_CONFIG=f"{tmp_path}/bad.toml"
    )

    assert result.exit_code == ExitCode.CANNOT_START
    assert "leese: there is no such setting; is `lease` meant?" in result.stdout
    assert "is whole: version" in result.stdout


@pytest.mark.parametrize("arguments", [("--only", "nonsense"), ("--within", "0")])
def test_wrong_usage_is_refused(tmp_path: Path, arguments: tuple[str, str]) -> None:
    assert doctor(tmp_path, *arguments).exit_code == ExitCode.CANNOT_START


def test_every_check_has_a_name_that_can_be_asked_for() -> None:
    assert [check.name for check in ALL] == list(CHECKS)


def test_the_help_names_every_check_and_the_exit_codes(tmp_path: Path) -> None:
    text = doctor(tmp_path, "--help").stdout

    assert all(name in text for name in CHECKS)
    assert "0 all is well" in text


def test_long_findings_are_wrapped_below_one_another() -> None:
    checked = Checked(check="disk", seconds=0.1, findings=[warning("what " * 20, "advice")])

    first, second, *_, last = lines(checked, 80)

    assert first.startswith("warning  disk           what what")
    assert second.startswith(" " * 24 + "what")
    assert last == " " * 24 + "→ advice"
    assert max(map(len, lines(checked, 80))) <= 80
    assert len(lines(checked, None)) == 2


def test_what_is_shown_cannot_steer_a_terminal() -> None:
    checked = Checked(check="files", seconds=0.1, findings=[ok("a\x1b[2Jb\nc")])

    assert lines(checked, None) == ["ok       files          a\N{REPLACEMENT CHARACTER}[2Jb c"]


# --- checks that fail


def test_a_check_that_crashes_is_a_finding_and_the_others_go_on(tmp_path: Path) -> None:
    def crashes(site: Site, progress: Progress) -> Iterator[Finding]:
        yield note("so far so good")
        raise KeyError("nobody thought of this")

    checks = [Check("disk", crashes), Check("lock", lambda site, progress: [])]
    first, second = examine(site_at(tmp_path), checks)

    assert [each.level for each in first.findings] == ["note", "error"]
    assert "KeyError: 'nobody thought of this'" in first.findings[1].what
    assert "test_doctor.py:" in first.findings[1].what
    assert "bug" in first.findings[1].advice
    assert second.level == "ok"


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (PermissionError(13, "Permission denied", "/data"), "could not be looked at"),
        (Damaged("a blob"), "could not be read: a blob"),
        (RecursionError("too deep"), "the check itself failed"),
        (StuiError("no"), "the check itself failed"),
    ],
)
def test_what_a_check_meets_is_told(tmp_path: Path, problem: Exception, said: str) -> None:
    def fails(site: Site, progress: Progress) -> list[Finding]:
        raise problem

    (finding,) = one(Check("disk", fails), tmp_path)

    assert finding.level == "error"
    assert said in finding.what


def test_a_check_that_hangs_is_given_up_and_told(tmp_path: Path) -> None:
    goes_on = threading.Event()

    def hangs(site: Site, progress: Progress) -> Iterator[Finding]:
        yield ok("the first disk answers")
        goes_on.wait(30)
        yield ok("too late")

    try:
        findings = one(Check("disk", hangs), tmp_path, within=0.05)
    finally:
        goes_on.set()

    assert [each.level for each in findings] == ["ok", "error"]
    assert "it hangs: nothing came back within 0.05 s" in findings[1].what


def test_checks_after_one_that_hangs_get_little_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.doctor.examination._AFTER_A_HANG", 0.02)
    goes_on = threading.Event()

    def hangs(site: Site, progress: Progress) -> list[Finding]:
        goes_on.wait(30)
        return []

    checks = [Check("disk", hangs, 0.01), Check("sessions", hangs, 600.0)]
    try:
        first, second = examine(site_at(tmp_path), checks)
    finally:
        goes_on.set()

    assert "within 0.01 s" in first.findings[0].what
    assert "within 0.02 s" in second.findings[0].what


def test_a_long_check_is_ended_and_says_how_far_it_was(tmp_path: Path) -> None:
    ended = threading.Event()

    def reads(site: Site, progress: Progress) -> list[Finding]:
        try:
            number = 0
            while True:
                number += 1
                progress("sessions read", number, 10**9)
        finally:
            ended.set()

    (finding,) = one(Check("sessions", reads), tmp_path, within=0.05)

    assert finding.level == "warning"
    assert "(sessions read: " in finding.what
    assert "--within" in finding.advice
    assert ended.wait(10)


def test_the_worst_finding_counts() -> None:
    assert worst([ok("a"), error("b", "c"), warning("d", "e")]) == "error"
    assert worst([]) == "ok"


def test_mendings_are_planned_once_and_in_their_order() -> None:
    found = [
        Checked(check="files", seconds=0, findings=[warning("a", "b", "session files")] * 2),
        Checked(check="database", seconds=0, findings=[error("a", "b", "database"), ok("c")]),
    ]

    assert planned(found) == ["database", "session files"]
    assert set(planned(found)) <= set(PLANS)
