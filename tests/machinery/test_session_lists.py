"""Lists and counts, made of the stored heads and of what live sessions say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from actors.directory.orphans import Sight, counted_as
from actors.directory.session_lists import (
    Infos,
    client_sessions,
    image_named,
    image_session_stats,
    image_sessions,
    statistics,
    trash,
)
from actors.images.image_table import ImageEntry, ImageTable
from actors.session.session_views import session_info
from actors.settings import Settings
from protocol.errors import ImageUnknown
from protocol.ids import ClientId, ImageId
from protocol.replies import SessionInfo, SessionStatistics
from protocol.requests import ListClientSessions, ListImageSessions, ListTrash
from storage.document import SessionHead
from storage.store import SessionCounts
from tests.machinery.played import PlayedStore
from tests.storage.samples import a_change, a_context, a_head

CLIENT = ClientId("client")
HERE, GONE = ImageId("here"), ImageId("gone")
NOW = 1000.0
SIGHT = Sight(
    now=NOW,
    images=ImageTable(
        (
            ImageEntry(HERE, "mine", "tcp://here", status="Connected"),
            ImageEntry(GONE, "lost", "tcp://gone", status="Reconnecting", away_since=0.0),
        ),
        since=0.0,
    ),
    grace=60.0,
)


def _head(name: str, **about: Any) -> SessionHead:
    """The head of a session that was used just now and expires in 500 s."""
    return a_head(name, **{"used_at": NOW, "timeout": 500.0, "image_id": HERE, **about})


def _attached(head: SessionHead) -> SessionInfo:
    return session_info(head, NOW, attached=True)


EXPIRED = {"used_at": NOW - 500}
HEADS = {
    "active": _head("active"),
    "detached": _head("detached"),
    "expired": _head("expired", **EXPIRED),
    "orphan": _head("orphan", image_id=GONE),
    "attached orphan": _head("attached-orphan", image_id=GONE),
    "expired orphan": _head("expired-orphan", image_id=GONE, **EXPIRED),
    "closed": _head("closed", state="closed", ended_at=900.0, image_id=GONE),
    "trashed": _head("trashed", state="trashed", ended_at=900.0, image_id=GONE),
}
ALL = list(HEADS.values())
INFOS: Infos = {
    HEADS[name].session_id: _attached(HEADS[name]) for name in ("active", "attached orphan")
}


def test_a_client_sees_its_open_sessions_or_all() -> None:
    shown = client_sessions(ListClientSessions(client_id=CLIENT), ALL, INFOS, SIGHT)
    assert [session.status for session in shown.sessions] == [
        "active", "detached", "detached", "orphaned", "orphaned", "orphaned",
    ]  # fmt: skip
    assert shown.session_count == 6
    everything = ListClientSessions(client_id=CLIENT, include_closed=True)
    shown = client_sessions(everything, ALL, INFOS, SIGHT)
    assert [session.status for session in shown.sessions[6:]] == ["closed", "trashed"]
    assert shown.session_count == 8


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("active", "active"),
        ("detached", "detached"),
        ("expired", "expired"),
        ("orphan", "orphaned"),
        ("attached orphan", "orphaned"),
        ("expired orphan", "orphaned"),
        ("closed", "closed"),
        ("trashed", "trashed"),
    ],
)
def test_each_session_is_counted_by_one_word(name: str, word: str) -> None:
    head = HEADS[name]
    assert counted_as(SIGHT.info(head, INFOS.get(head.session_id))) == word


def _statistics(
    counts: SessionCounts, infos: Infos, expired: Sequence[SessionHead] = ()
) -> SessionStatistics:
    return statistics(counts, expired, infos, SIGHT, Settings(data_dir=Path("nowhere")))


def test_all_sessions_are_counted_once() -> None:
    counts = SessionCounts(
        total=4,
        clients=1,
        closed=1,
        expired=2,
        trashed=1,
        by_image={HERE: 2, GONE: 2},
        expired_by_image={HERE: 1, GONE: 1},
    )
    told = _statistics(counts, INFOS)
    assert told.sessions_by_status == {
        "active": 1, "detached": 1, "orphaned": 3, "expired": 1, "closed": 1, "trashed": 1,
    }  # fmt: skip
    assert (told.total_sessions, told.active_clients) == (5, 1)
    assert told.sessions_by_image == {"here": 2, "gone": 3}


def test_a_session_is_not_expired_that_says_that_it_is_in_use() -> None:
    """When it was used last is stored with its next change."""
    used = msgspec.structs.replace(HEADS["expired"], image_id=HERE)
    counts = SessionCounts(
        total=0, clients=0, closed=0, expired=2, trashed=0, by_image={}, expired_by_image={HERE: 2}
    )
    infos = {used.session_id: _attached(HEADS["active"])}
    told = _statistics(counts, infos, [used, HEADS["expired orphan"]])
    assert (told.sessions_by_status["active"], told.sessions_by_status["expired"]) == (1, 1)
    assert told.total_sessions == 1
    assert told.sessions_by_image == {"here": 1}


def test_the_counts_of_all_sessions_and_those_of_an_image_agree() -> None:
    heads = [HEADS["expired orphan"]] * 2
    counts = SessionCounts(
        total=0, clients=0, closed=0, expired=2, trashed=0, by_image={}, expired_by_image={GONE: 2}
    )
    told = _statistics(counts, {})
    by = told.sessions_by_status
    assert told.total_sessions == by["active"] + by["detached"] + by["orphaned"] == 2
    assert by["expired"] == 0
    store = PlayedStore(lambda: NOW)
    of_image = image_session_stats(GONE, heads, {}, SIGHT, store)
    assert told.sessions_by_image == {"gone": of_image.total_sessions} == {"gone": 2}


def test_a_count_that_was_taken_before_the_sessions_spoke_is_never_below_nothing() -> None:
    counts = SessionCounts(total=0, clients=0, closed=0, expired=0, trashed=0, by_image={})
    told = _statistics(counts, INFOS)
    assert min(told.sessions_by_status.values()) == 0


def test_the_sessions_of_an_image_are_the_open_ones() -> None:
    shown = image_sessions(ListImageSessions(image_id=GONE), GONE, ALL[3:], INFOS, SIGHT)
    assert [session.connection_status for session in shown.sessions] == ["Reconnecting"] * 3
    assert (shown.image_id, shown.total_count, shown.orphaned_count) == (GONE, 3, 3)
    without = ListImageSessions(include_orphaned=False)
    shown = image_sessions(without, None, ALL, INFOS, SIGHT)
    assert [session.status for session in shown.sessions] == ["active", "detached", "detached"]
    assert (shown.image_id, shown.total_count, shown.orphaned_count) == ("", 6, 3)


def test_an_image_that_nobody_knows_has_an_unknown_connection() -> None:
    assert SIGHT.connection(None) == "Unknown"
    assert SIGHT.connection(ImageId("nobody")) == "Unknown"
    assert SIGHT.connection(HERE) == "Connected"
    assert not SIGHT.away(None)


def test_an_images_sessions_are_counted_with_what_those_hold_that_are_open() -> None:
    store = PlayedStore(lambda: NOW)
    heads = [
        msgspec.structs.replace(head, section_bytes={"session_state": 10}, last_modified=at)
        for at, head in enumerate([HEADS["active"], HEADS["expired"], HEADS["closed"]], 100)
    ]
    with store.transaction() as transaction:
        for head, data_bytes in zip(heads, (1000, 5000, 70_000), strict=True):
            context = a_context(1, data_bytes=data_bytes)
            change = msgspec.structs.replace(a_change(), head=head, contexts=[context])
            transaction.create_session(change)
    told = image_session_stats(HERE, heads, INFOS, SIGHT, store)
    assert told.total_context_size == 6020
    assert (told.total_sessions, told.active_sessions, told.expired_sessions) == (2, 1, 1)
    assert (told.closed_sessions, told.trashed_sessions, told.detached_sessions) == (1, 0, 0)
    assert told.last_activity.startswith("1970-01-01T00:01:42")
    assert image_session_stats(HERE, [], {}, SIGHT, store).last_activity == ""


def test_an_image_is_known_as_long_as_sessions_name_it() -> None:
    store = PlayedStore(lambda: NOW)
    assert image_named("mine", SIGHT.images, store) == HERE
    with pytest.raises(ImageUnknown):
        image_named("earlier", SIGHT.images, store)
    with store.transaction() as transaction:
        transaction.create_session(a_change(image_id=ImageId("earlier")))
    assert image_named("earlier", SIGHT.images, store) == "earlier"


def test_the_trash_tells_how_long_each_session_stays() -> None:
    heads = [
        a_head("1", ended_at=900.0, ended_reason="orphaned", image_id=HERE),
        a_head("2", "other", ended_at=100.0),
        a_head("3", ended_at=None),
    ]

    def shown(image_id: ImageId | None = None, **how: Any) -> list[tuple[str, int]]:
        found = trash(ListTrash(**how), image_id, heads, NOW, retention=500.0).sessions
        return [(each.session_id, each.time_until_removal) for each in found]

    first, second, _ = trash(ListTrash(), None, heads, NOW, retention=500.0).sessions
    assert (first.name, first.image_id, first.reason) == (UNSET, HERE, "orphaned")
    assert (second.name, second.image_id, second.client_id) == (UNSET, UNSET, "other")
    assert shown() == [("session_1", 400), ("session_2", 0), ("session_3", 500)]
    assert shown(client_id="other") == [("session_2", 0)]
    assert shown(HERE) == [("session_1", 400)]
    assert shown(HERE, client_id="other") == []
