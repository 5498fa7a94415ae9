"""A wheel built from this tree installs and runs in an empty environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _copy_of_the_tree(target: Path) -> Path:
    """What git knows of the tree, so that building leaves nothing behind in it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    return target


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = _copy_of_the_tree(tmp_path_factory.mktemp("tree"))
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(target), str(tree)],
        check=True,
        capture_output=True,
    )
    return next(target.glob("*.whl"))


@pytest.mark.timeout(300)  # asks the package index for the build's and the wheel's requirements
def test_the_wheel_runs_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", str(wheel)], check=True, capture_output=True
    )
    stui = environment / "bin" / "stui"
    # Neither the coverage of this run nor the checkout is the wheel's business.
    clean = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    arguments = ["serve", "--bind", "tcp://127.0.0.1:*", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(
        [stui, *arguments], cwd=tmp_path, env=clean, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        ready = service.stdout.readline()
        service.send_signal(signal.SIGTERM)
        assert service.wait(10) == 0
    assert ready.startswith("stui: ready on tcp://127.0.0.1:")


def test_the_wheel_has_the_programs_of_the_smalltalk_image_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "tools/images/smalltalk/main.js" in names
    assert "protocol/py.typed" in names
    assert not [name for name in names if name.startswith("tests/")]
