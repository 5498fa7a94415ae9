"""Images for the tests of a module: one of each dialect, or a Python image."""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.tools.images.dialects import PYTHON, SMALLTALK, Dialect, command_of
from tests.tools.images.image_client import ImageClient, ImageProcess, fresh_name, running_image


@pytest.fixture(scope="module", params=[PYTHON, SMALLTALK], ids=str)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    if importlib.util.find_spec(found.launcher) is None:
        pytest.skip(f"there is no {found.launcher}")
    return found


@pytest.fixture(scope="module")
def image(dialect: Dialect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageProcess]:
    with running_image(command_of(dialect, tmp_path_factory.mktemp("state"))) as image:
        yield image


@pytest.fixture
def client(image: ImageProcess) -> Iterator[ImageClient]:
    with ImageClient(image.endpoint) as client:
        yield client


def python_image(
    state_dir: Path, environment: Mapping[str, str] | None = None
) -> AbstractContextManager[ImageProcess]:
    return running_image(
        [
            *(sys.executable, "-m", "tools.images.python_image", "--name", "py"),
            *("--endpoint", "tcp://127.0.0.1:*", "--state-dir", str(state_dir)),
        ],
        environment,
    )


@pytest.fixture(scope="module")
def shared_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageProcess]:
    with python_image(tmp_path_factory.mktemp("state")) as image:
        yield image


@pytest.fixture
def python(shared_python: ImageProcess) -> Iterator[ImageClient]:
    with ImageClient(shared_python.endpoint) as client:
        yield client


@pytest.fixture
def unmeasured_python(tmp_path: Path) -> Iterator[ImageClient]:
    """A client of an image without coverage, for what interrupts code at any moment.

    Coverage's tracer takes a lock when it meets new code; a KeyboardInterrupt there leaves it
    locked, and the image stands still.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
    }
    with (
        python_image(tmp_path, environment) as image,
        ImageClient(image.endpoint) as client,
    ):
        yield client


@pytest.fixture
def session() -> str:
    return fresh_name("session")


@pytest.fixture
def start_python(tmp_path: Path) -> Callable[[], AbstractContextManager[ImageProcess]]:
    """Start an image of the test's own."""
    return lambda: python_image(tmp_path)
