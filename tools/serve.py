"""`stui serve`: one backend in this process, from its ready line to its exit code.

Exit codes (tools/exit_codes.py has all): 0 after SIGTERM or SIGINT; 2 when it cannot start, 74 when
only the disk keeps it from that; 70 when the tree of actors gave up; 71 when an actor hung or the
backend did not stop in time, then at once and without clean-up. SIGHUP has the settings read again.
A service manager that asks for it in the environment is told of all this (tools/notify.py).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog
import zmq

from actors.backend import Backend, CannotStart, Ending
from actors.gateway.front_door import CannotBind
from actors.outside.log_ids import with_ids
from actors.settings import Settings
from storage.store import CannotOpen, StoreError
from tools.config import BadSettings, find_config, images_from, load_settings
from tools.exit_codes import ExitCode
from tools.heart import Heart, Herald
from tools.logs import LogFormat, log_to_stderr
from tools.notify import Notifier
from tools.reloading import Reloading
from tools.starting import code_for, start_patiently

log = structlog.get_logger(__name__)

_STOP_WITHIN: Final = 4.8
"""Seconds; whoever asked for the stop is promised 5."""
_LAST_WORDS: Final = 0.2
"""Seconds for the log."""
_SPEAKABLE: Final = (OSError, sqlite3.Error, zmq.ZMQError, StoreError, CannotBind)
"""Errors whose texts have nothing in them that a user has typed."""

_ENDINGS: Final = {
    Ending.STOPPED: ExitCode.DONE,
    Ending.GAVE_UP: ExitCode.GAVE_UP,
    Ending.HUNG: ExitCode.HUNG,
}


def serve(
    config_flag: Path | None,
    flags: Mapping[str, Any],
    log_format: LogFormat,
    log_level: str,
    images: Sequence[str] = (),
) -> ExitCode:
    """Run a backend until a signal or its own end, and give the process's exit code.

    FLAGS are settings, IMAGES are as `--image` names them.

    Prints `stui: ready on ENDPOINT` on standard output when requests are served; several endpoints
    are separated by a comma and a space. Must run in the main thread, once in a process: it leaves
    its signal handlers and its logging behind.
    """
    log_to_stderr(
        log_format,
        log_level,
        expected=(CannotBind, CannotOpen),
        speakable=_SPEAKABLE,
        more=(with_ids,),
    )
    notifier = Notifier.from_environment(os.environ)
    environment = dict(os.environ)
    try:
        config = find_config(config_flag, environment)
        given = {**flags, "images": images_from(images, "--image") or None}

        def load() -> Settings:
            return load_settings(config, environment, given)

        backend = Backend(load(), config, load)
    except (BadSettings, OSError) as problem:
        return _complain(str(problem), ExitCode.CANNOT_START, log_format)

    def status() -> str:
        return backend.condition.summary()

    reloading = Reloading(backend.reload, notifier, status)
    signals = _Signals(backend.request_stop, reloading.ask)
    signals.catch()
    try:
        start_patiently(backend.start, lambda: signals.stopping)
    except CannotStart as problem:
        if signals.stopping:
            return ExitCode.DONE
        return _complain(str(problem), code_for(problem), log_format)
    with suppress(OSError):  # nobody may read it, or the disk of a file may be full
        print(f"stui: ready on {', '.join(backend.endpoints)}", flush=True)
    log.info("ready", endpoints=backend.endpoints, metrics=backend.metrics_address)
    heart = Heart(notifier, backend.condition.ailment)
    herald = Herald(notifier, backend.condition.ailment, status)
    notifier.ready(status())
    heart.begin()
    herald.begin()
    reloading.start()
    backend.wait()
    _watch_the_stop()
    for teller in (heart, herald, reloading):
        teller.end()
    notifier.stopping("Stopping: finishes what is under way")
    ending = backend.stop()
    log.info("ended", how=ending.value)
    if ending is Ending.HUNG:
        _leave(ExitCode.HUNG)  # a thread that hangs cannot be joined
    return _ENDINGS[ending]


class _Signals:
    """Carries signals to a thread, where what they ask for may take locks.

    Python's own handler in C writes the signal's number to a socket, whichever thread it hits; the
    handlers in Python have nothing to do.
    """

    def __init__(self, stop: Callable[[], object], reload: Callable[[], object]) -> None:
        self._stop, self._reload = stop, reload
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)  # noqa: FBT003 - takes no keyword
        self.stopping = False

    def catch(self) -> None:
        """From now on signals do what they mean."""
        threading.Thread(target=self._follow, name="signals", daemon=True).start()
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if number := getattr(signal, name, None):
                signal.signal(number, lambda *_: None)

    def _follow(self) -> None:
        while True:
            for number in self._reader.recv(64):
                if number in {signal.SIGTERM, signal.SIGINT}:
                    self.stopping = True
                    self._stop()  # before the log, which may be stuck
                    log.info("signal", name=signal.Signals(number).name)
                else:
                    self._reload()


def _watch_the_stop() -> None:
    """End the process when it does not end by itself, at the latest in its last moments."""

    def leave() -> None:
        log.critical("did_not_stop_in_time", seconds=_STOP_WITHIN)
        _leave(ExitCode.HUNG)

    # The last one asks nobody: the log may be stuck, too.
    for watch in (
        threading.Timer(_STOP_WITHIN, leave),
        threading.Timer(_STOP_WITHIN + _LAST_WORDS, os._exit, (ExitCode.HUNG,)),
    ):
        watch.daemon = True
        watch.start()


def _leave(code: ExitCode) -> NoReturn:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _complain(message: str, code: ExitCode, log_format: LogFormat) -> ExitCode:
    """Say why it cannot start: to people as any command does, to programs in the log's form."""
    line = " ".join(message.split())
    if log_format == "json":
        log.critical("cannot_start", reason=line)
    else:
        print(f"stui: {line}", file=sys.stderr)
    return code
