"""What the actors count, in Prometheus' terms.

Label values come from small fixed sets: commands, error codes, names of actors. No client, session,
image or address is in them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from actors.address import Ref
from actors.messages import Committed, Created, StoreCommit
from actors.outside.counting import UNKNOWN, Counting
from actors.outside.metric_cells import MESSAGES, SECONDS, Distribution
from protocol.errors import BY_CODE
from protocol.replies import EvaluationState

OK: Final = "ok"
DROPPED: Final = "dropped"
"""Stands for the outcome of a request whose reply nobody took."""


class Metrics(Counting):
    """Counts, and keeps what was counted over the restarts of those who count."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.refs: dict[str, Ref] = {}
        """The actors of the tree by name, as of their last start."""
        self.in_memory = 0
        """Sessions that have an actor."""
        self.requests: dict[tuple[str, str], Distribution] = {}
        """How long requests took, by command and outcome."""
        self.batches, self.flushes = Distribution(MESSAGES), Distribution(SECONDS)
        self._dropped = self._counter("replies_dropped", "Replies that nobody took")
        self._commits = self._counter("commits", "Durable changes of sessions")
        self._refused = self._counter("writes_refused", "Batches that the disk did not take")
        self._evaluations = self._counter("evaluations", "Evaluations that ended", "state")
        self._snapshots = self._counter("snapshots", "Snapshots of workspaces that were stored")
        self._restarts = self._counter("actor_restarts", "Restarts after a bug", "actor")
        self._not_taken = self._counter("snapshots_failed", "Snapshots not taken", "reason")
        for state in get_args(EvaluationState):
            if state != "running":
                self._evaluations.labels(state)  # so that it is there before it is needed
        self.registry.register(_Cells(self))
        ProcessCollector(registry=self.registry)

    def now(self) -> float:
        """A moment of the performance counter."""
        return time.perf_counter()

    def replied(self, command: str, outcome: str, since: float) -> None:
        """A request was answered."""
        cell = self.requests.get((command, outcome))
        if cell is None:
            if outcome not in {OK, DROPPED} and outcome not in BY_CODE:
                outcome = UNKNOWN
            cell = self.requests.setdefault((command, outcome), Distribution(SECONDS))
        cell.add(time.perf_counter() - since)

    def reply_dropped(self) -> None:
        """A reply found nobody who takes it."""
        self._dropped.inc()

    def wrote(self, batch: Sequence[Any], answers: Sequence[Any], flushing: float) -> None:
        """A batch is durable; what was refused in it is not counted, it comes again."""
        self.flushes.add(time.perf_counter() - flushing)
        if not batch:
            return
        self.batches.add(len(batch))
        done = {
            (ref.actor_urn, answer.token)
            for ref, answer in answers
            if isinstance(answer, (Committed, Created))
        }
        self._commits.inc(len(done))
        for message in batch:
            if (
                isinstance(message, StoreCommit)
                and (message.reply_to.actor_urn, message.token) in done
            ):
                self._committed(message)

    def write_refused(self) -> None:
        """A batch was not written."""
        self._refused.inc()

    def began(self, name: str, ref: Ref) -> None:
        """An actor of the tree was started."""
        self.refs[name] = ref
        self._restarts.labels(name)

    def restarted(self, name: str) -> None:
        """An actor of the tree is there again after its death."""
        self._restarts.labels(name).inc()

    def session_died(self) -> None:
        """A session's actor was ended by a bug; it is opened again when it is asked for."""
        self._restarts.labels("session").inc()

    def sessions_in_memory(self, count: int) -> None:
        """So many sessions have an actor."""
        self.in_memory = count

    def snapshot_failed(self, reason: str) -> None:
        """A snapshot was not taken."""
        self._not_taken.labels(reason if reason in BY_CODE else UNKNOWN).inc()

    def image_connection_died(self) -> None:
        """An image's actor was ended by a bug."""
        self._restarts.labels("image_connection").inc()

    def _committed(self, message: StoreCommit) -> None:
        change = message.commit.change
        if change.evaluation is not None and change.evaluation.state != "running":
            self._evaluations.labels(change.evaluation.state).inc()
        if any(context.head.kind == "automatic" for context in change.contexts):
            self._snapshots.inc()

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, f"{what}.", labels, namespace="stui", registry=self.registry)


class _Cells(Collector):
    """Shows the cells to Prometheus."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Everything as of now; any thread."""
        # Copying a dict of strings is one step for the other threads; walking over it is not.
        cells = self._metrics.requests.copy()
        counts = CounterMetricFamily(
            "stui_requests",
            "Requests answered, by command and outcome: ok or an error code.",
            labels=["command", "outcome"],
        )
        for (command, outcome), cell in cells.items():
            counts.add_metric([command, outcome], cell.count)
        yield counts
        times = HistogramMetricFamily(
            "stui_request_seconds",
            "Seconds from a request's arrival to its reply, by command.",
            labels=["command"],
        )
        for command in sorted({command for command, _ in cells}):
            cell = Distribution.merged([one for (name, _), one in cells.items() if name == command])
            times.add_metric([command], cell.buckets(), cell.total)
        yield times
        yield _histogram(
            "stui_batch_messages", "Writes that share one transaction.", self._metrics.batches
        )
        yield _histogram(
            "stui_flush_seconds", "Seconds until a transaction is on disk.", self._metrics.flushes
        )


def _histogram(name: str, what: str, cell: Distribution) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, what, buckets=cell.buckets(), sum_value=cell.total)
