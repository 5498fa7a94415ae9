"""One backend, and one Python image, for the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage, fake_image, python_image
from tests.support.wire import Wire


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBackend]:
    """A backend without an image."""
    with running_backend(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def client(backend: RunningBackend) -> Iterator[Wire]:
    """A REQ connection to `backend`."""
    with backend.client() as wire:
        yield wire


@pytest.fixture
def dealer(backend: RunningBackend) -> Iterator[Wire]:
    """A DEALER connection to `backend`, with an empty delimiter frame."""
    with backend.client(dealer=True) as wire:
        yield wire


@pytest.fixture(scope="module")
def backend_with_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBackend]:
    """A backend that is connected to a real Python image called `py`."""
    with (
        python_image(tmp_path_factory.mktemp("image")) as image,
        running_backend(tmp_path_factory.mktemp("data"), images={"py": image.endpoint}) as running,
    ):
        running.wait_for_image("py")
        yield running


@pytest.fixture
def developer(backend_with_python: RunningBackend) -> Iterator[Wire]:
    """A DEALER connection to `backend_with_python`."""
    with backend_with_python.client(dealer=True) as wire:
        yield wire


@pytest.fixture
def image() -> Iterator[FakeImage]:
    """A full image that the test steers."""
    with fake_image() as fake:
        yield fake


@pytest.fixture
def holding_image() -> Iterator[FakeImage]:
    """A full image whose evaluations end only when the test says so."""
    with fake_image() as fake:
        fake.holding = {"evaluate"}
        yield fake


@pytest.fixture
def backend_with_fake(
    tmp_path_factory: pytest.TempPathFactory, holding_image: FakeImage
) -> Iterator[RunningBackend]:
    """A backend connected to `holding_image`; it waits long for an image to come back."""
    with running_backend(
        tmp_path_factory.mktemp("data"),
        images={"fake": holding_image.endpoint},
        image_outcome_grace=60.0,
    ) as running:
        running.wait_for_image("fake")
        yield running
