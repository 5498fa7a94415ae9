"""Bytes are flipped under a backend that runs: it serves what was acknowledged, or says so."""

from __future__ import annotations

import random
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.faults.test_damage_anywhere import LONG, SEED
from tests.support.backend_process import BackendProcess
from tests.support.wire import Message, Wire

CLIENTS = 6
SETTINGS = "passivate_after = 0.05\nfile_after = 0.1\n"
BORNE = {"session_damaged", "session_restarted", "storage_unavailable"}


class Books:
    """What was acknowledged of each client's session, over lives of the backend."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.numbers: dict[str, int] = {}
        self.seen: Counter[str] = Counter()
        self._lives = ExitStack()
        self.backend: BackendProcess
        self.start()

    def start(self) -> None:
        self.backend = BackendProcess(self.directory, self.directory / "data", settings=SETTINGS)
        self._lives.enter_context(self.backend.until_the_end())
        self.backend.ready()

    def close(self) -> None:
        self._lives.close()

    def ask(self, command: str, session: str, **parameters: object) -> Message | None:
        """The result; None where it was refused, or where the backend ended for its supervisor."""
        with Wire(self.backend.door) as wire:
            wire.send(command, session_id=session, **parameters)
            while not wire._socket.poll(20):
                if not self.backend.lives:
                    assert self.backend.wait()[0] == 70, self.backend.errors()
                    self.seen["ended"] += 1
                    self.start()
                    return None
            reply = wire.next_reply()
        if reply["status"] == "success":
            result: Message = reply["result"]
            return result
        if reply["error_code"] == "session_not_found":
            self.is_told(f"{session} is not there")
            return None
        assert reply["error_code"] in BORNE, reply
        self.seen[reply["error_code"]] += 1
        return None

    def change(self, session: str) -> None:
        number = self.numbers[session] + 1
        state = {"of": session, "number": number, "text": "x" * 3000}
        if self.ask("update_session_state", session, state_data=state) is not None:
            self.numbers[session] = number
            self.seen["changed"] += 1

    def is_told(self, what: str) -> None:
        """Check that this life of the backend said at its start that not all is as it was."""
        assert "The database was re" in self.backend.errors(), f"{what}: {self.backend.errors()}"
        self.seen["not as acknowledged, and said so"] += 1

    def look(self, session: str) -> None:
        result = self.ask("restore_session", session)
        if result is None:
            return
        state = result["session_state"]
        number, acknowledged = state.get("number", 0), self.numbers[session]
        right = {"of": session, "number": number, "text": "x" * 3000} if number else {}
        assert state == right, "a state that never was"
        if number < acknowledged:
            self.is_told(f"{number} instead of {acknowledged}")
        else:
            assert number <= acknowledged + 1  # it may have been stored and not acknowledged
            self.seen["right"] += 1
        self.numbers[session] = number


def test_bytes_that_are_flipped_in_use_are_never_served(tmp_path: Path) -> None:
    rng, books = random.Random(SEED), Books(tmp_path)
    try:
        with Wire(books.backend.door) as wire:
            for number in range(CLIENTS):
                books.numbers[wire.new_session(f"client_{number}")] = 0
        for _ in range(2):
            for session in books.numbers:
                books.change(session)
        for _ in range(12 * LONG):
            path = tmp_path / "data" / rng.choice(["stui.db", "stui.db-wal"])
            with path.open("r+b") as file:
                size = file.seek(0, 2)
                for _ in range(1 if size else 0):
                    position = rng.randrange(size)
                    file.seek(position)
                    (byte,) = file.read(1)
                    file.seek(position)
                    file.write(bytes([byte ^ 1 << rng.randrange(8)]))
            for session in rng.sample(list(books.numbers), 3):
                books.look(session)
                books.change(session)
        for session in books.numbers:
            books.look(session)
        if books.backend.lives:
            books.backend.kill()
        books.start()
        for session in books.numbers:
            books.look(session)
    finally:
        books.close()
    sys.stdout.write(f"seed {SEED}: {dict(books.seen)}\n")
    assert books.seen["right"] > 0
