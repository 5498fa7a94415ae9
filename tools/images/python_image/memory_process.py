"""The front's hold on one object memory: its process, its socket pair and its two pipes."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
from collections import deque

import msgspec

from tools.images.python_image.frames import MAX_REPORT, FrameReader, ReceivedReport, Task, frame

ENDED = "it ended"

_CHUNK = 1 << 16
_MAX_DESCRIPTORS = 8  # in one piece
_MODULE = "tools.images.python_image.memory_main"
_NUMBER = struct.Struct(">Q")


class MemoryDiedError(Exception):
    """The object memory is gone, or talks nonsense and has to go; the message says how."""


class MemoryProcess:
    """One life of the object memory. Used by the front's thread alone; nothing here blocks.

    The child is the leader of a process group of its own, so that a terminal's Ctrl-C reaches the
    front alone. Its standard input is empty; its standard output and error are one pipe, so that
    whatever user code prints, from C or from programs too, keeps its order and cannot get into
    the socket pair. User code that sets out to break the child's descriptors costs the child only.
    """

    def __init__(self, epoch: str) -> None:
        self.channel, theirs = socket.socketpair()
        self.output, their_output = os.pipe()
        their_interrupts, self._interrupts = os.pipe()
        with (
            theirs,
            os.fdopen(their_output, "wb") as out,
            os.fdopen(their_interrupts, "rb") as told,
        ):
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", _MODULE, epoch, str(os.getpid())),
                    *(str(theirs.fileno()), str(told.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(), told.fileno()),
                start_new_session=True,
            )
        for descriptor in (self.channel.fileno(), self.output, self._interrupts):
            os.set_blocking(descriptor, False)
        self.channel.settimeout(0)
        self._outgoing = bytearray()
        self._is_closed = False
        self._reader = FrameReader(MAX_REPORT)
        self._descriptors: deque[int] = deque()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def has_unsent(self) -> bool:
        """Whether bytes wait until the channel takes more."""
        return bool(self._outgoing)

    def send(self, task: Task) -> None:
        """Hand over a task. What the channel does not take now waits for `flush`."""
        self._outgoing += frame(msgspec.json.encode(task))
        self.flush()

    def flush(self) -> None:
        """Give the channel as much as it takes. Raises MemoryDiedError where nobody reads it."""
        while self._outgoing:
            try:
                sent = self.channel.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError as error:
                raise MemoryDiedError(f"its channel broke: {error}") from error
            del self._outgoing[:sent]

    def receive(self) -> list[ReceivedReport]:
        """The reports that have come. Raises MemoryDiedError where no more will."""
        try:
            piece, descriptors, _, _ = socket.recv_fds(self.channel, _CHUNK, _MAX_DESCRIPTORS)
        except BlockingIOError:
            return []
        except OSError as error:
            raise MemoryDiedError(f"its channel broke: {error}") from error
        self._descriptors.extend(descriptors)
        if not piece:
            raise MemoryDiedError(ENDED)
        try:
            return [
                msgspec.json.decode(payload, type=ReceivedReport)
                for payload in self._reader.feed(piece)
            ]
        except (msgspec.MsgspecError, ValueError) as error:
            raise MemoryDiedError(f"its channel carries nonsense: {error}") from error

    def take_descriptor(self) -> int:
        """The descriptor that came with the report of a child. Raises MemoryDiedError."""
        if not self._descriptors:
            raise MemoryDiedError("it reported on a child without a pipe to it")
        return self._descriptors.popleft()

    def read_output(self) -> bytes | None:
        """Up to 64 KiB of what was printed; None where nobody can print any more."""
        try:
            return os.read(self.output, _CHUNK) or None
        except BlockingIOError:
            return b""

    def interrupt(self, number: int, *, whole_group: bool) -> None:
        """Raise KeyboardInterrupt in the task of that number, if it still runs.

        The number goes ahead of the signal, so that a signal that comes late hits nothing. The
        whole group is for what waits for other programs and ignores SIGINT meanwhile, like
        os.system.
        """
        # A full pipe holds this number already, many times.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._interrupts, _NUMBER.pack(number))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if whole_group:
                os.killpg(self.pid, signal.SIGINT)
            else:
                self._process.send_signal(signal.SIGINT)

    def kill_group(self) -> None:
        """Kill the child and what it started in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()

    def kill(self) -> None:
        """Kill the group and let go of the pipes. Twice does no harm."""
        if self._is_closed:
            return
        self._is_closed = True
        self.kill_group()
        self.channel.close()
        os.close(self.output)
        os.close(self._interrupts)
        for descriptor in self._descriptors:
            os.close(descriptor)

    def end_orderly(self, timeout: float) -> None:
        """Let the child end by itself, as it does without a front; kill it after `timeout` s."""
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)
        self.exit_reason(timeout)
        self.kill()
        self.exit_reason(timeout)

    def exit_reason(self, timeout: float) -> str:
        """How the child ended, waiting up to `timeout` seconds for it; empty where it has not."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return ""
        if code >= 0:
            return f"it exited with code {code}"
        try:
            return f"it was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"it was ended by signal {-code}"
