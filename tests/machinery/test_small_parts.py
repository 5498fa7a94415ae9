"""Addresses, clocks, the timer, the pending table, and what is known of images."""

from __future__ import annotations

import threading
from typing import cast

import pykka
import pytest

from actors.address import Address, Ref
from actors.clocks import Clocks
from actors.gateway.pending import Pending, PendingTable
from actors.images.image_table import ImageEntry, ImageTable
from actors.socket_loop import Socket
from actors.timer import Timer
from protocol.dialects import Origin
from protocol.errors import ImageUnknown, Overloaded
from protocol.ids import ImageId
from protocol.replies import ConnectionStatus
from tests.machinery.parent import Parent
from tests.support.waiting import DEADLINE, eventually


def test_an_address_reaches_whoever_is_there_and_says_when_nobody_is(parent: Parent) -> None:
    address = Address("somebody")
    assert not address.tell("lost")
    address.assign(parent.actor_ref)
    assert address.tell("hello")
    parent.wait_for(lambda told: told == ["hello"], "it was told")
    parent.actor_ref.stop(timeout=DEADLINE)
    assert not address.tell("too late")
    address.assign(None)
    assert not address.tell("too late")


def test_running_time_goes_on_from_what_was_noted_whatever_the_wall_clock_does() -> None:
    now = {"monotonic": 50.0, "wall": 1e9}
    clocks = Clocks(1000.0, lambda: now["monotonic"], lambda: now["wall"])
    assert (clocks.running_time(), clocks.uptime()) == (1000.0, 0.0)
    now["wall"] -= 1e8
    now["monotonic"] += 7
    assert (clocks.running_time(), clocks.uptime()) == (1007.0, 7.0)


class TestTimer:
    def test_messages_come_in_the_order_of_their_times(self) -> None:
        timer, done = Timer(), threading.Event()
        told: list[str] = []
        for name, seconds in (("third", 0.03), ("first", 0.0), ("second", 0.01)):
            timer.after(seconds, told.append, name)
        timer.after(0.04, lambda _: done.set(), None)
        timer.start()
        assert done.wait(DEADLINE)
        timer.stop()
        assert told == ["first", "second", "third"]

    def test_one_that_is_due_sooner_does_not_wait_for_one_asked_for_before(self) -> None:
        timer, done = Timer(), threading.Event()
        timer.start()
        timer.after(3600, lambda _: None, None)
        timer.after(0.01, lambda _: done.set(), None)
        assert done.wait(DEADLINE)
        timer.stop()

    def test_after_its_stop_it_delivers_nothing(self) -> None:
        timer = Timer()
        told: list[str] = []
        timer.after(0, told.append, "dropped")
        timer.stop()
        timer.start()
        timer.join(DEADLINE)
        assert not timer.is_alive()
        assert told == []

    def test_a_message_to_an_actor_that_is_dead_by_then_does_no_harm(self, parent: Parent) -> None:
        timer, done = Timer(), threading.Event()
        timer.start()
        address = Address("gone")
        address.assign(parent.actor_ref)
        parent.actor_ref.stop(timeout=DEADLINE)
        timer.after(0, address.tell, "too late")
        timer.after(0.001, lambda _: done.set(), None)
        assert done.wait(DEADLINE)
        timer.stop()


class TestPendingTable:
    def entry(self, connection: str = "one", owner: str = "gateway") -> Pending:
        return Pending(cast("Socket", None), [], connection, Origin(), owner)

    def test_a_request_is_taken_once(self) -> None:
        table = PendingTable()
        entry = self.entry()
        key = table.add(entry, 10, 10)
        assert table.get(key) is entry
        assert table.take(key) is entry
        assert table.take(key) is None
        assert table.get(key) is None
        assert len(table) == 0

    def test_keys_are_never_used_twice(self) -> None:
        table = PendingTable()
        keys = []
        for _ in range(5):
            keys.append(table.add(self.entry(), 10, 10))
            table.take(keys[-1])
        assert len(set(keys)) == 5

    def test_one_connection_cannot_take_more_than_its_share(self) -> None:
        table = PendingTable()
        keys = [table.add(self.entry("one"), 10, 2) for _ in range(2)]
        with pytest.raises(Overloaded, match="2 requests of this connection"):
            table.add(self.entry("one"), 10, 2)
        table.add(self.entry("two"), 10, 2)
        table.take(keys[0])
        table.add(self.entry("one"), 10, 2)

    def test_all_together_cannot_have_more_than_there_is_room_for(self) -> None:
        table = PendingTable()
        for number in range(3):
            table.add(self.entry(str(number)), 3, 2)
        with pytest.raises(Overloaded, match="3 in all"):
            table.add(self.entry("another"), 3, 2)

    def test_what_an_owner_and_its_children_had_is_taken_together(self) -> None:
        table = PendingTable()
        for owner in ("sessions", "sessions/urn:1", "sessions/urn:2", "images/urn:1"):
            table.add(self.entry(owner=owner), 10, 10)

        def taken(owner: str) -> list[str]:
            entries = [table.take(key) for key in table.keys_of(owner)]
            return [entry.owner for entry in entries if entry is not None]

        assert taken("sessions/urn:1") == ["sessions/urn:1"]
        assert taken("sessions") == ["sessions", "sessions/urn:2"]
        assert taken("") == ["images/urn:1"]


class TestImageTable:
    def entry(self, name: str, status: ConnectionStatus = "Connected") -> ImageEntry:
        return ImageEntry(ImageId(f"id-of-{name}"), name, "tcp://x", status=status)

    def test_an_image_is_found_by_its_id_or_its_name(self) -> None:
        table = ImageTable((self.entry("one"), self.entry("two")))
        assert table.find("two") is table.find("id-of-two") is table.entries[1]

    def test_without_a_name_it_is_the_first_that_is_connected_or_else_the_first(self) -> None:
        away, here = self.entry("one", "Reconnecting"), self.entry("two")
        assert ImageTable((away, here)).find(None) is here
        assert ImageTable((away,)).find(None) is away

    def test_what_is_not_there_or_not_unique_is_said_with_what_is(self) -> None:
        table = ImageTable((self.entry("one"), self.entry("one"), self.entry("two")))
        with pytest.raises(ImageUnknown, match="No image is called 'three'; known images: one"):
            table.find("three")
        with pytest.raises(ImageUnknown, match="Several images are called 'one'"):
            table.find("one")
        with pytest.raises(ImageUnknown, match="There is no image"):
            ImageTable().find(None)

    def test_an_id_wins_over_another_images_name(self) -> None:
        named_like_it = self.entry("id-of-one")
        table = ImageTable((named_like_it, self.entry("one")))
        assert table.find("id-of-one") is table.entries[1]


def test_nothing_that_is_told_is_lost_on_its_way_to_an_actor(parent: Parent) -> None:
    ref: Ref = parent.actor_ref
    for number in range(100):
        ref.tell(number)
    eventually(lambda: parent.told == list(range(100)))
    assert isinstance(ref, pykka.ActorRef)
