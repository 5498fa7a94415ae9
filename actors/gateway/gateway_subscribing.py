"""What clients ask for when they subscribe, and what sessions have to say to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import UNSET

from actors.clocks import Clocks
from actors.gateway.front_door import FrontDoor
from actors.gateway.gateway_routes import Routes
from actors.gateway.pending import Pending
from actors.gateway.subscription import Subscription
from actors.messages import ClientRequest, Key, Outcome, SubscribedTo
from protocol.errors import InvalidParameter, StuiError
from protocol.events import TOPICS
from protocol.ids import SessionId
from protocol.replies import Subscribed, Unsubscribed
from protocol.requests import Subscribe, Unsubscribe

Answering: TypeAlias = Callable[[Key, Outcome], None]


class SubscriptionDesk:
    """Takes subscriptions in and ends them. For the Gateway's thread alone.

    One that names a session goes to it first: it checks that it exists and says what was missed.
    """

    def __init__(self, clocks: Clocks, door: FrontDoor, routes: Routes, answer: Answering) -> None:
        self._clocks, self._routes, self._answer = clocks, routes, answer
        self._subscriptions, self._pending = door.subscriptions, door.pending

    def subscribe(self, entry: Pending, message: ClientRequest, request: Subscribe) -> None:
        """Take a subscription in, or give it to its session. Raises what is wrong with it."""
        self._subscriptions.check_room(entry.connection, request.session_id)
        entry.topics, entry.session_id = frozenset(request.topics), request.session_id
        if request.session_id is not None:
            self._routes.to_session(entry, message, request.session_id, quick=False)
        elif request.since is not None:
            raise InvalidParameter(
                f"`since` of subscribe is {request.since}, but there is no `session_id`: Expected "
                "both, because numbers count the events of one session."
            )
        else:
            self._add(entry, None)
            self._answer(message.key, Subscribed(topics=_in_order(entry.topics)))

    def agreed(self, message: SubscribedTo) -> None:
        """A session has said what was missed: whatever it tells from now on comes behind that."""
        entry, session_id = self._pending.get(message.key), message.session_id
        if entry is None:
            return  # was answered meanwhile, because somebody died
        try:  # others may have come first
            self._subscriptions.check_room(entry.connection, session_id)
        except StuiError as error:
            self._answer(message.key, error)
            return
        if entry.topics:  # not taken back meanwhile
            self._add(entry, session_id).note(session_id, message.last_seq)
        reply = Subscribed(
            topics=_in_order(entry.topics), session_id=session_id, seq=message.last_seq
        )
        self._answer(message.key, reply)
        if entry.topics:
            self._subscriptions.catch_up(entry.connection, session_id, message.missed)

    def unsubscribe(self, entry: Pending, message: ClientRequest, request: Unsubscribe) -> None:
        """End subscriptions, also those that their sessions have not agreed to yet."""
        connection, session_id, topics = entry.connection, request.session_id, request.topics
        self._pending.withdraw(connection, session_id, topics)
        left = self._subscriptions.remove(connection, session_id, topics)
        named = UNSET if session_id is None else session_id
        self._answer(message.key, Unsubscribed(topics=left, session_id=named))

    def _add(self, entry: Pending, session_id: SessionId | None) -> Subscription:
        subscription = Subscription(session_id, entry.topics, entry.origin.encoding, entry.route)
        now = self._clocks.monotonic()
        self._subscriptions.add(entry.connection, entry.socket, subscription, now)
        return subscription


def _in_order(topics: frozenset[str]) -> list[str]:
    return [topic for topic in TOPICS if topic in topics]
