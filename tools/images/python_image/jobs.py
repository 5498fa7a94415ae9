"""Requests on their way through the object memory, and the replies that are remembered."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from protocol.codec import Encoding
from tools.images.python_image.commands import Evaluate, Inspect, MemoryCommand, RestoreWorkspace
from tools.images.python_image.failures import Failure
from tools.images.python_image.wire import RequestId

Outcome = dict[str, object] | Failure
Reply = dict[str, object]  # on the wire but for its `id`, which is another for each asker

KEPT_REPLIES = 1000
KEPT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where a reply goes and how it is written."""

    peer: bytes
    delimited: bool
    encoding: Encoding
    id: RequestId


@dataclass(slots=True)
class Job:
    """One request for the object memory and everyone who waits for its end."""

    number: int
    command: MemoryCommand
    askers: list[Address]
    interrupts_sent: int = 0
    interrupted_at: float = 0.0
    output_sent: int = 0
    unsent_output: list[str] = field(default_factory=list)

    @property
    def is_evaluation(self) -> bool:
        """Whether it runs user code, and may be interrupted."""
        return isinstance(self.command, Evaluate | Inspect | RestoreWorkspace)

    @property
    def request(self) -> str | None:
        """The name under which its reply is remembered."""
        return self.command.request if isinstance(self.command, Evaluate | Inspect) else None


class _Kept(NamedTuple):
    reply: Reply
    size: int


class NamedRequests:
    """What became of the requests that had a name: every open one and the last ended.

    Those are up to 1,000 of up to 64 MiB of JSON together, and always the last one.
    """

    def __init__(self) -> None:
        self._open: dict[str, Job] = {}
        self._replies: OrderedDict[str, _Kept] = OrderedDict()
        self._size = 0

    def open_job(self, request: str) -> Job | None:
        """The job that waits or runs under this name."""
        return self._open.get(request)

    def reply(self, request: str) -> Reply | None:
        """The reply that ended it, as long as it is kept."""
        kept = self._replies.get(request)
        return None if kept is None else kept.reply

    def opened(self, job: Job) -> None:
        """Note a job on its way."""
        if job.request is not None:
            self._open[job.request] = job

    def ended(self, job: Job, reply: Reply) -> None:
        """Keep its reply."""
        if job.request is not None:
            del self._open[job.request]
            kept = self._replies[job.request] = _Kept(reply, len(msgspec.json.encode(reply)))
            self._size += kept.size
            while len(self._replies) > KEPT_REPLIES or (
                self._size > KEPT_BYTES and len(self._replies) > 1
            ):
                self._size -= self._replies.popitem(last=False)[1].size

    def refused(self, job: Job) -> None:
        """Forget a job of which nothing was done, so that it can be asked for again."""
        if job.request is not None:
            del self._open[job.request]
