"""What is looked at when somebody asks, not counted: queues, sessions, images, the disk."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from actors.gateway.front_door import FrontDoor
from actors.outside.condition import Condition
from actors.outside.metrics import Metrics
from actors.services import Services
from protocol.replies import ConnectionStatus

_STATUSES: Final[tuple[ConnectionStatus, ...]] = get_args(ConnectionStatus)


class AtAGlance(Collector):
    """Looks at what its owners have published, without asking or stopping anybody; any thread."""

    def __init__(
        self,
        metrics: Metrics,
        services: Services,
        door: FrontDoor,
        condition: Condition,
        database: Path,
    ) -> None:
        self._metrics, self._services, self._door = metrics, services, door
        self._condition, self._database = condition, database

    def collect(self) -> Iterator[Metric]:
        """Everything as of now."""
        ready = not self._condition.obstacle()
        yield _gauge("ready", "1 while requests are served and changes are stored.", int(ready))
        yield _gauge(
            "disk_wait_seconds",
            "How long the longest wait for the disk has lasted just now.",
            self._condition.disk_wait(),
        )
        yield _gauge("uptime_seconds", "Since the start.", self._services.clocks.uptime())
        yield self._in_flight()
        yield self._events_dropped()
        yield from self._mailboxes()
        yield from self._sessions()
        yield self._images()
        yield from self._storage()

    def _in_flight(self) -> Metric:
        requests = _labelled("requests_in_flight", "Requests under way, by who has them.", "actor")
        having = Counter(owner.partition("/")[0] for owner in self._door.pending.owners())
        for name in {*self._metrics.refs.copy(), *having}:
            requests.add_metric([name], having[name])
        return requests

    def _events_dropped(self) -> Metric:
        return CounterMetricFamily(
            "stui_events_dropped",
            "Events that a subscriber was too slow for.",
            value=self._door.subscriptions.dropped,
        )

    def _mailboxes(self) -> Iterator[Metric]:
        waiting = _labelled("mailbox_messages", "Messages that wait, by actor.", "actor")
        for name, ref in self._metrics.refs.copy().items():
            waiting.add_metric([name], _length(ref.actor_inbox))
        yield waiting
        refs = [image.ref for image in self._services.image_table.current.entries]
        yield _gauge(
            "image_mailbox_messages",
            "Messages that wait for the connections to images.",
            sum(_length(ref.actor_inbox) for ref in refs if ref is not None),
        )

    def _sessions(self) -> Iterator[Metric]:
        sessions = _labelled("sessions", "Stored sessions, by state.", "state")
        for state, count in self._condition.census.sessions().items():
            sessions.add_metric([state], count)
        yield sessions
        yield _gauge(
            "sessions_in_memory",
            "Sessions that have an actor; the others are at rest.",
            self._metrics.in_memory,
        )

    def _images(self) -> Metric:
        images = _labelled("images", "Images, by the status of their connection.", "status")
        count = Counter(image.status for image in self._services.image_table.current.entries)
        for status in _STATUSES:
            images.add_metric([status], count[status])
        return images

    def _storage(self) -> Iterator[Metric]:
        sizes = _labelled("storage_bytes", "What the database and its log take.", "file")
        for name, suffix in (("database", ""), ("log", "-wal")):
            try:
                sizes.add_metric([name], Path(f"{self._database}{suffix}").stat().st_size)
            except OSError:
                sizes.add_metric([name], 0)  # the log comes and goes
        yield sizes
        free = _labelled("storage_free_bytes", "Room on the disk of the data directory.")
        try:
            free.add_metric([], shutil.disk_usage(self._database.parent).free)
        except OSError:
            free.samples.clear()  # the directory was removed: what is not known is not told
        yield free


def _length(mailbox: Any) -> int:
    return int(mailbox.qsize())


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"stui_{name}", what, value=value)


def _labelled(name: str, what: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"stui_{name}", what, labels=labels)
