"""The root of the tree: starts the service's actors, keeps them running, stops them.

Restarts are one for one with backoff. A child that dies more often than the restart intensity
allows within the period is given up, and so is the process: it has a supervisor of its own, and the
store has everything. Source of the terms: Erlang/OTP design principles, "Supervisor Behaviour".
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

import pykka
import structlog

from actors.address import Address, Ref, post
from actors.disk.disk_state import DiskState
from actors.dispatcher import Turn
from actors.messages import Restarted
from actors.outside.counting import Counting
from actors.supervised import AreYouThere, Ended, HereIAm, thread_of
from actors.timer import Timer
from actors.vital_signs import DISK_MAY_TAKE, Silence, VitalSigns

log = structlog.get_logger(__name__)

_BACKOFF_FIRST: Final = 0.02
_BACKOFF_MOST: Final = 2.0


@dataclass(frozen=True, slots=True)
class Intensity:
    """How many restarts of one child within how many seconds are borne."""

    restarts: int = 5
    period: float = 30.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How a child is started and stopped.

    `start` gets the supervisor's reference. `shutdown` is how many seconds the child has to finish.
    Of an error that is `fatal` no restart will help.
    """

    address: Address
    start: Callable[[Ref], Ref]
    shutdown: float = 1.0
    fatal: tuple[type[BaseException], ...] = ()


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Why the process must end: a child that keeps dying, or one that hangs.

    `stalled` is whether what hangs is the disk that the child waits for.
    """

    child: str
    cause: BaseException | None
    hung: bool = False
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Asks the supervisor to look after an actor that another one started, while that lives."""

    ref: Ref
    name: str


@dataclass(frozen=True, slots=True)
class _StartAgain:
    child: str


@dataclass(frozen=True, slots=True)
class _Look:
    pass


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    ref: Ref
    deaths: deque[float] = field(default_factory=deque)


@dataclass(slots=True)
class _Watched:
    ref: Ref
    name: str
    silence: Silence = field(default_factory=Silence)
    asked: bool = False


