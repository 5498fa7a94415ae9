"""The running service, in the test's process, on a free port of the loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors.backend import Backend
from actors.settings import Settings
from actors.watching.config_watcher import LoadSettings
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire, result_of


class RunningBackend:
    """A backend that has started. `stop` and `start` it again on the same directory."""

    def __init__(self, settings: Settings, config: Path | None, load: LoadSettings | None) -> None:
        self.settings = settings
        self._config, self._load = config, load or (lambda: self.settings)
        self._backend: Backend | None = None
        self.endpoint = ""

    def start(self) -> None:
        backend = Backend(self.settings, self._config, self._load)
        backend.start()
        self._backend = backend
        self.endpoint = backend.endpoints[0]

    def stop(self) -> None:
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.stop()

    def restart(self) -> None:
        """Stop, and start anew on the same directory; at another port."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Have the settings read again."""
        assert self._backend is not None
        self._backend.reload()

    def client(self, **how: Any) -> Wire:
        """A new connection."""
        return Wire(self.endpoint, **how)

    def wait_for_image(self, image: str, status: str = "Connected") -> Message:
        """The record of an image (its name or id) once it has this status."""

        def record() -> Message | None:
            with self.client() as client:
                reply = client.ask("list_images")
                if reply.get("retryable"):  # whoever knows it is being started again
                    return None
                for entry in result_of(reply)["images"]:
                    if image in {entry["image_id"], entry["name"]} and entry["status"] == status:
                        found: Message = entry
                        return found
            return None

        found = eventually(record)
        assert found is not None
        return found


@contextmanager
def running_backend(
    data_dir: Path,
    *,
    config: Path | None = None,
    load: LoadSettings | None = None,
    **settings: Any,
) -> Iterator[RunningBackend]:
    """A backend with these settings while it is needed; images are asked often who they are."""
    wanted = {"bind": ("tcp://127.0.0.1:*",), "image_ping_interval": 0.1, **settings}
    backend = RunningBackend(Settings(data_dir=data_dir, **wanted), config, load)
    backend.start()
    try:
        yield backend
    finally:
        backend.stop()
