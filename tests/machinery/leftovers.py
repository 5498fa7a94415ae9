"""What must not be left over when the service has stopped."""

from __future__ import annotations

import threading

from zmq.utils.garbage import GarbageCollectorThread


def threads() -> set[threading.Thread]:
    """All threads of ours.

    pyzmq keeps one that it starts at the first large message, pytest-timeout has one for each test.
    """
    return {
        thread
        for thread in threading.enumerate()
        if not isinstance(thread, GarbageCollectorThread)
        and not thread.name.startswith("pytest_timeout")
    }
