"""Requests that come again: each is answered like the first, and nothing is done twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actors.messages import ClientRequest, Key
from actors.remembered import check_same
from actors.services import Services
from protocol.ids import SessionId
from storage.document import RememberedReply


@dataclass(slots=True)
class _UnderWay:
    """A request with a unique id that is under way, and who waits for its end."""

    digest: bytes
    keys: list[Key]


class RepeatedRequests:
    """The requests to one session whose ids are unique; owned and run by its actor."""

    def __init__(self, session_id: SessionId, services: Services) -> None:
        self._session_id, self._services = session_id, services
        self._under_way: dict[str, _UnderWay] = {}

    def joins(self, message: ClientRequest) -> bool:
        """Whether the same request is under way: then this one waits for the same end.

        Raises `InvalidParameter` where the id is that of another request.
        """
        under_way = self._under_way.get(message.unique_id or "")
        if under_way is None:
            return False
        check_same(str(message.unique_id), message.digest, under_way.digest)
        under_way.keys.append(message.key)
        return True

    def known(self, message: ClientRequest) -> RememberedReply | None:
        """What is stored of the outcome of the same request."""
        if message.unique_id is None:
            return None
        known = self._services.reader().remembered(self._session_id, message.unique_id)
        if known is not None:
            check_same(message.unique_id, message.digest, known.digest)
        return known

    def begin(self, message: ClientRequest) -> list[Key]:
        """The request is under way: who is to be answered, those among them that come later."""
        keys = [message.key]
        if message.unique_id is not None:
            self._under_way[message.unique_id] = _UnderWay(message.digest, keys)
        return keys

    def end(self, unique_id: str | None) -> None:
        """The request of this id is over."""
        if unique_id is not None:
            self._under_way.pop(unique_id, None)

    def reply_for(
        self, message: ClientRequest, outcome: dict[str, Any] | None = None
    ) -> RememberedReply | None:
        """What is to be stored of the outcome, with the change itself."""
        if message.unique_id is None:
            return None
        return RememberedReply(
            scope=self._session_id,
            request_id=message.unique_id,
            digest=message.digest,
            outcome=outcome or {},
            at=self._services.clocks.running_time(),
        )
