"""A backend with a Python image, for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.processes import running, serving, wait_until
from tools.client.client import Client


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a backend that is connected to a Python image called `py`."""
    directory = tmp_path_factory.mktemp("service")
    image_arguments = ["image", "python", "--bind", "tcp://127.0.0.1:*", "--state-dir"]
    with running(
        *image_arguments, str(directory / "image"), stderr=directory / "image.log"
    ) as image:
        arguments = serving(directory, "--image", f"py={image.endpoint()}")
        with running(*arguments, stderr=directory / "backend.log") as backend:
            endpoint = backend.endpoint()
            with Client(endpoint) as client:
                wait_until(
                    lambda: client.get_image_connection_status("py").status == "Connected",
                    "the image is connected",
                )
            yield endpoint


@pytest.fixture
def client(service: str, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of `service`, with a client id of the test's own."""
    name = request.node.name.replace("[", ".").replace("]", "")[:100]
    with Client(service, client_id="".join(c if c.isalnum() else "." for c in name)) as client:
        yield client
