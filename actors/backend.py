"""The composition root: makes what the actors share, starts them in order, stops them in reverse.

Start and stop can be read here in a minute. The process around it (tools/serve.py) has a supervisor
of its own: when the tree gives up, the process ends with `Ending.GAVE_UP` and everything that was
acknowledged is in the store.
"""

from __future__ import annotations

import enum
import gc
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pykka
import structlog
import zmq

from actors.cleanup.janitor import Janitor
from actors.clocks import Clocks
from actors.directory.session_directory import SessionDirectory
from actors.disk.backup_keeper import BackupKeeper, backup_directory
from actors.disk.storage_writer import StorageWriter
from actors.dispatcher import Dispatcher
from actors.gateway.front_door import CannotBind, FrontDoor
from actors.gateway.gateway import Drain, Gateway
from actors.gateway.transcoder import Transcoder
from actors.images.image_directory import ImageDirectory
from actors.images.image_table import ImageTable
from actors.messages import SaveAll
from actors.outside.condition import Condition
from actors.outside.counting import Counting
from actors.outside.metrics import Metrics
from actors.outside.metrics_at_a_glance import AtAGlance
from actors.outside.outside_view import CannotListen, OutsideView
from actors.published import Published
from actors.services import Services
from actors.settings import Settings
from actors.supervised import threads_below
from actors.supervisor import ChildSpec, GivenUp, Supervisor
from actors.timer import Timer
from actors.vital_signs import VitalSigns
from actors.watching.config_watcher import ConfigWatcher, LoadSettings, Reload
from storage.data_directory import DataDirectory
from storage.disk_trouble import DiskTrouble
from storage.document import ImageRecord
from storage.open_data import MustStartAnew, open_data, reopen_data
from storage.session_file import SessionFiles
from storage.sqlite_store import SqliteStore
from storage.store import CannotOpen, Damaged, StoreError

log = structlog.get_logger(__name__)

