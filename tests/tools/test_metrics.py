"""What the service tells over HTTP, read as Prometheus reads it."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from actors.backend import Backend, CannotStart
from actors.outside import outside_view
from actors.outside.metric_cells import Distribution
from actors.outside.metrics import Metrics
from actors.settings import Settings
from storage import failpoints
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FULL, SNAPSHOTS, FakeImage, fake_image
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Wire

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"
LABELS = {"command", "outcome", "le", "actor", "state", "status", "file", "reason"}


class Scraped:
    """One scrape: samples by name and labels."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [each for family in self.families.values() for each in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a sample; 0 where there is none, as a fresh counter has it."""
        found = [each for each in self.samples if self._is(each, name, labels)]
        assert len(found) <= 1, found
        return found[0].value if found else 0.0

    @staticmethod
    def _is(sample: Sample, name: str, labels: dict[str, str]) -> bool:
        return bool(sample.name == name and sample.labels == labels)


class View:
    """A backend with metrics, and what is told of it."""

    def __init__(self, backend: RunningBackend) -> None:
        self.backend = backend

    @property
    def address(self) -> str:
        assert self.backend._backend is not None
        return self.backend._backend.metrics_address

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection(self.address, timeout=DEADLINE)) as connection:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def scrape(self) -> Scraped:
        status, text = self.get("/metrics")
        assert status == 200
        return Scraped(text)


@pytest.fixture
def image() -> Iterator[FakeImage]:
    with fake_image() as fake:
        fake.capabilities = (*FULL, *SNAPSHOTS)
        yield fake


@pytest.fixture
def view(tmp_path: Path, image: FakeImage) -> Iterator[View]:
    with running_backend(
        tmp_path / "data",
        metrics="127.0.0.1:0",
        images={"fake": image.endpoint, "gone": "tcp://127.0.0.1:9"},
        hang_after=3.0,
    ) as backend:
        backend.wait_for_image("fake")
        yield View(backend)


@pytest.fixture
def wire(view: View) -> Iterator[Wire]:
    with view.backend.client(dealer=True) as client:
        yield client


def test_requests_are_counted_by_command_and_outcome_and_their_time_is_taken(
    view: View, wire: Wire
) -> None:
    session = wire.do("create_session", client_id="me")["session_id"]
    for _ in range(3):
        wire.do("get_session_info", session_id=session)
    wire.ask("get_session_info", session_id="session_" + "0" * 32)
    wire.ask("get_session_info")
    with view.backend.client(dealer=True, dialect="envelope") as envelopes:
        envelopes.ask("get_session_info")
        envelopes.ask("no_such_command")
    wire.ask("no_such_command")
    wire.send_raw(b"no request", b"at all")
    wire.do("ping")

    scraped = eventually(
        lambda: found if (found := view.scrape())("stui_requests_total", **PING_OK) else None
    )

    assert scraped is not None
    count = "stui_requests_total"
    assert scraped(count, command="get_session_info", outcome="ok") == 3
    assert scraped(count, command="get_session_info", outcome="session_not_found") == 1
    assert scraped(count, command="get_session_info", outcome="missing_parameter") == 2
    assert scraped(count, command="unknown", outcome="unknown_command") == 2
    assert scraped(count, command="unknown", outcome="malformed") == 1
    seconds = "stui_request_seconds"
    assert scraped(f"{seconds}_count", command="get_session_info") == 6
    assert 0 < scraped(f"{seconds}_sum", command="get_session_info") < DEADLINE
    assert scraped(f"{seconds}_bucket", command="get_session_info", le="+Inf") == 6
    assert scraped(f"{seconds}_bucket", command="get_session_info", le="60.0") == 6
    assert scraped("stui_requests_in_flight", actor="sessions") == 0


def test_a_reply_that_nobody_takes_is_no_success(view: View) -> None:
    """When it is known that a client has gone is up to libzmq: so several leave before the end."""
    sent = 0

    def count(outcome: str) -> float:
        return view.scrape()("stui_requests_total", command="create_session", outcome=outcome)

    def is_dropped() -> bool:
        nonlocal sent
        failpoints.arm("store.commit.before", "hang")
        with view.backend.client(dealer=True) as leaving:
            sent += 1
            leaving.send("create_session", client_id=f"client{sent}")
            assert failpoints.wait_for_hit("store.commit.before", DEADLINE)
        failpoints.disarm_all()
        eventually(lambda: count("ok") + count("dropped") == sent)
        return count("dropped") > 0

    eventually(is_dropped)

    assert view.scrape()("stui_replies_dropped_total") == count("dropped")


