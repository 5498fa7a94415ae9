"""The events that have come and were not asked for yet, and what is to be subscribed again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET

from protocol.events import EVENTS_LOST, TAKEN_OVER, Event, Topic
from protocol.ids import SessionId
from protocol.replies import timestamp

_HELD: Final = 10_000
"""Events that wait here for `next_event`; then the oldest stay, and the rest is asked for again."""


@dataclass(slots=True)
class Subscription:
    """What is heard of a session, or of all: `since` is the last number that is known.

    It is `over` when the backend does not send to it any more; then it is made again.
    """

    session_id: SessionId | None
    topics: tuple[Topic, ...]
    since: int | None
    heard: int = -1
    over: bool = False


class EventStream:
    """What a client hears, in order and without repetitions. For the client's thread."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._subscriptions: dict[SessionId | None, Subscription] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting or self._subscriptions)

    def begin(
        self, session_id: SessionId | None, topics: Iterable[Topic], since: int | None
    ) -> Subscription:
        """A subscription that is about to be asked for; events may come before its reply."""
        subscription = Subscription(session_id, tuple(topics), since)
        if since is not None:
            subscription.heard = since
        self._subscriptions[session_id] = subscription
        return subscription

    def agreed(self, subscription: Subscription, last: int) -> None:
        """The session's last number as its reply to a subscription says it."""
        if last < subscription.heard:  # the backend has been set back, to a backup maybe
            subscription.heard = last
            self.lost(subscription, "The session has been set back; its numbers begin earlier.")
        if subscription.since is None:
            subscription.since = last

    def end(self, session_id: SessionId | None, topics: Iterable[Topic] | None) -> None:
        """Drop topics, or all, of one session's subscription, or of all subscriptions."""
        gone = None if topics is None else set(topics)
        for subscription in list(self._subscriptions.values()):
            if session_id is None or subscription.session_id == session_id:
                left = () if gone is None else tuple(set(subscription.topics) - gone)
                subscription.topics = left
                if not left:
                    self.drop(subscription)

    def drop(self, subscription: Subscription) -> None:
        """Forget a subscription, unless another one has taken its place."""
        if self._subscriptions.get(subscription.session_id) is subscription:
            del self._subscriptions[subscription.session_id]

    def disconnected(self) -> None:
        """The connection has gone, and the subscriptions with it."""
        for subscription in self._subscriptions.values():
            subscription.over = True

    def interrupted(self) -> Subscription | None:
        """A subscription that is to be made again."""
        return next((each for each in self._subscriptions.values() if each.over), None)

    def next(self) -> Event | None:
        """The next event that has come."""
        return self._waiting.popleft() if self._waiting else None

    def take(self, event: Event) -> None:
        """An event has come."""
        subscription = self._subscription_for(event)
        if subscription is None or subscription.over:
            return
        if event.event == EVENTS_LOST:
            self._waiting.append(event)
            # A gap in what was missed does not end the subscription; being cut off does.
            subscription.over = "first_kept" not in event.data
        elif subscription.session_id is None or event.seq > subscription.heard:
            if len(self._waiting) < _HELD:
                subscription.heard = max(subscription.heard, event.seq)
                self._waiting.append(event)
                if event.event == TAKEN_OVER and subscription.session_id is not None:
                    self.drop(subscription)
            else:
                subscription.over = True
                self.lost(subscription, f"More than {_HELD} events waited for `next_event`.")

    def lost(self, subscription: Subscription, reason: str) -> None:
        """Say in its place that events are missing, of which nobody can be asked."""
        self._waiting.append(
            Event(
                event=EVENTS_LOST,
                seq=max(0, subscription.heard),
                session_id=UNSET if subscription.session_id is None else subscription.session_id,
                data={"reason": reason},
                timestamp=timestamp(time.time()),
            )
        )

    def _subscription_for(self, event: Event) -> Subscription | None:
        """The subscription by which an event came: its session's own first."""
        general = self._subscriptions.get(None)
        if event.session_id is UNSET:
            return general
        own = self._subscriptions.get(event.session_id)
        if own is not None and (event.topic in own.topics or event.event == EVENTS_LOST):
            return own
        return general