_DRAIN_WITHIN: Final = 1.0
_SAVE_WITHIN: Final = 1.5
_STOP_WITHIN: Final = 3.0
_SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that computes lets another one run: cuts waits from tens of
milliseconds to a few where somebody burns CPU in the process."""

_NO_USE_AGAIN: Final = (CannotBind, CannotOpen)
"""What an actor ends of that would end its successors, too."""


class CannotStart(Exception):
    """The backend cannot start; the message says why and what to do."""


class CannotStartYet(CannotStart):
    """The disk does not let it start, which may pass: the same backend may be started again."""


class Ending(enum.Enum):
    """Why a backend ended."""

    STOPPED = "stopped"
    GAVE_UP = "gave up"
    HUNG = "hung"


class Backend:
    """One running service on one data directory.

    `start` returns when requests are served; `wait` when the service is to end; `stop` ends it.
    Raises `CannotStart` from `start`. All from one thread, except `request_stop` and `reload`,
    which any thread and a signal handler may call.
    """

    def __init__(self, settings: Settings, config: Path | None, load: LoadSettings) -> None:
        self._settings, self._config, self._load = settings, config, load
        self._ended = threading.Event()
        self._ending = Ending.STOPPED
        self._given_up: GivenUp | None = None

    @property
    def endpoints(self) -> list[str]:
        """Where clients reach the service."""
        return self._door.endpoints

    @property
    def condition(self) -> Condition:
        """How the service is; once it was started."""
        return self._condition

    @property
    def metrics_address(self) -> str:
        """Where metrics and health are told; empty where they are not."""
        return self._outside.address if self._outside else ""

    def start(self) -> None:
        """Open the store, start the tree, bind."""
        sys.setswitchinterval(_SWITCH_INTERVAL)
        store, ran, images = self._open_data()
        self._outside = self._listen(store)
        metrics = Metrics() if self._outside else None
        self._clocks = Clocks(ran)
        self._timer = Timer()
        self._timer.start()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context.max_sockets = 8192
        self._services = Services(
            settings=Published(self._settings),
            clocks=self._clocks,
            timer=self._timer,
            dispatcher=Dispatcher(self._settings.session_threads),
            context=self._context,
            store=Published(store),
            counting=metrics or Counting(),
        )
        # Before any session asks how something ended in an image that is not connected yet.
        self._services.image_table.publish(ImageTable.known(images, ran))
        self._door = FrontDoor(self._context)
        look_every = self._settings.hang_after / 6
        signs = VitalSigns(look_every)
        self._condition = Condition(self._services, self._door, signs)
        if metrics and self._outside:
            database = self._directory.database
            metrics.registry.register(
                AtAGlance(metrics, self._services, self._door, self._condition, database)
            )
            self._outside.begin(metrics.registry, self._condition)
        self._tree = Supervisor.start(
            self._specs(),
            self._timer,
            give_up=self._give_up,
            turns=self._services.dispatcher.turns,
            disk=self._services.disk,
            look_every=look_every,
            hang_after=self._settings.hang_after,
            signs=signs,
            counting=self._services.counting,
        )
        while not self._door.ready.wait(0.05):
            if self._ended.is_set():
                self.stop()
                raise CannotStart(_reason(self._given_up))
        gc.freeze()  # what is there now stays: the collector need not look at it again

    def wait(self) -> None:
        """Wait until the service is to end."""
        self._ended.wait()

    def request_stop(self) -> None:
        """Have `wait` return."""
        self._ended.set()

    def reload(self, done: Callable[[], object] = lambda: None) -> None:
        """Read the settings again, then call DONE in another thread, unless that one dies of it."""
        if not self._services.config_watcher.tell(Reload(done)):
            done()  # it is being started, and begins with reading them

    def stop(self) -> Ending:
        """Finish what is under way, flush, release everything, within about 5 seconds.

        What a part may use that has not ended by then is left to the end of the process: sockets,
        and the lock of the data directory. Where a part hangs, none is told to end.
        """
        self._condition.draining = True
        if self._ending is not Ending.HUNG:
            self._door.draining = True
            if self._services.gateway.tell(Drain()):
                self._door.drained.wait(_DRAIN_WITHIN)
            saved = threading.Event()
            if self._services.sessions.tell(SaveAll(saved)):
                saved.wait(_SAVE_WITHIN)
            try:
                self._tree.stop(timeout=_STOP_WITHIN)
            except pykka.Timeout:
                log.warning("tree_did_not_stop_in_time")
        if self._outside:
            self._outside.close()
        self._timer.stop()
        self._services.aside.shutdown(wait=False, cancel_futures=True)
        if self._everybody_ended():
            self._door.close()
            self._context.destroy(linger=0)
            self._directory.close()
        return self._ending

    def _everybody_ended(self) -> bool:
        """Whether no thread uses anything of the backend any more, or does so in a moment."""
        deadline = time.monotonic() + _DRAIN_WITHIN
        busy = [] if self._services.dispatcher.stop(_DRAIN_WITHIN) else ["sessions"]
        for thread in threads_below(self._tree.actor_urn):
            thread.join(0 if self._ending is Ending.HUNG else max(0, deadline - time.monotonic()))
            if thread.is_alive():
                busy.append(thread.name)
        if busy:
            log.warning("not_all_has_ended", threads=busy)
        return not busy

    def _specs(self) -> tuple[ChildSpec, ...]:
        """The tree, from the top to the bottom; each needs those above it."""
        services = self._services
        files = SessionFiles(self._directory.sessions)
        return (
            ChildSpec(
                services.writer,
                lambda parent: StorageWriter.start(parent, services, self._open_store, files),
                shutdown=3.0,
                fatal=(MustStartAnew,),
            ),
            ChildSpec(services.images, lambda parent: ImageDirectory.start(parent, services)),
            ChildSpec(
                services.sessions,
                lambda parent: SessionDirectory.start(parent, services),
                shutdown=2.0,
            ),
            ChildSpec(services.transcoder, lambda parent: Transcoder.start(parent, services)),
            ChildSpec(
                services.gateway,
                lambda parent: Gateway.start(parent, services, self._door),
                fatal=(CannotBind,),
            ),
            ChildSpec(services.janitor, lambda parent: Janitor.start(parent, services)),
            ChildSpec(services.backup_keeper, lambda parent: BackupKeeper.start(parent, services)),
            ChildSpec(
                services.config_watcher,
                lambda parent: ConfigWatcher.start(parent, services, self._config, self._load),
            ),
        )

    def _open_data(self) -> tuple[SqliteStore, float, list[ImageRecord]]:
        """The store, how long services ran on it before, and the images that it knows."""
        try:
            self._directory = DataDirectory(self._settings.data_dir)
        except CannotOpen as problem:
            raise _cannot_start(problem) from None
        with ExitStack() as opened:
            opened.callback(self._directory.close)
            try:
                backups = backup_directory(self._settings)
                store = open_data(self._directory.paths, backups, self._running_time).store
                opened.callback(store.close)
                data = store, store.running_time(), store.images()
            except StoreError as problem:
                raise _cannot_start(problem) from None
            opened.pop_all()
            return data

    def _listen(self, store: SqliteStore) -> OutsideView | None:
        """Take the port for metrics where one is wanted; a store that was opened in vain closes."""
        try:
            return OutsideView(self._settings.metrics) if self._settings.metrics else None
        except CannotListen as problem:
            store.close()
            self._directory.close()
            raise CannotStart(str(problem)) from None

    def _open_store(self) -> SqliteStore:
        """The store once more, for a writer that follows one that died."""
        return reopen_data(self._directory.paths, self._running_time)

    def _running_time(self) -> float:
        """For the store, which is open before the clocks know how long services ran before."""
        return self._clocks.running_time()

    def _give_up(self, given_up: GivenUp) -> None:
        """Called by the supervisor's thread."""
        self._given_up = given_up
        self._ending = Ending.HUNG if given_up.hung else Ending.GAVE_UP
        self._ended.set()  # before the log, which may be stuck
        reason = _problem(given_up)
        log.critical("giving_up", actor=given_up.child, reason=reason, cause=repr(given_up.cause))


def _cannot_start(problem: StoreError) -> CannotStart:
    passes = isinstance(problem, DiskTrouble) or not isinstance(problem, (CannotOpen, Damaged))
    return CannotStartYet(str(problem)) if passes else CannotStart(str(problem))


def _reason(given_up: GivenUp | None) -> str:
    if given_up is None:
        return "The backend was stopped while it started."
    if isinstance(given_up.cause, _NO_USE_AGAIN):
        return str(given_up.cause)
    cause = "" if given_up.hung else f": {given_up.cause!r}"
    return f"The actor {given_up.child} {_problem(given_up)}{cause}."


def _problem(given_up: GivenUp) -> str:
    if given_up.stalled:
        return "waits for a disk that does not answer"
    if isinstance(given_up.cause, _NO_USE_AGAIN):
        return "cannot start"
    return "does not answer" if given_up.hung else "keeps dying"