PING_OK = {"command": "ping", "outcome": "ok"}


def test_what_is_written_is_counted_in_commits_batches_and_flushes(view: View, wire: Wire) -> None:
    session = wire.do("create_session", client_id="me")["session_id"]
    before = view.scrape()
    for number in range(5):
        wire.do("update_session_state", session_id=session, state_data={"number": number})

    scraped = view.scrape()

    assert scraped("stui_commits_total") - before("stui_commits_total") == 5
    assert scraped("stui_batch_messages_sum") - before("stui_batch_messages_sum") >= 5
    assert scraped("stui_flush_seconds_count") - before("stui_flush_seconds_count") >= 5
    assert scraped("stui_flush_seconds_sum") > before("stui_flush_seconds_sum")
    assert scraped("stui_sessions_in_memory") == 1
    assert scraped("stui_storage_bytes", file="database") > 0
    assert scraped("stui_storage_bytes", file="log") > 0
    assert scraped("stui_storage_free_bytes") > 0


def test_evaluations_and_snapshots_are_counted_and_images_by_status(
    view: View, wire: Wire, image: FakeImage
) -> None:
    session = wire.do("create_session", client_id="me")["session_id"]
    wire.do("evaluate", session_id=session, code="3 + 4")
    eventually(lambda: view.scrape()("stui_snapshots_total") == 1)
    image.holding = {"evaluate", "snapshot_workspace"}
    waiting = wire.send("evaluate", session_id=session, code="1 / 0")
    asked = image.wait_for("evaluate", 2)
    under_way = view.scrape()
    image.fail(asked, "evaluation_error", "ZeroDivide")
    wire.receive(waiting)
    image.fail(image.wait_for("snapshot_workspace", 2), "snapshot_given_up", "busy")

    eventually(
        lambda: view.scrape()("stui_snapshots_failed_total", reason="snapshot_given_up") == 1
    )
    scraped = view.scrape()

    assert under_way("stui_requests_in_flight", actor="sessions") == 1
    assert scraped("stui_evaluations_total", state="finished") == 1
    assert scraped("stui_evaluations_total", state="failed") == 1
    assert scraped("stui_images", status="Connected") == 1
    assert sum(each.value for each in scraped.families["stui_images"].samples) == 2


def test_sessions_are_counted_by_state(tmp_path: Path) -> None:
    with running_backend(tmp_path, metrics="127.0.0.1:0") as backend, backend.client() as wire:
        sessions = [wire.do("create_session", client_id="me")["session_id"] for _ in range(3)]
        wire.do("close_session", session_id=sessions[0])
        scraped = View(backend).scrape()

    assert scraped("stui_sessions", state="open") == 2
    assert scraped("stui_sessions", state="closed") == 1
    assert scraped("stui_sessions", state="trashed") == 0


def test_restarts_are_counted_by_actor_and_counts_outlive_who_counts(
    view: View, wire: Wire
) -> None:
    session = wire.do("create_session", client_id="me")["session_id"]
    failpoints.arm("session.receive", "raise")
    wire.ask("get_session_history", session_id=session)
    for name in ("janitor", "gateway"):
        failpoints.arm(f"{name}.receive", "raise")
        if name == "gateway":
            wire.ask("ping")
        eventually(lambda name=name: view.scrape()("stui_actor_restarts_total", actor=name) == 1)  # type: ignore[misc]

    scraped = view.scrape()

    assert scraped("stui_actor_restarts_total", actor="session") == 1
    assert scraped("stui_actor_restarts_total", actor="writer") == 0
    assert scraped("stui_requests_total", command="create_session", outcome="ok") == 1
    assert scraped("stui_mailbox_messages", actor="gateway") >= 0


