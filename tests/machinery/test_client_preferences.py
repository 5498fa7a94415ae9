"""What clients' preferences become when they come twice, at once, and while the writer dies."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.directory.client_preferences import PREFERENCES_BYTES, PreferencesDesk
from actors.messages import Answer, ClientRequest, KeepPreferences, Kept, Refused
from protocol.errors import InvalidParameter, LimitExceeded, StorageUnavailable
from protocol.ids import ClientId
from protocol.requests import GetClientPreferences, JsonText, SetClientPreferences
from tests.machinery.played import Listener, Played

CLIENT = ClientId("client")
REFUSAL = StorageUnavailable("The disk is full.")


class Desk(Played):
    """A desk, with what it has answered by the key of the request."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = PreferencesDesk(self.services, Listener().ref)

    def set(
        self, key: int, text: str, unique_id: str | None = None, client: str = "client"
    ) -> None:
        preferences = JsonText(text.encode())
        request = SetClientPreferences(client_id=ClientId(client), preferences=preferences)
        self.desk.set(ClientRequest(key, "c", unique_id, request), request)

    def get(self, key: int) -> None:
        request = GetClientPreferences(client_id=CLIENT)
        self.desk.get(ClientRequest(key, "c", None, request), request)

    def write(self) -> list[Kept]:
        """Let the writer write what it was told; what it says of that."""
        kept = []
        with self.store.transaction() as transaction:
            for told in self.writer.inbox:
                assert isinstance(told, KeepPreferences)
                revision = transaction.put_preferences(told.client_id, told.text)
                kept.append(Kept(told.token, revision))
                if (reply := getattr(told, "reply", None)) is not None:
                    outcome = {"revision": revision}
                    transaction.remember(msgspec.structs.replace(reply, outcome=outcome))
        self.writer.inbox.clear()
        return kept

    def answers(self) -> list[tuple[int, Any]]:
        """The keys of the requests that were answered, and what: a revision, or an error."""
        told = [each for each in self.gateway.told if isinstance(each, Answer)]
        return [(each.key, getattr(each.outcome, "revision", each.outcome)) for each in told]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_preferences_are_answered_when_they_are_durable(desk: Desk) -> None:
    desk.set(1, "{}")
    assert desk.answers() == []
    (kept,) = desk.write()
    desk.desk.kept(kept)
    assert desk.answers() == [(1, 1)]
    desk.get(2)
    assert desk.answers() == [(1, 1), (2, 1)]


def test_a_request_with_an_id_is_another_than_one_without_that_is_under_way(desk: Desk) -> None:
    desk.set(1, '{"a": 1}')
    desk.set(2, '{"a": 2}', "one")
    desk.set(3, '{"a": 3}', "two")
    for kept in desk.write():
        desk.desk.kept(kept)
    assert desk.answers() == [(1, 1), (2, 2), (3, 3)]


def test_a_request_that_comes_again_waits_for_the_same_end(desk: Desk) -> None:
    desk.set(1, "{}", "one")
    desk.set(2, "{}", "one")
    desk.set(3, "{}", "one", client="another")
    with pytest.raises(InvalidParameter):
        desk.set(4, '{"a": 1}', "one")
    assert len(desk.writer.inbox) == 2
    for kept in desk.write():
        desk.desk.kept(kept)
    assert desk.answers() == [(1, 1), (2, 1), (3, 1)]


def test_a_request_that_comes_again_later_is_told_the_first_revision(desk: Desk) -> None:
    for key, name in enumerate(["one", "two", None]):
        desk.set(key, '{"a": 1}', name)
        for kept in desk.write():
            desk.desk.kept(kept)
    desk.set(3, '{"a": 1}', "one")
    assert desk.writer.inbox == []
    with pytest.raises(InvalidParameter):
        desk.set(4, '{"a": 2}', "one")
    assert desk.answers() == [(0, 1), (1, 2), (2, 3), (3, 1)]


def test_all_who_wait_hear_that_nothing_was_written_and_may_try_again(desk: Desk) -> None:
    desk.set(1, "{}", "one")
    desk.set(2, "{}", "one")
    (keep,) = desk.writer.inbox
    desk.writer.inbox.clear()
    desk.desk.refused(Refused(keep.token, REFUSAL))
    assert desk.answers() == [(1, REFUSAL), (2, REFUSAL)]
    desk.set(3, "{}", "one")
    (kept,) = desk.write()
    desk.desk.kept(kept)
    assert desk.answers()[2:] == [(3, 1)]


def test_a_new_writer_is_told_again_and_each_is_answered_once(desk: Desk) -> None:
    desk.set(1, '{"a": 1}')
    desk.set(2, '{"a": 2}', "one")
    first = desk.write()  # and the writer dies
    desk.desk.writer_restarted()
    again = desk.write()
    assert [kept.token for kept in again] == [kept.token for kept in first]
    for kept in (*first, *again):
        desk.desk.kept(kept)
    for kept in again:
        desk.desk.refused(Refused(kept.token, REFUSAL))
    assert desk.answers() == [(1, 1), (2, 2)]
    stored = desk.store.preferences(CLIENT)
    assert stored is not None
    assert stored.text == b'{"a": 2}'
    desk.desk.writer_restarted()
    assert desk.writer.inbox == []


def test_preferences_have_a_longest_length(desk: Desk) -> None:
    text = '{"a":"' + "x" * (PREFERENCES_BYTES - 8) + '"}'
    desk.set(1, text)
    assert len(desk.writer.inbox) == 1
    with pytest.raises(LimitExceeded, match=f"has {PREFERENCES_BYTES + 1} bytes"):
        desk.set(2, text + " ")
    assert len(desk.writer.inbox) == 1


def test_a_client_that_has_set_nothing_has_empty_preferences(desk: Desk) -> None:
    desk.get(1)
    assert desk.answers() == [(1, 0)]
