"""A backend as a process of its own, and what it uses of the machine."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.waiting import eventually
from tests.support.wire import Message, Wire
from tests.tools.processes import Process, environment, unmeasured

ROOT = Path(__file__).parents[2]


class BackendProcess(Process):
    """`stui serve` on DATA, started by the command PREFIX; what it logs is a file in DIRECTORY.

    PROGRAM is the module to run, with what comes before `serve`.
    """

    def __init__(
        self,
        directory: Path,
        data: Path,
        *,
        prefix: Sequence[str] = (),
        program: Sequence[str] = ("stui",),
        settings: str = "",
        more: Mapping[str, str] | None = None,
    ) -> None:
        self._stderr = directory / f"log-{len(list(directory.glob('log-*')))}"
        config = directory / "stui.toml"
        config.write_text(f"backup_interval = 0\n{settings}", encoding="utf-8")
        command = [*prefix, sys.executable, "-m", *program, "serve", "--config", str(config)]
        command += ["--data-dir", str(data), "--bind", "tcp://127.0.0.1:*"]
        variables = environment({"PYTHONPATH": str(ROOT), **(more or {})})
        if program != ("stui",):  # whose writes will fail
            variables = unmeasured(variables)
        with self._stderr.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=variables,
                cwd=ROOT,
            )
        self.door = ""

    def ready(self) -> BackendProcess:
        """Wait until it serves."""
        self.door = self.endpoint()
        return self

    @contextmanager
    def until_the_end(self) -> Iterator[None]:
        """See to it that it has ended after the block."""
        try:
            yield
        finally:
            if self.lives:
                self.process.kill()
            self.process.communicate(timeout=10)

    def client(self, *, dealer: bool = False) -> Wire:
        """A new connection."""
        return Wire(self.door, dealer=dealer)

    def wait_for_image(self, name: str) -> Message:
        """The record of an image once it is connected."""

        def record() -> Message | None:
            with self.client() as client:
                for entry in client.do("list_images")["images"]:
                    if entry["name"] == name and entry["status"] == "Connected":
                        found: Message = entry
                        return found
            return None

        found = eventually(record)
        assert found is not None
        return found

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def sockets(self) -> int:
        """How many sockets, and what wakes their threads, it has open; files are not counted."""
        count = 0
        for each in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # it was closed meanwhile
                count += not str(each.readlink()).startswith("/")
        return count

    @property
    def memory(self) -> int:
        """Bytes of memory that it has in use now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        assert self.end(signal.SIGKILL)[0] == -signal.SIGKILL


@contextmanager
def backend_process(
    directory: Path,
    data: Path | None = None,
    *,
    prefix: Sequence[str] = (),
    program: Sequence[str] = ("stui",),
    settings: str = "",
    more: Mapping[str, str] | None = None,
) -> Iterator[BackendProcess]:
    """A backend that serves, while it is needed."""
    made = BackendProcess(
        directory,
        data or directory / "data",
        prefix=prefix,
        program=program,
        settings=settings,
        more=more,
    )
    with made.until_the_end():
        yield made.ready()