def test_no_label_has_anything_that_a_user_has_named(view: View, wire: Wire) -> None:
    session = wire.do("create_session", client_id="somebody", name="secret-name")["session_id"]
    wire.do("evaluate", session_id=session, code="secretCode")
    wire.ask("secret_command", word="secret")
    wire.ask("get_session_info", session_id="secret")
    status, text = view.get("/metrics")

    assert status == 200
    for planted in ("somebody", "secret", session, "127.0.0.1"):
        assert planted not in text
    assert {label for sample in Scraped(text).samples for label in sample.labels} <= LABELS


def test_a_prometheus_that_asks_for_openmetrics_gets_it(view: View, wire: Wire) -> None:
    wire.do("ping")
    status, text = view.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")

    assert status == 200
    families = {family.name: family for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
    pings = [each for each in families["stui_requests"].samples if each.labels == PING_OK]
    assert [(each.name, each.value) for each in pings] == [("stui_requests_total", 1)]
    assert set(view.scrape().families) >= {n for n in families if n.startswith("stui_")}


def test_it_is_alive_and_ready_while_it_serves(view: View) -> None:
    assert view.get("/healthz") == (200, "ok\n")
    assert view.get("/readyz") == (200, "ok\n")
    assert view.get("/metrics", "HEAD") == (200, "")
    assert view.scrape()("stui_ready") == 1


def test_a_disk_that_refuses_makes_it_unready_until_it_takes_changes_again(
    view: View, wire: Wire
) -> None:
    failpoints.arm("store.begin", "raise", "ENOSPC", times=1000)
    wire.ask("create_session", client_id="me")
    eventually(lambda: view.get("/readyz")[0] == 503)
    unready, scraped = view.get("/readyz"), view.scrape()
    alive = view.get("/healthz")
    failpoints.disarm_all()
    eventually(lambda: wire.ask("create_session", client_id="me")["status"] == "success")

    assert "the disk refuses changes" in unready[1]
    assert scraped("stui_ready") == 0
    assert scraped("stui_writes_refused_total") >= 1
    assert alive == (200, "ok\n")  # a restart would not help
    eventually(lambda: view.get("/readyz")[0] == 200)


def test_an_actor_that_hangs_makes_it_unhealthy(view: View) -> None:
    failpoints.arm("transcoder.receive", "hang")
    try:
        eventually(lambda: view.get("/healthz")[0] == 503)
        assert "the actor transcoder has not answered" in view.get("/healthz")[1]
        assert view.get("/readyz")[0] == 503
    finally:
        failpoints.disarm_all()
    eventually(lambda: view.get("/healthz")[0] == 200)


def test_it_is_not_ready_while_it_drains(tmp_path: Path, image: FakeImage) -> None:
    image.holding = {"evaluate"}
    with running_backend(
        tmp_path, metrics="127.0.0.1:0", images={"fake": image.endpoint}
    ) as backend:
        backend.wait_for_image("fake")
        view, address = View(backend), View(backend).address
        with backend.client(dealer=True) as wire:
            session = wire.do("create_session", client_id="me")["session_id"]
            wire.send("evaluate", session_id=session, code="for ever")
            image.wait_for("evaluate")
            inner = backend._backend
            assert inner is not None
            stopping = threading.Thread(target=inner.stop)
            stopping.start()
            eventually(lambda: view.get("/readyz") == (503, "the service is stopping\n"))
            backend._backend = None
            stopping.join(DEADLINE)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(_host_and_port(address), DEADLINE)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n\r\n",
        b"\x00\xff" * 500,
        b"GET /metrics",
        b"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET " + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 100000000000\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.0\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    ],
    ids=lambda sent: repr(sent[:20]),
)
def test_garbage_is_survived(view: View, sent: bytes) -> None:
    with socket.create_connection(_host_and_port(view.address), DEADLINE) as connection:
        problem: OSError | None = None
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
        except OSError as hung_up:  # as it may
            problem = hung_up
        assert not isinstance(problem, TimeoutError)

    assert view.scrape()("stui_ready") == 1


