"""The run itself: a service under load, one blow after the other, and the final reckoning."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools.exit_codes import ExitCode
from tools.faults.books import Clockwork, summed
from tools.faults.plan import Life
from tools.faults.report import Report
from tools.faults.service import Backend, Image
from tools.faults.wire import Dialect, Wire
from tools.faults.workers import Evaluator, Keeper, Updater, Worker

_SERVED_WITHIN: Final = 60.0
"""Seconds in which every client has to be served again; a machine may be slow, not a minute."""
_CHECKED_WITHIN: Final = 180.0
_LOOK_EVERY: Final = 0.02
_ACTOR_DIED: Final = re.compile(r"\b(actor_died|session_died|image_connection_died)\b")
_EXPECTED_ENDS: Final = {-signal.SIGKILL, ExitCode.DONE, ExitCode.GAVE_UP}
"""With failpoints armed a tree of actors may give up: that is what it is for."""

_COMMAND: Final[Dialect] = "command"
_ENVELOPE: Final[Dialect] = "envelope"

Say = Callable[[str], None]


class CannotGoOn(Exception):
    """The service does not even start; the message says what it said."""


class Torture:
    """One service with its clients. `say` shows progress. For one thread."""

    def __init__(self, directory: Path, seed: int, say: Say, *, images: int = 2) -> None:
        self._seed, self._say = seed, say
        self._images = [Image(directory, f"image{number}") for number in range(images)]
        self._backend = Backend(directory, self._images)
        self._ledger = directory / "ledger"
        self._ledger.touch()
        self._clockwork = Clockwork()
        self.workers: list[Worker] = list(self._hired())
        self._kills: Counter[str] = Counter()
        self._passed: list[str] = []
        self._recoveries: list[float] = []
        self._curve: list[tuple[float, int, int]] = []
        self._wrong: list[str] = []
        self._log_at = self._noted = 0
        self._armed = ""
        self._started = self._said = time.monotonic()

    def _hired(self) -> Iterator[Worker]:
        """Clients of both dialects and both encodings."""
        common = (lambda: self._backend.endpoint, self._clockwork)
        first, last = self._images[0].name, self._images[-1].name
        yield Updater("updater-1", *common, self._seed + 1, dialect=_COMMAND, cbor=False)
        yield Updater("updater-2", *common, self._seed + 2, dialect=_ENVELOPE, cbor=True)
        for number, (image, dialect, cbor) in enumerate(
            [(first, _COMMAND, True), (last, _ENVELOPE, False)], start=1
        ):
            yield Evaluator(
                *(f"evaluator-{number}", *common, self._seed + 2 + number),
                dialect=dialect,
                cbor=cbor,
                image=image,
                ledger=self._ledger,
            )
        yield Keeper(
            *("keeper-1", *common, self._seed + 5), dialect=_ENVELOPE, cbor=False, image=first
        )

    # --- the run

    def run(self, lives: Iterable[Life], seconds: float = float("inf")) -> Report:
        """Live through LIVES until they or the time are over, then reckon. Raises `CannotGoOn`."""
        try:
            for image in self._images:
                if not image.start():
                    raise CannotGoOn(f"The image {image.name} does not start.")
            self._start_backend("")
            self._wait_for_images()
            for worker in self.workers:
                worker.start()
            self._wait_until_served("the start")
            try:
                for life in lives:
                    if time.monotonic() - self._started > seconds or self._is_stuck():
                        break
                    self._live(life)
            except CannotGoOn as problem:
                self._wrong.append(str(problem))
            return self._reckoned()
        finally:
            for program in (self._backend, *self._images):
                program.kill()

    def _live(self, life: Life) -> None:
        """Let a backend with the life's failpoints work for a while, then have the blow fall."""
        if life.failpoints:
            self._end_backend(signal.SIGKILL)
        if self._backend.ended is not None:
            self._start_backend(life.failpoints)
        until = time.monotonic() + life.after
        while time.monotonic() < until and self._backend.ended is None:
            time.sleep(_LOOK_EVERY)
            self._look()
        self._strike(life)
        if not life.settles:
            return
        if life.failpoints or self._backend.ended is not None:
            self._end_backend(signal.SIGKILL)
        died = time.monotonic()
        if self._backend.ended is not None:
            self._start_backend("")
        self._wait_until_served(f"{life.blow} with {life.failpoints or 'no failpoints'}")
        self._recoveries.append(time.monotonic() - died)

    def _strike(self, life: Life) -> None:
        image = self._images[life.image % len(self._images)]
        match life.blow:
            case "kill image":
                self._kills["image"] += 1
                image.kill()
                if not image.start():
                    self._wrong.append(f"the image {image.name} does not start again")
            case "freeze image":
                self._kills["frozen image"] += 1
                image.stand_still(life.standstill)
            case "freeze backend":
                self._kills["frozen backend"] += 1
                self._backend.stand_still(life.standstill)
            case "stop backend":
                self._end_backend(signal.SIGTERM)
            case "wait for it":
                if self._backend.ended == -signal.SIGKILL:
                    self._passed.append(life.place)
                self._end_backend(signal.SIGKILL)
            case "kill backend":
                self._end_backend(signal.SIGKILL)

    def _reckoned(self) -> Report:
        """Let all finish and check, with nothing that dies."""
        if self._backend.ended is not None:
            self._backend.arm_and_start("")
            self._clockwork.next()
        for worker in self.workers:
            worker.finishing.set()
        until = time.monotonic() + _CHECKED_WITHIN
        for worker in self.workers:
            worker.join(max(0.0, until - time.monotonic()))
            if worker.is_alive():
                self._wrong.append(f"{worker.name} does not come to an end")
        self._look()
        self._backend.send(signal.SIGTERM)
        code = self._backend.wait()
        if code != ExitCode.DONE:
            self._wrong.append(f"the backend ended with {code} when it was told to stop")
        total = summed(worker.books for worker in self.workers)
        total.wrong += self._wrong
        return Report(
            seed=self._seed,
            seconds=time.monotonic() - self._started,
            workers=len(self.workers),
            kills=dict(self._kills),
            books=total,
            passed=self._passed,
            recoveries=self._recoveries,
            curve=self._curve,
        )

    # --- the backend

    def _start_backend(self, failpoints: str) -> None:
        """Start it; raises `CannotGoOn` where it does not, although nothing was to fail."""
        self._armed = failpoints
        if not self._backend.arm_and_start(failpoints):
            code = self._backend.wait()
            self._note_end(code, failpoints)
            if not failpoints:
                raise CannotGoOn(f"The backend does not start ({code}): {self._last_words()}")
        self._clockwork.next()

    def _last_words(self) -> str:
        text, _ = self._backend.log_since(0)
        return text[-6000:]

    def _end_backend(self, how: signal.Signals) -> None:
        """Have the backend ended, if it has not by itself; its end is noted once."""
        self._backend.send(how)
        code = self._backend.wait()
        if code is None:
            self._wrong.append(f"the backend did not end within 30 s of {how.name}")
            code = self._backend.kill()
        self._note_end(code, self._armed)
        self._look()

    def _note_end(self, code: int | None, failpoints: str) -> None:
        if self._noted == self._backend.lives:
            return
        self._noted = self._backend.lives
        names = {-signal.SIGKILL: "backend", 0: "stopped backend", 70: "backend gave up"}
        self._kills[names.get(code if code is not None else -1, "backend")] += 1
        if code not in _EXPECTED_ENDS and not (code == ExitCode.CANNOT_START and failpoints):
            self._wrong.append(
                f"the backend ended with {code}, armed with {failpoints or 'nothing'}: "
                f"{self._last_words()}"
            )

    # --- looking

    def _wait_until_served(self, why: str) -> None:
        """Wait until every client has had an answer since now, but for those that are broken."""
        before = [worker.books.acknowledged for worker in self.workers]
        until = time.monotonic() + _SERVED_WITHIN
        while time.monotonic() < until:
            self._look()
            if all(
                worker.books.acknowledged > count or not worker.is_alive()
                for worker, count in zip(self.workers, before, strict=True)
            ):
                return
            if self._backend.ended is not None:
                self._start_backend("")
            time.sleep(_LOOK_EVERY)
        waiting = [
            worker.name
            for worker, count in zip(self.workers, before, strict=True)
            if worker.books.acknowledged == count
        ]
        self._wrong.append(f"{waiting} were not served within {_SERVED_WITHIN:g} s after {why}")

    def _wait_for_images(self) -> None:
        """Wait until all are connected: until then nobody knows which ones they are."""
        wire = Wire(self._backend.endpoint, _COMMAND, cbor=False)
        try:
            until = time.monotonic() + _SERVED_WITHIN
            while time.monotonic() < until:
                wire.send("images", "list_images", {})
                reply = wire.receive(_SERVED_WITHIN)
                images = reply.result["images"] if reply else []
                if [image["status"] for image in images] == ["Connected"] * len(self._images):
                    return
                time.sleep(_LOOK_EVERY)
        finally:
            wire.close()
        raise CannotGoOn(f"The images are not connected within {_SERVED_WITHIN:g} s.")

    def _is_stuck(self) -> bool:
        """Whether going on would show nothing new."""
        return not all(worker.is_alive() for worker in self.workers)

    def _look(self) -> None:
        text, self._log_at = self._backend.log_since(self._log_at)
        self._kills["actor"] += len(_ACTOR_DIED.findall(text))
        now = time.monotonic()
        if not self._curve or now - self._started - self._curve[-1][0] >= 0.1:
            total = summed(worker.books for worker in self.workers)
            deaths = self._kills["backend"] + self._kills["backend gave up"]
            self._curve.append((now - self._started, total.acknowledged, deaths))
            if now - self._said >= 5:
                self._said = now
                self._say(
                    f"{now - self._started:5.0f} s  kills {self._kills.total()}  "
                    f"operations {total.operations}  acknowledged {total.acknowledged}  "
                    f"lost {len(total.lost)}  duplicated {len(total.duplicated)}  "
                    f"wrong {len(total.wrong) + len(self._wrong)}"
                )


@contextmanager
def short_directory() -> Iterator[Path]:
    """A directory whose sockets have short names; it is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="stui-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
