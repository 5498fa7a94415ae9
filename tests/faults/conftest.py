from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage import failpoints
from tests.support.images import python_image
from tests.tools.images.image_client import ImageProcess


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageProcess]:
    """A Python image, which outlives what dies here."""
    with python_image(tmp_path_factory.mktemp("image")) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_stays_armed() -> Iterator[None]:
    yield
    failpoints.disarm_all()