@pytest.mark.parametrize("beginning", [b"", b"GET /hea", b"GET /healthz HTTP/1.1\r\nHost: a\r\n"])
def test_those_who_do_not_finish_asking_keep_nobody_out(
    view: View, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(outside_view, "_ONE_TAKES", DEADLINE)
    monkeypatch.setattr(outside_view._Handler, "timeout", DEADLINE)
    with ExitStack() as unfinished:
        for _ in range(60):
            connection = socket.create_connection(_host_and_port(view.address), DEADLINE)
            unfinished.enter_context(connection).sendall(beginning)

            assert _answers(view)
    assert _answers(view)


def test_one_that_trickles_is_cut_off(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_view, "_ONE_TAKES", 0.2)
    with socket.create_connection(_host_and_port(view.address), DEADLINE) as connection:

        def is_cut_off() -> bool:
            try:
                connection.sendall(b"X")
            except OSError:
                return True
            return False

        eventually(is_cut_off)


def _answers(view: View) -> bool:
    try:
        return view.get("/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def test_there_is_nothing_else_and_it_says_what_there_is(view: View) -> None:
    assert view.get("/") == (404, "There are /metrics, /healthz and /readyz.\n")


def test_a_port_that_is_taken_is_named_and_the_data_is_free_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = Settings(data_dir=tmp_path, bind=("tcp://127.0.0.1:*",), metrics=address)
        with pytest.raises(CannotStart, match=f"Cannot listen for metrics on {address}: Address"):
            Backend(settings, None, lambda: settings).start()
    with running_backend(tmp_path, metrics=address) as backend:
        assert View(backend).get("/readyz")[0] == 200


def test_a_port_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, bind=("tcp://127.0.0.1:*",), metrics="127.0.0.1:99999")
    with pytest.raises(CannotStart, match=r"Cannot listen for metrics on 127\.0\.0\.1:99999: "):
        Backend(settings, None, lambda: settings).start()


def test_without_the_setting_nobody_listens_and_nothing_is_counted(tmp_path: Path) -> None:
    with running_backend(tmp_path) as backend:
        assert backend._backend is not None
        assert backend._backend.metrics_address == ""
        assert not any(thread.name == "metrics" for thread in threading.enumerate())
        assert not isinstance(backend._backend._services.counting, Metrics)


# --- the files for Prometheus and Grafana


def named_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:stui|process)_[a-z_]+\b", text))


def expressions(dashboard: Any) -> Iterator[str]:
    """All that a dashboard asks Prometheus."""
    match dashboard:
        case {"expr": str(expression), **rest}:
            yield expression
            yield from expressions(rest)
        case dict():
            for value in dashboard.values():
                yield from expressions(value)
        case list():
            for value in dashboard:
                yield from expressions(value)


def test_the_dashboard_and_the_alerts_name_metrics_that_exist(view: View, wire: Wire) -> None:
    wire.do("ping")
    failpoints.arm("janitor.receive", "raise")
    dashboard = json.loads((OPERATIONS / "grafana-dashboard.json").read_text())
    asked = {name for expression in expressions(dashboard) for name in named_in(expression)}
    alerts = named_in((OPERATIONS / "stui-alerts.yml").read_text())
    families = view.scrape().families.values()
    known = {family.name for family in families} | {
        f"{family.name}{ending}"
        for family in families
        for ending in {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(
            family.type, []
        )
    }

    assert len(asked) > 15
    assert (asked | alerts) - known == set()


def test_the_dashboard_shows_every_metric_of_ours(view: View, wire: Wire) -> None:
    wire.do("ping")
    text = (OPERATIONS / "grafana-dashboard.json").read_text()

    missing = [
        name
        for name in view.scrape().families
        if name.startswith("stui_") and not name.endswith("_created") and name not in text
    ]

    assert missing == []


# --- the cells


def test_a_distribution_counts_as_prometheus_does() -> None:
    cell = Distribution((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        cell.add(value)

    assert cell.buckets() == [("1.0", 2.0), ("2.0", 4.0), ("+Inf", 5.0)]
    assert (cell.count, cell.total) == (5, 8.0)
    merged = Distribution.merged([cell, cell])
    assert (merged.count, merged.total) == (10, 16.0)


def test_an_outcome_that_nobody_knows_is_no_label_of_its_own() -> None:
    metrics = Metrics()
    metrics.replied("evaluate", "made up by an image", 0.0)
    metrics.replied("evaluate", "made up by another", 0.0)
    metrics.snapshot_failed("made up, too")

    assert set(metrics.requests) == {("evaluate", "unknown")}
