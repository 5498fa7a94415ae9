"""What `stui doctor` says of locks, addresses and images, and of a backend that runs meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from protocol.errors import StuiError
from storage.data_directory import DataDirectory
from tests.support.images import fake_image
from tests.support.waiting import eventually
from tests.tools.doctoring import doctor, found, is_well, site_at, told
from tests.tools.processes import Process, running, serving
from tools.client.client import Client
from tools.doctor.image_ping import ping_images
from tools.exit_codes import ExitCode


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def backend(tmp_path: Path, *arguments: str, **more: str) -> Iterator[tuple[Process, str]]:
    """A backend on `tmp_path/data`, and where it is reached."""
    with running(*serving(tmp_path, *arguments), stderr=tmp_path / "log", more=more) as process:
        yield process, process.endpoint()


def test_a_healthy_backend_is_well_while_many_write(tmp_path: Path) -> None:
    metrics = free_address()
    with fake_image() as fake:
        arguments = ("--image", f"fake={fake.endpoint}")
        with backend(tmp_path, *arguments, STUI_METRICS=metrics, STUI_FILE_AFTER="0.01") as (
            process,
            endpoint,
        ):
            with churn(endpoint):
                settings = {
                    "STUI_BIND": endpoint,
                    "STUI_METRICS": metrics,
                    "STUI_IMAGES": f"fake={fake.endpoint}",
                }
                results = [doctor(tmp_path / "data", **settings) for _ in range(5)]
            assert process.process.poll() is None

    for result in results:
        assert result.exit_code == ExitCode.DONE, result.stdout
    assert f"a backend runs on {tmp_path}/data: pid {process.process.pid}" in result.stdout
    assert f"answers at {endpoint}, protocol " in result.stdout
    assert f"says at {metrics} that it is well, and ready" in result.stdout
    assert f"fake at {fake.endpoint}: {fake.uuid}" in result.stdout


@contextmanager
def churn(endpoint: str) -> Iterator[None]:
    """Sessions are made, changed and removed all the time."""
    enough, begun = threading.Event(), threading.Event()
    problems: list[StuiError] = []

    def work() -> None:
        try:
            with Client(endpoint, client_id="busy") as client:
                while not enough.is_set():
                    session = client.create_session().session_id
                    for number in range(5):
                        client.update_session_state(session, {"number": number})
                    client.delete_session(session)
                    begun.set()
        except StuiError as problem:
            problems.append(problem)
        finally:
            begun.set()

    worker = threading.Thread(target=work)
    worker.start()
    assert begun.wait(15)
    try:
        yield
    finally:
        enough.set()
        worker.join()
    assert problems == []


def test_a_backend_that_was_stopped_leaves_a_healthy_site(tmp_path: Path) -> None:
    with backend(tmp_path) as (process, endpoint):
        with Client(endpoint, client_id="me") as client:
            client.create_session()
        process.end()

    result = doctor(tmp_path / "data")

    assert result.exit_code == ExitCode.DONE, result.stdout


def test_a_backend_that_was_killed_leaves_nothing_worse_than_notes(tmp_path: Path) -> None:
    with backend(tmp_path) as (process, endpoint):
        with Client(endpoint, client_id="me") as client:
            client.create_session()
        process.end(signal.SIGKILL)

    result = doctor(tmp_path / "data")

    assert result.exit_code == ExitCode.DONE, result.stdout
    assert "was not stopped in an orderly way" in result.stdout


def test_a_backend_that_is_elsewhere_than_it_should_be_is_an_error(tmp_path: Path) -> None:
    address = f"tcp://{free_address()}"
    with backend(tmp_path):
        site = site_at(tmp_path / "data", bind=(address,), metrics=free_address())

        said = told(site, "ports", "error")

    assert f"the backend runs, and nothing listens at {address}" in said
    assert "/healthz: " in said


def test_a_backend_that_hangs_is_an_error(tmp_path: Path) -> None:
    with backend(tmp_path) as (process, endpoint):
        process.process.send_signal(signal.SIGSTOP)
        try:
            said = told(site_at(tmp_path / "data", bind=(endpoint,)), "ports", "error")
        finally:
            process.process.send_signal(signal.SIGCONT)

    assert f"what listens at {endpoint} does not answer as a backend" in said


def test_a_backend_that_is_not_ready_is_a_warning(tmp_path: Path) -> None:
    metrics = free_address()
    more = {"STUI_METRICS": metrics, "STUI_FAILPOINTS": "store.begin=raise:ENOSPC*1000000"}
    with backend(tmp_path, **more) as (_, endpoint):
        site = site_at(tmp_path / "data", bind=(endpoint,), metrics=metrics)
        with Client(endpoint, client_id="me") as client, pytest.raises(StuiError):
            client.create_session()

        said = eventually(lambda: told(site, "ports", "warning"))

    assert "readyz: the disk refuses changes" in said


def test_a_backend_of_another_directory_at_our_address_is_an_error(tmp_path: Path) -> None:
    with backend(tmp_path) as (_, endpoint):
        said = told(site_at(tmp_path / "other", bind=(endpoint,)), "ports", "error")

    assert f"a backend answers at {endpoint}, and does not hold this data directory" in said


# --- lock and addresses


def test_whoever_holds_the_directory_is_named(tmp_path: Path) -> None:
    assert "no backend runs" in told(site_at(tmp_path), "lock", "ok")

    with DataDirectory(tmp_path):
        assert f"pid {os.getpid()}" in told(site_at(tmp_path), "lock", "ok")
        (tmp_path / "lock").write_text("999999999")
        assert "pid 999999999, which is not to be seen" in told(site_at(tmp_path), "lock", "note")
        (tmp_path / "lock").write_text("")
        assert "has no process id" in told(site_at(tmp_path), "lock", "warning")

    assert "no backend runs" in told(site_at(tmp_path), "lock", "ok")


def test_looking_at_the_lock_does_not_hold_it(tmp_path: Path) -> None:
    with DataDirectory(tmp_path):
        pass

    found(site_at(tmp_path), "lock")

    with DataDirectory(tmp_path):
        pass


def test_addresses_that_are_free_are_well(tmp_path: Path) -> None:
    binds = (f"tcp://{free_address()}", f"ipc://{tmp_path}/socket", "tcp://127.0.0.1:*")

    site = site_at(tmp_path, bind=binds, metrics=free_address())

    assert is_well(site, "ports")
    assert told(site, "ports", "ok").count(" is free") == 3


def test_addresses_that_others_have_are_errors(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        said = told(site_at(tmp_path, bind=(f"tcp://{taken}",), metrics=taken), "ports", "error")

    assert f"tcp://{taken} is taken by another program" in said
    assert f"{taken}, for metrics, is taken by another program" in said


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:5555", "tcp://no.such.host.invalid:5555"])
def test_addresses_that_this_machine_does_not_have_are_errors(tmp_path: Path, address: str) -> None:
    assert f"{address} cannot be had: " in told(
        site_at(tmp_path, bind=(address,)), "ports", "error"
    )


# --- images


def test_images_that_answer_are_told_with_their_identity_and_latency(tmp_path: Path) -> None:
    with fake_image() as full, fake_image(legacy=True) as legacy:
        site = site_at(tmp_path, images={"full": full.endpoint, "old": legacy.endpoint})

        said = told(site, "images", "ok")

    assert f"full at {full.endpoint}: {full.uuid} (fake ), answered in " in said
    assert f"old at {legacy.endpoint}: a legacy image, up for 1" in said
    assert " ms" in said


def test_an_image_that_is_not_there_is_told_from_one_that_hangs(tmp_path: Path) -> None:
    away = f"tcp://{free_address()}"
    with fake_image() as hanging:
        hanging.holding.add("ping")
        site = site_at(tmp_path, images={"away": away, "hung": hanging.endpoint})

        said = told(site, "images", "warning")

    assert f"away at {away} cannot be reached: Connection refused" in said
    assert f"hung at {hanging.endpoint} does not answer, although something listens there" in said


def test_another_image_than_the_backend_knows_is_a_warning(tmp_path: Path) -> None:
    with fake_image() as fake:
        with (
            backend(tmp_path, "--image", f"fake={fake.endpoint}") as (_, endpoint),
            Client(endpoint, client_id="me") as client,
        ):
            eventually(lambda: client.get_image_connection_status("fake").status == "Connected")
        before, fake.uuid = fake.uuid, "fake-another"

        said = told(site_at(tmp_path / "data"), "images", "warning")

    assert f"another image than before is fake at {fake.endpoint}" in said
    assert f"it was {before}" in said


def test_a_backend_where_an_image_should_be_is_a_warning(tmp_path: Path) -> None:
    with backend(tmp_path) as (_, endpoint):
        said = told(site_at(tmp_path, images={"oops": endpoint}), "images", "warning")

    assert "a STUI backend answers there, and no image" in said


@pytest.mark.parametrize(
    "body", [b"what?", b"\xff\xfe", b"[" * 100_000, b"{}", b'{"id": 7}', b"null"]
)
def test_what_answers_nonsense_is_no_image(body: bytes) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        port = router.bind_to_random_port("tcp://127.0.0.1")

        def answer() -> None:
            *route, _ = router.recv_multipart()
            router.send_multipart([*route, body])

        answering = threading.Thread(target=answer)
        answering.start()
        address = f"tcp://127.0.0.1:{port}"
        answers = ping_images([address], within=0.5)
        answering.join()

    assert answers[address].ping is None
    assert answers[address].problem


def test_an_address_that_is_none_does_not_keep_others_from_being_asked() -> None:
    with fake_image() as fake:
        answers = ping_images(["nonsense://x", fake.endpoint])

    assert "cannot be used" in answers["nonsense://x"].problem
    assert answers[fake.endpoint].ping is not None
