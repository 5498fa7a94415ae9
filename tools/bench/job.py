"""What the load program is told and what it answers, each as one line of JSON."""

from __future__ import annotations

import msgspec

from tools.bench.bodies import Kind


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A load. Clients take the sessions in turn; times are seconds."""

    endpoint: str
    kind: Kind
    sessions: list[str]
    clients: int = 1
    requests: int
    seconds: float
    """The load ends after so long even if it has done less."""
    warm_up: float = 0.1
    """This share of the requests is made before, and not counted."""
    interval: float = 0.0
    """Between the beginnings of two requests of a client that is alone; 0: none."""
    size: int = 0
    """Bytes of an update's state."""
    expected: str = '"success"'
    """What is in every good reply."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a load went. Times of replies are seconds; `rate` is replies a second.

    `busy` is how much of a core the load program itself used: near 1 it is the bottleneck.
    """

    replies: int
    rate: float
    p50: float
    p99: float
    worst: float
    busy: float
