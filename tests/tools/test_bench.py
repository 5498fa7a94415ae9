from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tools.bench.asking import asking, wait_for_images
from tools.bench.bench import SERVE, Bench, CannotStartImage
from tools.bench.bodies import rest_of, state, with_id
from tools.bench.child import Child
from tools.bench.errors import CannotMeasure
from tools.bench.findings import Curves, Finding, Measured, Target
from tools.bench.job import Job
from tools.bench.objects import grown
from tools.bench.plot import draw
from tools.bench.report import Report, as_text
from tools.bench.run import MEASURES, run
from tools.bench.scale import Scale
from tools.bench.silent_images import image_uuid
from tools.bench.workspaces import Dialect, growing, session_with_objects

TINY = Scale(
    rounds=2,
    seconds=5.0,
    alone=10,
    together=12,
    clients=3,
    durable_alone=5,
    durable_together=12,
    evaluations=3,
    few_sessions=6,
    many_sessions=12,
    start_sessions=20,
    live_sessions=10,
    steady=20,
    creations=2,
    restorations=1,
    snapshots=2,
    snapshot_objects=(10, 50),
    workspace_objects=50,
    images=3,
    image_sessions=6,
    file_evaluations=5,
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(TINY, tmp_path, SERVE, lambda text: None) as made:
        yield made


def a_job(endpoint: str, **fields: object) -> Job:
    job = Job(
        endpoint=endpoint,
        kind="info",
        sessions=["a", "b", "c"],
        requests=12,
        seconds=5.0,
        expected='"command"',
    )
    return msgspec.structs.replace(job, **fields)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("clients", [1, 3])
def test_a_load_on_the_echo_gets_as_many_replies_as_it_makes_requests(
    bench: Bench, clients: int
) -> None:
    result = bench.loader().run(a_job(bench.echo().endpoint, clients=clients))

    assert result.replies == 12
    assert 0 < result.p50 <= result.p99 <= result.worst < 5


def test_the_journal_holds_every_request_when_the_load_is_over(
    bench: Bench, tmp_path: Path
) -> None:
    bench.loader().run(a_job(bench.journal().endpoint, clients=3, warm_up=0.0))

    assert (tmp_path / "journal").read_bytes().count(b'"command"') == 12


def test_a_load_with_an_interval_takes_as_long_as_its_pace_says(bench: Bench) -> None:
    result = bench.loader().run(a_job(bench.echo().endpoint, interval=0.01))

    assert result.rate < 12 / (11 * 0.01)


def test_a_load_ends_at_a_reply_that_is_not_the_expected_one(bench: Bench) -> None:
    with pytest.raises(CannotMeasure, match=r"Not a good reply.*get_session_info"):
        bench.loader().run(a_job(bench.echo().endpoint, expected="success"))


def test_a_load_counts_the_replies_that_have_in_them_what_is_noted(bench: Bench) -> None:
    job = a_job(bench.echo().endpoint, noted='"session_id": "a"')

    result = bench.loader().run(job)

    assert result.noted == pytest.approx(1 / 3)  # of the sessions that take turns


def test_an_update_has_the_size_that_it_says() -> None:
    for size in (1024, 100_000):
        request = json.loads(with_id(rest_of("update", "s", size), b"one"))

        assert len(json.dumps(request["parameters"]["state_data"])) == size
        assert request["id"] == "one"
        assert state(size) == request["parameters"]["state_data"]


def test_the_order_of_the_contenders_rotates_from_round_to_round(bench: Bench) -> None:
    order: list[str] = []
    contenders = {name: lambda name=name: order.append(name) for name in "abc"}

    bench.rounds("letters", contenders)

    assert "".join(order) == "abcbca"


def test_everything_that_a_bench_started_is_over_when_its_block_is(tmp_path: Path) -> None:
    with Bench(TINY, tmp_path, SERVE, lambda text: None) as bench:
        pids = [bench.echo().pid, bench.journal().pid, bench.loader().pid, bench.image().pid]
        assert all(map(is_running, pids))

    assert not any(map(is_running, pids))


def test_a_child_that_does_not_get_ready_is_reported_with_its_log(tmp_path: Path) -> None:
    program = "import sys; sys.exit('the disk is gone')"

    with pytest.raises(CannotMeasure, match="the disk is gone"):
        Child([sys.executable, "-c", program], tmp_path / "log")


def test_a_service_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotMeasure, match="no-such-stui cannot be started"):
        run(["start"], TINY, tmp_path, ["no-such-stui"], lambda text: None)


@pytest.mark.parametrize("count", [10, 1000])
def test_the_graph_has_its_count_of_objects_that_share_and_hold_themselves(count: int) -> None:
    objects = pickle.loads(pickle.dumps(grown(count)))  # noqa: S301  our own

    assert len(objects) == len({id(each) for each in objects}) == count
    item, peers, facts, pair, name = objects[-5:]
    assert item.peers is peers
    assert peers[0] is item
    assert pair[0] is facts
    assert facts["name"] is item.name is name
    assert any(facts["part of"] is each for each in objects[:-4])


