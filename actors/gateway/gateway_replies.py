"""What clients are answered: encoded, sent where they read, and counted."""

from __future__ import annotations

import errno

import structlog
import zmq

from actors.gateway.front_door import FrontDoor
from actors.gateway.gateway_bodies import LargeBodies
from actors.gateway.gateway_frames import encoded
from actors.gateway.gateway_routes import Routes, restarting
from actors.gateway.gateway_turns import Turns
from actors.gateway.gateway_unread import COUNTED_BYTES
from actors.gateway.pending import Pending
from actors.messages import Key, Outcome
from actors.outside.counting import UNKNOWN
from actors.services import Services
from protocol.codec import Encoding
from protocol.dialects import Dialect, Origin, encode_error
from protocol.errors import Internal, StuiError
from protocol.limits import SMALL_BODY_BYTES
from protocol.requests import BY_COMMAND, BY_REQUEST_TYPE
from storage.failpoints import hit

log = structlog.get_logger(__name__)


class Replies:
    """The way out for all that is answered. For the Gateway's thread alone."""

    def __init__(
        self, services: Services, door: FrontDoor, routes: Routes, turns: Turns, bodies: LargeBodies
    ) -> None:
        self._services, self._door, self._routes = services, door, routes
        self._turns, self._large_bodies = turns, bodies
        self._dropped = 0

    def answer(self, key: Key, outcome: Outcome) -> None:
        """Answer a request, unless it was answered meanwhile because somebody died."""
        entry = self._door.pending.get(key)
        if entry is None:
            return
        if isinstance(outcome, StuiError):
            entry.outcome = outcome.error_code
        body = self._body(entry, outcome)
        if len(body) > SMALL_BODY_BYTES and entry.origin.encoding is Encoding.CBOR:
            self._large_bodies.encode(key, entry, body)
        else:
            self.finish(key, body)

    def finish(self, key: Key, body: bytes) -> None:
        """Send the encoded reply to a request."""
        if entry := self._taken(key):
            self._send(entry, body)
        self.look_if_drained()

    def fail(self, owner: str) -> None:
        """Give up requests whose owner (its name begins so) has died; asking again tells more."""
        for key in self._door.pending.keys_of(owner):
            self.give_up(key)

    def give_up(self, key: Key) -> None:
        """Answer a request that nobody has any more."""
        if entry := self._taken(key):
            self.refuse(entry, restarting())
        self.look_if_drained()

    def refuse(self, entry: Pending, error: StuiError) -> None:
        """Answer a request that is not in the table."""
        entry.outcome = error.error_code
        self._send(entry, encode_error(entry.origin, error))

    def look_if_drained(self) -> None:
        """Tell the one who drains when nothing is under way any more."""
        if self._door.draining and not len(self._door.pending):
            self._door.drained.set()

    def _body(self, entry: Pending, outcome: Outcome) -> bytes:
        settings = self._services.settings.current
        error: StuiError
        try:
            body = encoded(entry.origin, outcome)
            self._door.unread.check_reply(
                entry.connection,
                len(body),
                settings.max_unread_bytes_per_connection,
                settings.max_unread_bytes,
            )
        except StuiError as unread:
            error = unread
        except (ValueError, TypeError, RecursionError) as problem:
            log.exception(
                "reply_not_encoded", outcome=type(outcome).__name__, request=entry.origin.id
            )
            error = Internal(f"The reply cannot be encoded: {problem}.")
        else:
            return body
        entry.outcome = error.error_code
        return encode_error(entry.origin, error)

    def _taken(self, key: Key) -> Pending | None:
        """The request of this key, which is under way no longer."""
        entry = self._door.pending.take(key)
        if entry is not None:
            self._routes.answered(entry, key)
            self._turns.ended(entry.connection, entry.turn)
        return entry

    def _send(self, entry: Pending, body: bytes) -> None:
        outcome = entry.outcome if self._sent(entry, body) else "dropped"
        self._services.counting.replied(entry.command or _named(entry.origin), outcome, entry.came)

    def _sent(self, entry: Pending, body: bytes) -> bool:
        """Whether libzmq has taken a reply, or it waits behind events for a client that is slow."""
        frames, counted = [*entry.route, body], len(body) > COUNTED_BYTES
        unread, connection = self._door.unread, entry.connection
        hit("gateway.send.before")
        try:
            tracker = entry.socket.send_multipart(
                frames, zmq.DONTWAIT, copy=not counted, track=counted
            )
        except zmq.ZMQError as error:
            if error.errno not in {zmq.EAGAIN, errno.EHOSTUNREACH}:
                raise
            if error.errno == zmq.EAGAIN and self._door.subscriptions.owe(connection, frames):
                return True  # it is events that it does not read
            if error.errno == zmq.EAGAIN:
                unread.is_full(connection)
            self._services.counting.reply_dropped()
            self._dropped += 1  # the client has gone, or does not read
            log.debug("reply_dropped", connection=connection, dropped=self._dropped)
            return False
        hit("gateway.send.after")
        unread.is_taking(connection)
        if tracker is not None:
            unread.sent(connection, tracker, len(body))
        return True


def _named(origin: Origin) -> str:
    """The command that a request names that was refused unread; no name that its client made up."""
    kinds = BY_COMMAND if origin.dialect is Dialect.COMMAND else BY_REQUEST_TYPE
    kind = kinds.get(origin.subject)
    return UNKNOWN if kind is None else kind.command()
