"""What all sessions of a client share, beside the sessions."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import msgspec

from actors.address import Ref
from actors.messages import Answer, ClientRequest, KeepPreferences, Kept, Key, Outcome, Refused
from actors.remembered import check_same
from actors.services import Services
from protocol.errors import LimitExceeded
from protocol.ids import ClientId
from protocol.replies import ClientPreferences
from protocol.requests import GetClientPreferences, JsonText, SetClientPreferences
from storage.document import RememberedReply

PREFERENCES_BYTES: Final = 1024 * 1024
"""The longest preferences of a client: they are written as a whole with every change."""

_NONE: Final = JsonText(b"{}")


@dataclass(frozen=True, slots=True)
class KeepPreferencesOnce(KeepPreferences):
    """The same for a request with a unique id: the writer remembers the new revision with it."""

    reply: RememberedReply


@dataclass(slots=True)
class _Keeping:
    """What the writer was told, and who waits for it."""

    message: KeepPreferences
    keys: list[Key]

    @property
    def reply(self) -> RememberedReply | None:
        return self.message.reply if isinstance(self.message, KeepPreferencesOnce) else None


class PreferencesDesk:
    """Serves preferences for the SessionDirectory, in its thread."""

    def __init__(self, services: Services, owner: Ref) -> None:
        self._services, self._owner = services, owner
        self._tokens = itertools.count(1)
        self._keeping: dict[int, _Keeping] = {}

    def get(self, message: ClientRequest, request: GetClientPreferences) -> None:
        """Answer what is on disk; raises `StoreError`."""
        stored = self._services.reader().preferences(request.client_id)
        text, revision = (stored.text, stored.revision) if stored else (_NONE, 0)
        self._answer(message.key, _shown(request.client_id, text, revision))

    def set(self, message: ClientRequest, request: SetClientPreferences) -> None:
        """Have preferences kept, and answer when they are; raises `StuiError` and `StoreError`."""
        text, client_id = request.preferences, request.client_id
        if len(text) > PREFERENCES_BYTES:
            raise LimitExceeded(
                f"`preferences` has {len(text)} bytes; up to {PREFERENCES_BYTES} are kept.",
                limit=PREFERENCES_BYTES,
            )
        if self._is_repeat(message, client_id, text):
            return
        token = next(self._tokens)
        keep = KeepPreferences(self._owner, token, client_id, text)
        if message.unique_id is not None:
            reply = RememberedReply(
                scope=_scope(client_id),
                request_id=message.unique_id,
                digest=message.digest,
                outcome={},
                at=self._services.clocks.running_time(),
            )
            keep = KeepPreferencesOnce(self._owner, token, client_id, text, reply)
        self._keeping[token] = _Keeping(keep, [message.key])
        self._services.writer.tell(keep)

    def kept(self, message: Kept) -> None:
        """Preferences are durable."""
        if keeping := self._keeping.pop(message.token, None):
            told = keeping.message
            for key in keeping.keys:
                self._answer(key, _shown(told.client_id, told.text, message.revision))

    def refused(self, message: Refused) -> None:
        """Nothing was written."""
        if keeping := self._keeping.pop(message.token, None):
            for key in keeping.keys:
                self._answer(key, message.error)

    def writer_restarted(self) -> None:
        """Tell the new writer what the last one may not have written; in order, it does no harm."""
        for keeping in self._keeping.values():
            self._services.writer.tell(keeping.message)

    def _is_repeat(self, message: ClientRequest, client_id: ClientId, text: JsonText) -> bool:
        if message.unique_id is None:
            return False
        scope = _scope(client_id)
        for keeping in self._keeping.values():
            reply = keeping.reply
            if reply is not None and (reply.scope, reply.request_id) == (scope, message.unique_id):
                check_same(message.unique_id, message.digest, reply.digest)
                keeping.keys.append(message.key)
                return True
        known = self._services.reader().remembered(scope, message.unique_id)
        if known is None:
            return False
        check_same(message.unique_id, message.digest, known.digest)
        self._answer(message.key, _shown(client_id, text, known.outcome["revision"]))
        return True

    def _answer(self, key: Key, outcome: Outcome) -> None:
        self._services.gateway.tell(Answer(key, outcome))


def _shown(client_id: ClientId, text: JsonText, revision: int) -> ClientPreferences:
    return ClientPreferences(client_id=client_id, preferences=msgspec.Raw(text), revision=revision)


def _scope(client_id: ClientId) -> str:
    return f"client:{client_id}"
