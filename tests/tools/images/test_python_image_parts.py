"""Parts of the Python image that are shown best without a socket."""

import itertools
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import FrameType, SimpleNamespace
from typing import cast

import pytest

from tests.tools.images.image_client import is_alive, wait_until
from tools.images.python_image.frames import MAX_FRAME, FrameReader, frame
from tools.images.python_image.interrupts import Interrupts
from tools.images.python_image.object_ids import MAX_OBJECTS, ObjectIds


@pytest.fixture
def numbers() -> Iterator[tuple[int, int]]:
    """A pipe of interrupted tasks' numbers; the signal handler is put back."""
    handler = signal.getsignal(signal.SIGINT)
    read_end, write_end = os.pipe()
    yield read_end, write_end
    signal.signal(signal.SIGINT, handler)
    os.close(read_end)
    os.close(write_end)


class Machine:
    """Interrupts, and the other side of them."""

    def __init__(self, numbers: tuple[int, int]) -> None:
        self.interrupts = Interrupts(numbers[0])
        self._write_end = numbers[1]

    def run(self, number: int, body: Callable[[], str | None]) -> str | None:
        try:
            return self.interrupts.run(number, body)
        except KeyboardInterrupt:
            return "interrupted"

    def announce(self, number: int) -> None:
        os.write(self._write_end, struct.pack(">Q", number))

    def interrupt(self, number: int) -> None:
        self.announce(number)
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def machine(numbers: tuple[int, int]) -> Machine:
    return Machine(numbers)


class TestInterrupts:
    def test_the_meant_task_is_interrupted(self, machine: Machine) -> None:
        assert machine.run(7, lambda: machine.interrupt(7)) == "interrupted"

    def test_one_for_an_earlier_task_does_nothing(self, machine: Machine) -> None:
        def body() -> str:
            machine.interrupt(6)
            return "done"

        assert machine.run(7, body) == "done"

    def test_one_that_came_before_its_task_is_kept_for_it(self, machine: Machine) -> None:
        machine.interrupt(7)
        assert machine.run(6, lambda: "done") == "done"
        assert machine.run(7, lambda: "not reached") == "interrupted"

    def test_one_between_tasks_does_nothing(self, machine: Machine) -> None:
        assert machine.run(7, lambda: "done") == "done"
        machine.interrupt(7)

    def test_a_signal_that_nobody_announced_does_nothing(self, machine: Machine) -> None:
        def body() -> str:
            signal.raise_signal(signal.SIGINT)
            return "done"

        assert machine.run(7, body) == "done"

    def test_one_that_comes_in_the_frame_that_tidies_up_does_nothing(
        self, machine: Machine
    ) -> None:
        around = cast("FrameType", SimpleNamespace(f_code=Interrupts.run.__code__, f_back=None))

        def body() -> str:
            machine.announce(7)
            machine.interrupts._on_signal(signal.SIGINT, around)
            return "done"

        assert machine.run(7, body) == "done"


class TestObjectIds:
    def test_the_oldest_are_dropped(self) -> None:
        ids = ObjectIds("epoch", itertools.count(1))
        names = [ids.add([number]) for number in range(MAX_OBJECTS + 1)]
        assert len(set(names)) == MAX_OBJECTS + 1
        with pytest.raises(KeyError):
            ids.get(names[0])
        assert ids.get(names[1]) == [1]

    def test_showing_one_again_keeps_it_and_its_id(self) -> None:
        ids = ObjectIds("epoch", itertools.count(1))
        kept = ["kept"]
        name = ids.add(kept)
        for number in range(MAX_OBJECTS - 1):
            ids.add([number])
        assert ids.add(kept) == name
        ids.add(["one more"])
        assert ids.get(name) is kept

    def test_an_id_is_never_used_twice(self) -> None:
        numbers = itertools.count(1)
        first, second = ObjectIds("epoch", numbers), ObjectIds("epoch", numbers)
        assert first.add("a") != second.add("a")


class TestParentWatch:
    def test_a_process_that_the_kernel_does_not_end_ends_itself(self) -> None:
        watching = (
            "import os, threading\n"
            "from tools.images.python_image.parent_watch import end_when_orphaned\n"
            "threading.Thread(target=end_when_orphaned, args=(os.getppid(),)).start()\n"
            "print(os.getpid(), flush=True)\n"
            "while True: pass"
        )
        starting = (
            "import subprocess, sys\n"
            f"command = [sys.executable, '-c', {watching!r}]\n"
            "child = subprocess.Popen(command, stdout=subprocess.PIPE)\n"
            "print(child.stdout.readline().decode(), flush=True)\n"
            "import os; os._exit(0)"
        )
        parent = subprocess.run(
            [sys.executable, "-c", starting], capture_output=True, text=True, timeout=20, check=True
        )
        wait_until(lambda: not is_alive(int(parent.stdout)))


class TestFrames:
    def test_frames_are_found_however_the_stream_is_cut(self) -> None:
        payloads = [b"", b"a", b"b" * 1000]
        stream = b"".join(map(frame, payloads))
        for size in (1, 3, 7, len(stream)):
            reader = FrameReader()
            pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
            assert [found for piece in pieces for found in reader.feed(piece)] == payloads

    def test_a_length_beyond_the_limit_is_nonsense(self) -> None:
        with pytest.raises(ValueError, match="at most"):
            list(FrameReader().feed(struct.pack(">I", MAX_FRAME + 1)))
