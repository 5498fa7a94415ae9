"""Events: subscribing, and waiting for what comes, across lost connections."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

from msgspec import UNSET

from protocol.errors import InvalidParameter, StuiError
from protocol.events import TOPICS, Event, Topic
from protocol.ids import SessionId
from protocol.replies import Subscribed, Unsubscribed
from tools.client.asking import Asking
from tools.client.event_stream import Subscription

_ROUND = 1.0
"""Seconds of waiting after which the connection is looked at."""


class Listening(Asking):
    """Hears of what happens to sessions while nothing is asked."""

    def subscribe(
        self,
        topics: Sequence[Topic] = TOPICS,
        session_id: str | None = None,
        *,
        since: int | None = None,
    ) -> Subscribed:
        """Hear of a session, or of all that this client's connection is attached to.

        With SINCE, the number of an event of that session, what came behind it comes first. A
        subscription is made again with the last number heard of when the connection is lost; only
        what is not stored, such as output, may then be missing.
        """
        name = None if session_id is None else SessionId(session_id)
        subscription = self._stream.begin(name, topics, since)
        try:
            return self._subscribe(subscription, self.timeout)
        except StuiError:
            self._stream.drop(subscription)
            raise

    def unsubscribe(
        self, topics: Sequence[Topic] | None = None, session_id: str | None = None
    ) -> Unsubscribed:
        """Hear no more of some topics, or of all: of one session, or of every one."""
        self._stream.end(None if session_id is None else SessionId(session_id), topics)
        return self.ask(
            "unsubscribe",
            Unsubscribed,
            topics=None if topics is None else list(topics),
            session_id=session_id,
        )

    def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event, or None when none came within TIMEOUT seconds; None waits on.

        An `events_lost` says that events are missing behind its number; those that come next are
        in order again. Raises what comes of it when a subscription has to be made again: `NoAnswer`
        when the backend is not reached, which the next call tries again as all that is `retryable`,
        and `SessionNotFound` when the session has gone meanwhile, whose subscription is dropped.
        """
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while (event := self._stream.next()) is None:
            if not self._stream:
                raise InvalidParameter("Nothing is subscribed to: call `subscribe` first.")
            left = max(0.0, ends - time.monotonic())
            if interrupted := self._stream.interrupted():
                self._renew(interrupted, min(self.timeout, max(left, _ROUND)))
            else:
                self._connection.listen(min(left, _ROUND))
                if left == 0.0:
                    return self._stream.next()
        return event

    def events(self) -> Iterator[Event]:
        """All events as they come, until nothing is subscribed to."""
        while self._stream:
            if (event := self.next_event()) is not None:
                yield event

    def _renew(self, subscription: Subscription, within: float) -> None:
        """Make a subscription again; what it has missed comes first."""
        if subscription.session_id is not None:
            subscription.since = max(subscription.heard, subscription.since or 0)
        try:
            self._subscribe(subscription, within)
        except StuiError as error:
            if not error.retryable:
                self._stream.drop(subscription)
            raise
        if subscription.session_id is None:
            self._stream.lost(subscription, "The subscription was interrupted.")

    def _subscribe(self, subscription: Subscription, within: float) -> Subscribed:
        subscribed = self.ask(
            "subscribe",
            Subscribed,
            within=within,
            topics=list(subscription.topics),
            session_id=subscription.session_id,
            since=subscription.since,
        )
        subscription.over = False
        if subscribed.seq is not UNSET:
            self._stream.agreed(subscription, subscribed.seq)
        return subscribed
