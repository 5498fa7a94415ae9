"""The parts of an image's connection that need no socket: output, lives, turns, writes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.images.image_calls import CallTable
from actors.images.image_health import Moment
from actors.images.image_identity import Expected, LegacyLife, made_up_id
from actors.images.image_known import Backoff
from actors.images.image_output import PIECE_CHARACTERS, Output
from actors.images.image_table import ImageEntry, ImageTable
from actors.images.image_turns import Turns
from actors.messages import ImageCall
from protocol.ids import ImageId
from protocol.image_messages import ImageIdentity, ImagePing
from storage.document import ImageRecord

# --- output


def test_a_little_output_goes_on_at_once_as_it_came() -> None:
    output = Output()
    assert [output.add(f"{number}", now=0.0) for number in range(100)] == [
        str(number) for number in range(100)
    ]
    assert not output.waits


def test_one_piece_is_cut() -> None:
    assert len(Output().add("x" * (PIECE_CHARACTERS + 1), now=0.0)) == PIECE_CHARACTERS


@given(st.lists(st.tuples(st.text(min_size=1, max_size=20), st.floats(0, 0.02)), max_size=400))
def test_much_output_is_gathered_and_arrives_in_its_order(pieces: list[tuple[str, float]]) -> None:
    output, told, now, sent = Output(), 0, 0.0, ""
    for text, seconds in pieces:
        now += seconds
        if at_once := output.add(text, now):
            told, sent = told + 1, sent + at_once
        elif len(pieces) % 3 == 0:
            sent += output.take()
    sent += output.take()
    assert sent == "".join(text for text, _ in pieces)
    assert told <= 100 + 20 * now + 1


def test_of_a_flood_the_beginning_and_the_end_arrive() -> None:
    output = Output()
    for _ in range(100):
        output.add("x", now=0.0)
    for number in range(100_000):
        assert not output.add(f"{number}\n", now=0.0)
    taken = output.take()
    assert len(taken) <= PIECE_CHARACTERS
    assert taken.startswith("0\n1\n2\n")
    assert taken.endswith("99998\n99999\n")
    assert "characters left out" in taken
    assert not output.waits


# --- lives of legacy images


def moment(seconds: float, jump: float = 0.0) -> Moment:
    return Moment(1000.0 + seconds, 1_700_000_000.0 + seconds + jump)


def test_a_life_goes_on_while_the_uptime_grows_whatever_the_wall_clock_does() -> None:
    life = LegacyLife.seen(100, moment(0))
    for over_new_link in (False, True):
        on = life.goes_on(160, moment(60, jump=86_400), over_new_link=over_new_link)
        assert on is not None
        assert (on.epoch, on.started_at) == (life.epoch, life.started_at)


def test_a_falling_uptime_is_another_life() -> None:
    life = LegacyLife.seen(100, moment(0))
    assert life.goes_on(99, moment(1), over_new_link=False) is None


def test_an_uptime_that_is_too_short_is_another_life_where_the_connection_is_another() -> None:
    life = LegacyLife.seen(1, moment(0))
    assert life.goes_on(2, moment(60), over_new_link=True) is None
    assert life.goes_on(2, moment(60), over_new_link=False) is not None, "it cannot tell"
    assert life.goes_on(57, moment(60), over_new_link=True) is not None, "within the tolerance"


def test_a_life_that_was_stored_goes_on_where_its_start_fits() -> None:
    stored = LegacyLife("the-epoch", started_at=moment(0).wall)
    again = stored.goes_on(3600, moment(3604), over_new_link=True)
    assert again is not None
    assert again.epoch == "the-epoch"
    assert again.goes_on(3660, moment(3664, jump=999), over_new_link=True) is not None
    for other in (
        stored.goes_on(3600, moment(3606), over_new_link=True),
        stored.goes_on(3600, moment(3600, jump=60), over_new_link=True),
        stored.goes_on(3600, moment(3594), over_new_link=True),
    ):
        assert other is None


def test_every_life_has_an_epoch_of_its_own() -> None:
    assert LegacyLife.seen(1, moment(0)).epoch != LegacyLife.seen(1, moment(0)).epoch


def test_only_the_expected_image_is_taken() -> None:
    full = ImagePing(image=ImageIdentity(uuid=ImageId("u"), epoch="e"))
    another = ImagePing(image=ImageIdentity(uuid=ImageId("v"), epoch="e"))
    legacy = ImagePing()
    known = Expected.image(ImageId("u"), "", None)
    old = Expected.image(made_up_id(), "", None)
    assert [known.is_met_by(ping) for ping in (full, another, legacy)] == [True, False, False]
    assert [old.is_met_by(ping) for ping in (full, another, legacy)] == [False, False, True]
    assert all(Expected(anybody=True).is_met_by(ping) for ping in (full, another, legacy))


# --- calls and turns


def call(request: str | None = None) -> ImageCall:
    return ImageCall(None, 1, "evaluate", {}, request=request)


def test_all_who_wait_for_one_evaluation_are_found_until_they_are_answered() -> None:
    table = CallTable()
    one, two, other = (table.add(call(name), None) for name in ("r", "r", "another"))
    assert table.of_request("r") == [one, two]
    table.remove(one)
    table.remove(one)
    assert table.of_request("r") == [two]
    table.remove(two)
    assert table.of_request("r") == []
    assert [each.id for each in table] == [other.id]
    assert one not in table


def test_a_legacy_image_has_one_call_at_a_time_in_the_order_of_their_coming() -> None:
    turns, table = Turns(), CallTable()
    calls = [table.add(call(), None) for _ in range(3)]
    for each in calls:
        turns.wait(each)
    for each in calls:
        assert turns.next() is each
        assert turns.next() is None
        turns.free()
    assert turns.next() is None


# --- who dies again and again


def test_a_connection_that_keeps_dying_is_started_ever_later_until_it_was_stable() -> None:
    backoff = Backoff()
    delays = [backoff.after(0.0) for _ in range(12)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-2:] == [30.0, 30.0]
    assert backoff.after(6.0) == 0.1
    assert backoff.after(0.0) == 0.2


# --- since when an image is away


def record(name: str, **more: Any) -> ImageRecord:
    return ImageRecord(image_id=ImageId(name), address="tcp://x:1", name=name, **more)


def test_images_that_were_known_are_away_since_what_was_stored_or_since_the_start() -> None:
    table = ImageTable.known(
        [record("here"), record("away", away_since=50.0),
         record("unwanted", wanted=False, away_since=70.0)],
        since=100.0,
    )  # fmt: skip
    assert [entry.image_id for entry in table.entries] == ["here", "away"]
    since = {name: table.away_since(ImageId(name)) for name in ("here", "away", "unwanted", "none")}
    assert since == {"here": 100.0, "away": 50.0, "unwanted": 70.0, "none": 100.0}


def test_an_image_is_orphaning_when_its_grace_is_over_and_never_while_it_is_connected() -> None:
    here = ImageEntry(ImageId("here"), "here", "tcp://x:1", status="Connected")
    away = ImageEntry(ImageId("away"), "away", "tcp://x:2", away_since=100.0)
    table = ImageTable((here, away), {ImageId("unwanted"): 150.0}, since=200.0)
    orphaning = {
        name: [table.is_orphaning(ImageId(name), now, grace=60.0) for now in (159.0, 160.0, 260.0)]
        for name in ("here", "away", "unwanted", "none")
    }
    assert orphaning == {
        "here": [False, False, False],
        "away": [False, True, True],
        "unwanted": [False, False, True],
        "none": [False, False, True],
    }
    assert not ImageTable().is_orphaning(ImageId("none"), 1e9, grace=60.0), "not known yet"
