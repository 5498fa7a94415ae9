"""How much is measured: counts and bounds in seconds."""

from __future__ import annotations

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """Counts are per round and contender; a load ends at `seconds`, whatever it has done."""

    rounds: int
    seconds: float
    alone: int
    """Requests of the client that is alone."""
    together: int
    """Requests of all clients together."""
    clients: int = 50
    durable_alone: int
    durable_together: int
    evaluations: int
    few_sessions: int = 200
    many_sessions: int = 5000
    start_sessions: int = 10_000
    live_sessions: int
    steady: int
    """Requests of the client with a steady pace, in each of its two runs."""
    creations: int
    restorations: int
    snapshots: int
    """The most snapshots and restores of one workspace in a round."""
    snapshot_objects: tuple[int, ...] = (10, 1000, 100_000)
    workspace_objects: int = 1000
    images: int = 20
    image_sessions: int = 1000
    file_evaluations: int
    """Evaluations in the history of a session that is exported."""


FULL = Scale(
    rounds=5,
    seconds=10.0,
    alone=2000,
    together=10_000,
    durable_alone=400,
    durable_together=4000,
    evaluations=200,
    live_sessions=2000,
    steady=1000,
    creations=50,
    restorations=15,
    snapshots=50,
    file_evaluations=500,
)

QUICK = Scale(
    rounds=2,
    seconds=2.0,
    alone=500,
    together=2000,
    durable_alone=100,
    durable_together=1000,
    evaluations=50,
    live_sessions=500,
    steady=300,
    creations=20,
    restorations=5,
    snapshots=10,
    file_evaluations=100,
)
