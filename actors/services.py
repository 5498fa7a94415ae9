"""What every actor may use of the others: addresses, published values, time, threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import zmq

from actors.address import Address
from actors.aside import shared_threads
from actors.clocks import Clocks
from actors.disk.disk_state import DiskState
from actors.dispatcher import Dispatcher
from actors.images.image_table import ImageTable
from actors.outside.counting import Counting
from actors.published import Published
from actors.settings import Settings
from actors.timer import Timer
from storage.store import Store, StoreError


@dataclass(frozen=True, slots=True)
class Services:
    """Made once by the composition root and given to every actor."""

    settings: Published[Settings]
    clocks: Clocks
    timer: Timer
    dispatcher: Dispatcher
    context: zmq.Context[zmq.Socket[bytes]]
    store: Published[Store | None] = field(default_factory=lambda: Published(None))
    disk: DiskState = field(default_factory=DiskState)
    counting: Counting = field(default_factory=Counting)
    aside: ThreadPoolExecutor = field(default_factory=shared_threads)
    image_table: Published[ImageTable] = field(default_factory=lambda: Published(ImageTable()))
    writer: Address = field(default_factory=lambda: Address("writer"))
    images: Address = field(default_factory=lambda: Address("images"))
    sessions: Address = field(default_factory=lambda: Address("sessions"))
    transcoder: Address = field(default_factory=lambda: Address("transcoder"))
    gateway: Address = field(default_factory=lambda: Address("gateway"))
    janitor: Address = field(default_factory=lambda: Address("janitor"))
    backup_keeper: Address = field(default_factory=lambda: Address("backup_keeper"))
    config_watcher: Address = field(default_factory=lambda: Address("config_watcher"))

    def reader(self) -> Store:
        """The store, for reading; raises `StoreError` while the writer is opening it afresh.

        While it reads, the thread that does counts as waiting for the disk.
        """
        store = self.store.current
        if store is None:
            raise StoreError("it is being opened afresh")
        return self.disk.reader(store)
