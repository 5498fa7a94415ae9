"""Starting and ending the Smalltalk image."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.images.image_client import ImageClient, fresh_name, running_image, wait_until
from tests.tools.images.smalltalk_process import LOOP, command, start
from tools.images.smalltalk import launcher


def refused(state_dir: Path, **environment: str) -> str:
    """The one line on stderr of an image that cannot be started."""
    ended = subprocess.run(
        command(state_dir),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("stui image: ")
    return line


def python_without_node(folder: Path) -> None:
    """A folder where this Python finds no Node.js beside itself."""
    (folder / "python").symlink_to(sys.executable)


@pytest.mark.parametrize("port", ["*", "0"])
def test_it_says_where_it_is_ready_and_nothing_else(tmp_path: Path, port: str) -> None:
    with running_image(command(tmp_path, f"tcp://127.0.0.1:{port}")) as image:
        assert image.first_line == f"stui image: ready on {image.endpoint}\n"
        assert int(image.endpoint.rpartition(":")[2]) > 0
        image.process.terminate()
        rest, _ = image.process.communicate(timeout=20)
    assert rest == ""


def test_the_launcher_becomes_the_image(tmp_path: Path) -> None:
    with running_image(command(tmp_path)) as image, ImageClient(image.endpoint) as client:
        info = client.do("system_info", info_type="Environment")["info"]
        assert info["process_id"] == str(image.process.pid)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "code", ["", LOOP, f"[[ {LOOP} ] on: Error do: [ :e | {LOOP} ]] ensure: [ {LOOP} ]"]
)
def test_a_signal_ends_it_in_an_orderly_way(tmp_path: Path, how: signal.Signals, code: str) -> None:
    with running_image(command(tmp_path)) as image, ImageClient(image.endpoint) as client:
        if code:
            running = start(client, "s", code)
            waiting = client.send_code("s", "3 + 4")
            client.do("ping")
        image.process.send_signal(how)
        assert image.process.wait(timeout=5) == 0
        if code:
            for sent in (running, waiting):
                assert client.receive(sent)["error_code"] == "interrupted"


def test_sigint_right_after_an_evaluation_ends_it_in_an_orderly_way_too(tmp_path: Path) -> None:
    with running_image(command(tmp_path)) as image, ImageClient(image.endpoint) as client:
        for _ in range(20):
            client.evaluate("s", "3 + 4")
        client.send_code("s", "3 + 4")
        image.process.send_signal(signal.SIGINT)
        assert image.process.wait(timeout=5) == 0


def test_code_that_no_interrupt_can_end_costs_the_object_memory_only(tmp_path: Path) -> None:
    with running_image(command(tmp_path)) as image, ImageClient(image.endpoint) as client:
        epoch = client.do("ping")["image"]["epoch"]
        # The continuation of a promise runs outside of any evaluation, and out of reach.
        promise = "(Promise new: [ :model | model value: 1 ]) then: {[ :x | [true] whileTrue: [] ]}"
        client.evaluate("s", promise)
        sent = client.send_code("s", "3 + 4", request=fresh_name("stuck"))
        assert client.do("ping")["busy"] is True
        assert client.do("interrupt") == {"interrupted": True}
        assert client.receive(sent)["error_code"] == "outcome_unknown"
        assert client.evaluate("s", "3 + 4")["result"] == "7"
        assert client.do("ping")["image"]["epoch"] != epoch


def test_memory_that_runs_out_costs_no_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUI_SMALLTALK_HEAP", "128")
    with running_image(command(tmp_path)) as image, ImageClient(image.endpoint) as client:
        client.evaluate("s", "Object subclass: #Kept slots: {} package: 'Test'")
        grow = "| c | c := OrderedCollection new. [true] whileTrue: [ c add: (Array new: 1000) ]"
        sent = client.send_code("s", grow, request="growing")

        def is_over() -> bool:
            # Most often the object memory dies alone; now and then V8 aborts the process.
            if image.process.poll() is not None:
                return True
            try:
                return not client.receive(client.send("ping"), seconds=1)["result"]["busy"]
            except AssertionError:
                return False

        wait_until(is_over)
        survived = image.process.poll() is None
        if survived:
            assert client.receive(sent)["error_code"] == "outcome_unknown"
            assert client.evaluate("s", "Kept")["result"] == "Kept"
    if not survived:
        with running_image(command(tmp_path)) as image, ImageClient(image.endpoint) as client:
            assert client.evaluate("s", "Kept")["result"] == "Kept"


def test_a_heap_that_is_no_size_is_refused(tmp_path: Path) -> None:
    assert "not lots" in refused(tmp_path, STUI_SMALLTALK_HEAP="lots")


def test_a_state_directory_is_for_one_image(tmp_path: Path) -> None:
    with running_image(command(tmp_path)) as image:
        assert "in use by another image" in refused(tmp_path)
        image.end(signal.SIGKILL)
    with running_image(command(tmp_path)):
        pass


@pytest.mark.parametrize("content", ["", "{}", '{"uuid": "mine"}'])
def test_a_damaged_identity_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "image.json").write_text(content)
    assert "restore it from a backup" in refused(tmp_path)
    assert (tmp_path / "image.json").read_text() == content


def test_missing_packages_are_named_and_how_to_get_them(tmp_path: Path) -> None:
    line = refused(tmp_path, STUI_NODE_MODULES=str(tmp_path))
    assert "@ambers/lang, requirejs, zeromq" in line
    assert "npm ci" in line


def test_a_missing_node_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python_without_node(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(launcher.CannotStartError, match="or newer is needed: install it"):
        launcher.find_node()


def test_an_old_node_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, version in (("path", "16.20.0"), ("beside", "18.0.0")):
        (tmp_path / folder).mkdir()
        node = tmp_path / folder / "node"
        node.write_text(f"#!/bin/sh\necho {version} /real/node-{version}\n")
        node.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "beside" / "python"))
    assert launcher.find_node() == Path("/real/node-18.0.0")
    (tmp_path / "beside" / "node").unlink()
    with pytest.raises(launcher.CannotStartError, match=r"node is 16\.20\.0"):
        launcher.find_node()