class Supervisor(pykka.ThreadingActor):
    """Starts children in order, restarts one for one, stops in reverse order.

    `give_up` is called once at the most, by this actor's thread. `monotonic` is the clock, in
    seconds, by which deaths are counted and silence is measured.
    """

    def __init__(
        self,
        specs: tuple[ChildSpec, ...],
        timer: Timer,
        *,
        give_up: Callable[[GivenUp], None],
        turns: Callable[[], list[Turn]],
        disk: DiskState,
        intensity: Intensity = Intensity(),
        look_every: float = 5.0,
        hang_after: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
        signs: VitalSigns | None = None,
        counting: Counting | None = None,
    ) -> None:
        super().__init__()
        self._signs, self._counting = signs or VitalSigns(look_every), counting or Counting()
        self._specs, self._timer, self._report, self._now = specs, timer, give_up, monotonic
        self._turns, self._disk, self._intensity = turns, disk, intensity
        self._look_every, self._hang_after = look_every, hang_after
        self._children: dict[str, _Child] = {}
        self._watched: dict[str, _Watched] = {}
        self._lasting: dict[Turn, Silence] = {}
        self._looked_at = 0.0
        self._gave_up = False

    def on_start(self) -> None:
        """Start all children; those that were started are stopped where one cannot be."""
        try:
            for spec in self._specs:
                ref = spec.start(self.actor_ref)
                self._children[spec.address.name] = _Child(spec, ref)
                self._begin(spec, ref)
        except Exception as error:
            self._fail(error)
            raise
        self._signs.looked("", 0.0)
        self._timer.after(self._look_every, self._tell_self, _Look())

    def on_receive(self, message: Any) -> None:
        """Do what a message says."""
        match message:
            case Ended(urn, cause):
                self._watched.pop(urn, None)
                for child in self._children.values():
                    if child.ref.actor_urn == urn:  # other ends were told of before
                        self._ended(child, cause)
            case _StartAgain(name):
                self._restart(self._children[name])
            case HereIAm(urn) if urn in self._watched:
                watched = self._watched[urn]
                watched.asked, watched.silence = False, Silence()
            case Watch(ref, name):
                self._watched[ref.actor_urn] = _Watched(ref, name)
            case _Look():
                self._look()

    def on_stop(self) -> None:
        """Stop the children in reverse order."""
        for child in reversed(self._children.values()):
            try:
                child.ref.stop(timeout=child.spec.shutdown)
            except pykka.Timeout:
                log.warning("actor_did_not_stop", actor=child.spec.address.name)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 - pykka's signature
        exception_value: BaseException | None,
        traceback: TracebackType | None,  # noqa: ARG002
    ) -> None:
        """End the process: nobody would restart a child any more."""
        self._fail(exception_value)

    def _fail(self, cause: BaseException | None) -> None:
        self._give_up(GivenUp("supervisor", cause))
        self.on_stop()

    def _give_up(self, given_up: GivenUp) -> None:
        if not self._gave_up:
            self._gave_up = True
            self._report(given_up)

    def _tell_self(self, message: Any) -> None:
        post(self.actor_ref, message)

    def _begin(self, spec: ChildSpec, ref: Ref) -> None:
        spec.address.assign(ref)
        self._watched[ref.actor_urn] = _Watched(ref, spec.address.name)
        self._counting.began(spec.address.name, ref)

    def _ended(self, child: _Child, cause: BaseException | None) -> None:
        name = child.spec.address.name
        now = self._now()
        child.deaths.append(now)
        while child.deaths[0] <= now - self._intensity.period:
            child.deaths.popleft()
        if len(child.deaths) > self._intensity.restarts or isinstance(cause, child.spec.fatal):
            self._give_up(GivenUp(name, cause))
            return
        backoff = min(_BACKOFF_FIRST * 2.0 ** (len(child.deaths) - 1), _BACKOFF_MOST)
        log.error("actor_died", actor=name, cause=repr(cause), restart_in=backoff)
        self._timer.after(backoff, self._tell_self, _StartAgain(name))

    def _restart(self, child: _Child) -> None:
        try:
            child.ref = child.spec.start(self.actor_ref)
        except Exception as error:  # noqa: BLE001 - what it needs may be there again later
            self._ended(child, error)
            return
        self._begin(child.spec, child.ref)
        log.warning("actor_restarted", actor=child.spec.address.name)
        self._counting.restarted(child.spec.address.name)
        for other in self._children.values():
            post(other.ref, Restarted(child.spec.address.name))

    def _look(self) -> None:
        """Note who has not answered since the last look, and ask all again.

        Time counts at most twice the interval a look: while the process is stopped or the machine
        sleeps, no actor could have answered.
        """
        now = self._now()
        passed = min(now - self._looked_at, 2 * self._look_every)
        self._looked_at = now
        self._look_at_actors(passed)
        self._look_at_turns(passed)
        silences = [(watched.name, watched.silence) for watched in self._watched.values()]
        silences.extend((turn.actor, silence) for turn, silence in self._lasting.items())
        for name, silence in silences:
            stalled = silence.waited >= DISK_MAY_TAKE * self._hang_after
            if stalled or silence.own >= self._hang_after:
                self._give_up(GivenUp(name, None, hung=True, stalled=stalled))
        who, longest = max(silences, key=lambda each: each[1].own, default=("", Silence()))
        self._signs.looked(who, longest.own)
        self._timer.after(self._look_every, self._tell_self, _Look())

    def _look_at_actors(self, passed: float) -> None:
        for urn, watched in self._watched.items():
            if watched.asked:
                watched.silence.lasts(passed, self._disk.waits_since(thread_of(urn)))
            watched.asked = post(watched.ref, AreYouThere(self.actor_ref))
        self._watched = {urn: watched for urn, watched in self._watched.items() if watched.asked}

    def _look_at_turns(self, passed: float) -> None:
        """A turn of an actor without a thread counts from the first look that finds it."""
        lasted, self._lasting = self._lasting, {}
        for turn in self._turns():
            if silence := lasted.get(turn):
                silence.lasts(passed, self._disk.waits_since(turn.thread))
            self._lasting[turn] = silence or Silence()
