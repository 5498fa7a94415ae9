"""What a session tells those who have subscribed to it, numbered and in order.

Events that tell of a durable change are stored with it and told when it is on disk; others, such
as output, are told at once, but never before an earlier one that still is on its way to the disk.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import UNSET

from actors.messages import Connection, Publish, SubscribedTo
from actors.services import Services
from actors.session.session_state import Step, telling
from protocol.events import EVENTS_LOST, Event
from protocol.ids import ImageId, SessionId
from protocol.limits import EVENTS_KEPT
from protocol.replies import timestamp
from protocol.requests import Subscribe
from storage.document import StoredEvent
from storage.store import Damaged, Store

_INCARNATION_BITS: Final = 20
_RECENT: Final = 512
_RECENT_CHARACTERS: Final = 256 * 1024
_TRIM_EVERY: Final = 64
_TEXT_CHARACTERS: Final = 200
_MISSED_MOST: Final = EVENTS_KEPT + 2 * _TRIM_EVERY


@dataclass(slots=True)
class _Queued:
    """An event that waits for its turn; `told` is false while its change is not durable."""

    event: Event
    durable: bool


class SessionEvents:
    """The events of one session; owned and run by its actor.

    Numbers begin anew with each fence, above all of the fences before, so that they never go
    backwards although nothing is stored for those that are only told.
    """

    def __init__(self, session_id: SessionId, services: Services) -> None:
        self._session_id, self._services = session_id, services
        self._last = 0
        self._base = 0
        self._stored = 0
        self._queue: deque[_Queued] = deque()
        self._recent: deque[Event] = deque()
        self._recent_characters = 0
        self._recent_from = 0
        self.audience: frozenset[Connection] = frozenset()
        """The connections that are attached to the session."""

    @property
    def last_seq(self) -> int:
        """The number of the last event that was told; those that wait for the disk come after."""
        return self._queue[0].event.seq - 1 if self._queue else self._last

    def opened(self, fence: int) -> None:
        """The session is this actor's, with this fence."""
        self._base = fence << _INCARNATION_BITS
        if self._last == 0:
            self._recent_from = self._base
        self._last = max(self._last, self._base)

    @property
    def is_running_out(self) -> bool:
        """Whether half of the numbers of this fence are used up: time for another fence."""
        return self._last - self._base > 1 << (_INCARNATION_BITS - 1)

    # --- events that are stored

    def stored(self, name: str, /, image_id: ImageId | None = None, **data: Any) -> StoredEvent:
        """An event to be stored with a change; it is told when that is durable."""
        event = StoredEvent(
            seq=self._next(),
            event=name,
            data=_shortened(data),
            at=self._services.clocks.wall(),
            image_id=image_id,
        )
        self._queue.append(_Queued(self._sent_form(event), durable=False))
        self._stored += 1
        return event

    def recorded(
        self, name: str, step: Step, /, image_id: ImageId | None = None, **data: Any
    ) -> Step:
        """The step, with an event that tells of it and is stored with it."""
        return telling(step, [self.stored(name, image_id, **data)], self.keep())

    def keep(self) -> int | None:
        """How many stored events are to stay, now and then; None for all of them."""
        return EVENTS_KEPT if self._stored % _TRIM_EVERY == 1 else None

    def durable(self, events: Iterable[StoredEvent]) -> None:
        """A change is durable: tell what tells of it."""
        numbers = {event.seq for event in events}
        if numbers:
            for queued in self._queue:
                if queued.event.seq in numbers:
                    queued.durable = True
            self._tell()

    def undone(self, events: Iterable[StoredEvent]) -> None:
        """A change was refused: nothing has happened."""
        numbers = {event.seq for event in events}
        if numbers:
            self._queue = deque(queued for queued in self._queue if queued.event.seq not in numbers)
            self._tell()

    # --- events that are only told

    def tell(self, name: str, /, image_id: ImageId | None = None, **data: Any) -> None:
        """Tell an event that is not stored."""
        self._queue.append(_Queued(self.passing(name, image_id, **data), durable=True))
        self._tell()

    def passing(self, name: str, /, image_id: ImageId | None = None, **data: Any) -> Event:
        """An event of this session with the next number."""
        return Event(
            event=name,
            seq=self._next(),
            session_id=self._session_id,
            image_id=UNSET if image_id is None else image_id,
            data=data,
            timestamp=timestamp(self._services.clocks.wall()),
        )

    # --- those who come back

    def subscribed(self, key: int, request: Subscribe, store: Store) -> SubscribedTo:
        """The answer to a subscription: with `since`, what was missed."""
        missed = () if request.since is None else self.missed(request.since, store)
        wanted = {*request.topics, EVENTS_LOST}
        return SubscribedTo(
            key, self._session_id, tuple(e for e in missed if e.topic in wanted), self.last_seq
        )

    def missed(self, since: int, store: Store) -> tuple[Event, ...]:
        """What has been told after number SINCE, or that it is lost. Raises `StoreError`.

        What was only told is kept while the session is in memory, and not for long; what is stored
        is there across restarts.
        """
        if since > self._last:  # of a life of the service that was not this one
            return (self._lost(self._last, ()),)
        if since >= self._recent_from:
            return tuple(event for event in self._recent if event.seq > since)
        try:
            first = store.first_event(self._session_id)
            stored = store.events(self._session_id, since, _MISSED_MOST)
            # Numbers have gaps: only of those before the oldest that is kept is it known that they
            # are lost, and only where some have been dropped.
            is_lost = first is not None and since < first and len(stored) >= EVENTS_KEPT
        except Damaged:
            after = self._last_damaged(since, store)
            stored = store.events(self._session_id, after, _MISSED_MOST)
            is_lost = after > since
        untold = {queued.event.seq for queued in self._queue}
        told = {event.seq: event for event in self._recent if event.seq > since}
        told |= {e.seq: self._sent_form(e) for e in stored if e.seq not in untold}
        missed = [told[seq] for seq in sorted(told)]
        return (self._lost(since, missed), *missed) if is_lost else tuple(missed)

    # --- inside

    def _lost(self, since: int, kept: Sequence[Event]) -> Event:
        """What tells that of the events after SINCE no more than those KEPT are there."""
        first_kept = kept[0].seq if kept else self.last_seq + 1
        lost = StoredEvent(
            seq=since,
            event=EVENTS_LOST,
            data={"first_kept": first_kept},
            at=self._services.clocks.wall(),
        )
        return self._sent_form(lost)

    def _last_damaged(self, since: int, store: Store) -> int:
        """The number of the last event after SINCE that cannot be read; SINCE where all can be."""

        def can_be_read(after: int) -> bool:
            try:
                store.events(self._session_id, after, _MISSED_MOST)
            except Damaged:
                return False
            return True

        numbers = range(since, self._last)
        return since + bisect_left(numbers, True, key=can_be_read)  # noqa: FBT003

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _sent_form(self, event: StoredEvent) -> Event:
        return Event(
            event=event.event,
            seq=event.seq,
            session_id=self._session_id,
            image_id=UNSET if event.image_id is None else event.image_id,
            data=event.data,
            timestamp=timestamp(event.at),
        )

    def _tell(self) -> None:
        told = []
        while self._queue and self._queue[0].durable:
            told.append(self._queue.popleft().event)
        if not told:
            return
        for event in told:
            self._remember(event)
        publish = Publish(self._session_id, tuple(told), self.audience)
        self._services.gateway.tell(publish)

    def _remember(self, event: Event) -> None:
        self._recent.append(event)
        self._recent_characters += _length(event.data)
        while len(self._recent) > _RECENT or self._recent_characters > _RECENT_CHARACTERS:
            forgotten = self._recent.popleft()
            self._recent_characters -= _length(forgotten.data)
            self._recent_from = forgotten.seq


def _length(data: Mapping[str, Any]) -> int:
    return sum(len(value) for value in data.values() if isinstance(value, str))


def _shortened(data: dict[str, Any]) -> dict[str, Any]:
    """Texts in stored events are for a glance; the history has the whole."""
    return {
        name: value[:_TEXT_CHARACTERS] if isinstance(value, str) else value
        for name, value in data.items()
        if value is not None
    }