@pytest.mark.parametrize("dialect", ["Python", "Amber"])
def test_both_images_grow_as_many_objects_with_sharing_and_cycles(
    bench: Bench, dialect: Dialect
) -> None:
    try:
        image = bench.image() if dialect == "Python" else bench.smalltalk_image()
    except CannotStartImage as reason:
        pytest.skip(str(reason))
    shown = {
        "Python": "len(objects), objects[-5].peers is objects[-4], objects[-2][0] is objects[-3]",
        "Amber": (
            "{objects size. (objects at: 46) peers == (objects at: 47)."
            " (objects at: 49) first == (objects at: 48)}"
        ),
    }
    codes = [*growing(dialect, 50), shown[dialect]]

    with asking(image.endpoint) as asker:
        for number, code in enumerate(codes):
            reply = asker.ask("evaluate", session="s", code=code, request=f"r{number}")

    assert reply["result"].lower().count("true") == 2
    assert "50" in reply["result"]


def test_a_service_connects_to_all_silent_images_and_knows_them_by_their_ids(bench: Bench) -> None:
    service = bench.service(bench.data_dir("images"), bench.silent_images(3))

    with asking(service.endpoint) as asker:
        wait_for_images(asker)
        images = asker.ask("list_images")["images"]

    assert {image["image_id"] for image in images} == {image_uuid(number) for number in range(3)}


def test_a_service_without_auto_save_takes_no_snapshots(bench: Bench) -> None:
    images = {"python": bench.image().endpoint}
    service = bench.service(bench.data_dir("off"), images, {"STUI_AUTOSAVE": "false"})

    with asking(service.endpoint) as asker:
        wait_for_images(asker)
        session = session_with_objects(asker, "someone", 10)
        reply = asker.ask("evaluate", session_id=session, code="len(objects)")

    assert reply["result"] == "10"
    assert reply["context_saved"] is False


@pytest.mark.parametrize(
    ("target", "values", "by_worst", "met"),
    [
        (Target(bound=3.0), [1.0, 2.0, 9.0], False, True),
        (Target(bound=3.0), [1.0, 2.0, 9.0], True, False),
        (Target(bound=3.0), [1.0, 4.0, 9.0], False, False),
        (Target(bound=20.0, at_least=True), [10.0, 30.0, 40.0], False, True),
        (Target(bound=20.0, at_least=True), [10.0, 15.0, 40.0], False, False),
        (None, [1.0], False, None),
    ],
)
def test_the_median_or_the_worst_is_held_against_the_target(
    target: Target | None, values: list[float], by_worst: bool, met: bool | None
) -> None:
    finding = Finding(what="it", unit="x", values=values, target=target, by_worst=by_worst)

    assert finding.met is met


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_finds_something_positive_in_every_round(name: str, tmp_path: Path) -> None:
    report = run([name], TINY, tmp_path, SERVE, lambda text: None)

    measured = report.measured[name]
    assert measured.findings or measured.missing
    for finding in measured.findings:
        assert len(finding.values) == TINY.rounds
        if "memory" not in finding.what:  # what so few sessions need may be there already
            assert min(finding.values) > 0
    for series in measured.series:
        assert len(series.values) == TINY.rounds
        if "context_saved" not in series.name:  # on a busy machine it may come too late for all
            assert min(series.values) > 0
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_the_tables_and_writes_them_for_programs_too(tmp_path: Path) -> None:
    arguments = ["--quick", "--only", "sessions", "--repeat", "1", "--output", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=50,
    )

    assert done.returncode == 0, done.stderr
    assert "| restore_session of 1 MB, slowest " in done.stdout
    (written,) = tmp_path.glob("*.json")
    report = msgspec.json.decode(written.read_bytes(), type=Report)
    assert as_text(report) in done.stdout


def test_the_plot_shows_targets_that_are_met_and_missed_and_how_things_grow(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    target = Target(bound=2.0)
    found = [
        Finding(what="met", unit="x", values=[1.0, 1.5], target=target),
        Finding(what="missed", unit="x", values=[2.0, 3.0], target=target),
        Finding(what="without target", unit="x", values=[2.0]),
    ]

    growth = Curves(what="growth", across="objects", unit="ms", lines={"a": [(1, 2), (10, 5)]})
    for name, measured in (
        ("bars", Measured(findings=found)),
        ("curves", Measured(curves=[growth])),
        ("plot", Measured(findings=found, curves=[growth, growth])),
    ):
        draw({"some": measured}, tmp_path / f"{name}.png")

    sizes = {path.stem: len(path.read_bytes()) for path in tmp_path.glob("*.png")}
    assert sizes["plot"] > sizes["bars"]
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
