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
    code: str = "1+1"
    """What is evaluated."""
    expected: str = '"success"'
    """What is in every good reply."""
    noted: str = '"success"'
    """The replies with this in them are counted."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a load went. Times of replies are seconds; `rate` is replies a second.

    `busy` is how much of a core the load program itself used: near 1 it is the bottleneck.
    `noted` is the share of the replies that had in them what was to be counted.
    """

    replies: int
    rate: float
    p50: float
    p99: float
    worst: float
    busy: float
    noted: float
