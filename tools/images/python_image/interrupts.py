"""Interrupts that hit the user code they are meant for, and nothing else."""

import os
import signal
import struct
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

_NUMBER = struct.Struct(">Q")


class Interrupts:
    """Runs user code in the main thread, where SIGINT becomes a KeyboardInterrupt.

    Two things must not happen: an interrupt that comes as a task ends must not hit the next one,
    and none may be raised in the object memory's own code. So the front writes the number of the
    task it means into a pipe before each signal, and the handler raises only for the number that
    runs and only above the frame of `_guarded`: the frame of `run` is never interrupted.
    A SIGINT that no number announces (user code may send itself one) does nothing.
    """

    def __init__(self, numbers_fd: int) -> None:
        os.set_blocking(numbers_fd, False)
        self._numbers_fd = numbers_fd
        self._current: int | None = None
        self._meant = 0
        signal.signal(signal.SIGINT, self._on_signal)

    def was_meant(self) -> bool:
        """Whether the running task was told to end."""
        # User code may have a handler of its own, which reads nothing.
        self._read_numbers()
        return self._meant == self._current

    def run(self, number: int, body: Callable[[], T]) -> T:
        """Run the body, which may be interrupted. Raises KeyboardInterrupt where it was."""
        self._current = number
        try:
            return self._guarded(body)
        finally:
            self._current = None

    def _guarded(self, body: Callable[[], T]) -> T:
        if self.was_meant():
            raise KeyboardInterrupt
        try:
            return body()
        finally:
            # User code may have put a handler of its own there; that lasts for its own task.
            signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _signum: int, frame: FrameType | None) -> None:
        self._read_numbers()
        # A second signal may come while the first is handled: what counts is what both interrupt.
        while frame is not None and frame.f_code in _HANDLER:
            frame = frame.f_back
        in_run = frame is not None and frame.f_code is Interrupts.run.__code__
        if self._current is not None and self._meant == self._current and not in_run:
            raise KeyboardInterrupt

    def _read_numbers(self) -> None:
        try:
            data = os.read(self._numbers_fd, 1 << 16)
        except BlockingIOError:
            return
        if data:
            (self._meant,) = _NUMBER.unpack(data[-_NUMBER.size :])


_HANDLER = (Interrupts._on_signal.__code__, Interrupts._read_numbers.__code__)  # noqa: SLF001 - of the class itself
