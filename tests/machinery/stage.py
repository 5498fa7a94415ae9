"""A Gateway on stage, with actors around it that only note what they are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pykka
import zmq

from actors.clocks import Clocks
from actors.dispatcher import Dispatcher
from actors.gateway.front_door import FrontDoor
from actors.gateway.gateway import Gateway
from actors.messages import ClientRequest, Publish, Routed, SubscribedTo
from actors.published import Published
from actors.services import Services
from actors.settings import Settings
from actors.timer import Timer
from protocol.events import Event
from protocol.ids import SessionId
from protocol.requests import Subscribe
from tests.machinery.parent import Parent
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Wire

SESSION = SessionId("s1")


class Stage:
    """A Gateway, and actors in the others' place that only note what they are told."""

    def __init__(self, directory: Path, parent: Parent) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._timer = Timer()
        self._timer.start()
        self._dispatcher = Dispatcher(1)
        settings = Settings(data_dir=directory, bind=("tcp://127.0.0.1:*", "tcp://127.0.0.1:*"))
        self.services = Services(
            settings=Published(settings),
            clocks=Clocks(0.0),
            timer=self._timer,
            dispatcher=self._dispatcher,
            context=self._context,
        )
        self._parent = parent
        self.sessions, self.janitor, self.session = (_collector() for _ in range(3))
        self._agreed: set[int] = set()
        self.services.sessions.assign(self.sessions.actor_ref)
        self.services.janitor.assign(self.janitor.actor_ref)
        self.door = FrontDoor(self._context)
        self.start()

    def start(self) -> None:
        """Start a Gateway, which goes on with the door of the one before."""
        self.gateway = Gateway.start(self._parent.actor_ref, self.services, self.door)
        assert self.door.ready.wait(DEADLINE)
        eventually(lambda: bool(self.door.endpoints))

    def close(self) -> None:
        pykka.ActorRegistry.stop_all(timeout=DEADLINE)
        self.door.close()
        self._dispatcher.stop(DEADLINE)
        self._timer.stop()
        self._timer.join(DEADLINE)
        self._context.destroy(linger=0)

    def next_request(self, who: Parent, seen: int = 0) -> ClientRequest:
        """The request that an actor was given behind so many others."""
        who.wait_for(lambda told: len(_requests(told)) > seen, "a request comes")
        return _requests(who.told)[seen]

    def next_subscription(self) -> ClientRequest:
        """The oldest `subscribe` that was not agreed to."""
        (request,) = self.next_subscriptions(1)
        return request

    def next_subscriptions(self, count: int) -> list[ClientRequest]:
        """So many `subscribe`s that were not agreed to, whoever was given them, once they came."""

        def found() -> list[ClientRequest]:
            told = [*_requests(self.sessions.told), *_requests(self.session.told)]
            subscriptions = [each for each in told if isinstance(each.request, Subscribe)]
            return [each for each in subscriptions if each.key not in self._agreed][:count]

        eventually(lambda: len(found()) == count)
        return found()

    def agree(self, request: ClientRequest, *missed: Event, last: int = 0) -> None:
        """Have the session take a subscription in; it is known from then on where it is."""
        assert isinstance(request.request, Subscribe)
        session_id = request.request.session_id
        assert session_id is not None
        self._agreed.add(request.key)
        self.gateway.tell(Routed(session_id, self.session.actor_ref, request.key))
        self.gateway.tell(SubscribedTo(request.key, session_id, missed, last))

    def subscribe(self, wire: Wire, *missed: Event, last: int = 0, since: int | None = None) -> str:
        """Subscribe to `SESSION` and have it agree; the connection's name."""
        topics = ["session", "evaluation"]
        sent = wire.send("subscribe", session_id=SESSION, topics=topics, since=since)
        request = self.next_subscription()
        self.agree(request, *missed, last=last)
        wire.result(sent)
        return request.connection

    def publish(self, *events: Event, to: tuple[str, ...] = ()) -> None:
        self.gateway.tell(Publish(SESSION, events, frozenset(to)))


def _collector() -> Parent:
    return cast("Parent", Parent.start()._actor_weakref())


def _requests(told: list[Any]) -> list[ClientRequest]:
    return [message for message in told if isinstance(message, ClientRequest)]


def event(seq: int, name: str = "session.changed") -> Event:
    return Event(event=name, seq=seq, session_id=SESSION, data={"n": seq}, timestamp="now")


def numbers(wire: Wire, count: int) -> list[int]:
    return [wire.next_reply()["seq"] for _ in range(count)]


def hears_nothing(wire: Wire) -> bool:
    """Whether nothing had been sent when a later request was answered."""
    sent = wire.send("ping")
    return bool(wire.next_reply()["id"] == sent)
