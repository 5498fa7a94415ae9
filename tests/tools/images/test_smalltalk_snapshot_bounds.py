"""What bounds and disturbs snapshots of the Smalltalk image: new classes, time, size, damage."""

import random
from collections.abc import Iterator

import pytest

from tests.tools.images.graphs import FORMAT
from tests.tools.images.image_client import (
    ImageClient,
    ImageProcess,
    fresh_name,
    result_of,
    running_image,
)
from tests.tools.images.smalltalk_process import command
from tests.tools.images.smalltalk_snapshots import (
    by_name,
    copied,
    define_classes,
    restore,
    run,
    shown,
    snapshot,
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageProcess]:
    with running_image(command(tmp_path_factory.mktemp("state"))) as image:
        with ImageClient(image.endpoint) as client:
            define_classes(client)
        yield image


def large(client: ImageClient, session: str) -> None:
    """A workspace whose snapshot takes far longer than anyone waits."""
    run(client, session, "x := (1 to: 300000) collect: [ :i | Node new value: i ]. y := 8")


class TestClassesThatChange:
    def test_what_still_fits_is_restored_and_the_rest_is_told(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "Object subclass: #Car slots: {#wheels. #doors. #wings} package: 'S'")
        run(client, session, "x := Car new. x instVarNamed: 'wheels' put: 4")
        run(client, session, "x instVarNamed: 'doors' put: 5. y := {x}. z := Car new")
        taken = snapshot(client, session)
        run(client, session, "Object subclass: #Car slots: {#wheels. #roof} package: 'S'")
        other = fresh_name("session")
        told = by_name(restore(client, other, taken["data"]))
        assert [told[name]["fate"] for name in "xyz"] == ["partial", "partial", "restored"]
        assert "doors" in told["x"]["reason"]
        assert "wings" not in told["x"]["reason"]  # it was nil
        assert "roof" in told["x"]["reason"]
        assert shown(client, other, "x instVarNamed: 'wheels'") == "4"
        assert (
            shown(client, other, "(x instVarNamed: 'roof') isNil and: [ y first == x ]") == "true"
        )

    def test_a_class_that_is_gone_is_named(self, client: ImageClient, session: str) -> None:
        run(client, session, "Object subclass: #Gone slots: {#a} package: 'S'")
        run(client, session, "x := Gone new. y := {x. 2}. z := Gone")
        taken = snapshot(client, session)
        assert {each["restorable"] for each in taken["variables"]} == {True}
        run(client, session, "Smalltalk removeClass: Gone")
        told = by_name(snapshot(client, session))
        assert {each["restorable"] for each in told.values()} == {False}
        back = by_name(restore(client, fresh_name("session"), taken["data"]))
        assert [back[name]["fate"] for name in "xyz"] == ["lost", "partial", "lost"]
        assert all("Gone" in back[name]["reason"] + back[name]["print_string"] for name in "xyz")
        # It comes back when the class does.
        run(client, session, "Object subclass: #Gone slots: {#a} package: 'S'")
        back = by_name(restore(client, fresh_name("session"), taken["data"]))
        assert {each["fate"] for each in back.values()} == {"restored"}

    def test_a_collection_whose_class_is_gone_keeps_its_elements(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "Array subclass: #Pile slots: {#top} package: 'S'")
        run(client, session, "x := Pile new add: 7; yourself")
        taken = snapshot(client, session)
        run(client, session, "Smalltalk removeClass: Pile")
        other = fresh_name("session")
        told = by_name(restore(client, other, taken["data"]))["x"]
        assert (told["fate"], "Pile" in told["reason"]) == ("partial", True)
        assert shown(client, other, "x") == "an Array (7)"

    def test_instances_of_a_class_that_got_another_superclass_become_its_new_ones(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "Object subclass: #Boat slots: {#sails} package: 'S'")
        run(client, session, "x := Boat new. x instVarNamed: 'sails' put: 3")
        run(client, session, "Node subclass: #Boat slots: {#sails} package: 'S'")
        other, told = copied(client, session)
        assert told["x"]["fate"] == "restored"
        assert (
            shown(client, other, "x class == Boat and: [ (x instVarNamed: 'sails') = 3 ]") == "true"
        )


class TestBounds:
    def test_it_gives_way_to_an_evaluation_and_is_done_later(
        self, client: ImageClient, session: str
    ) -> None:
        large(client, session)
        taken = client.send("snapshot_workspace", session=session)
        asked = client.send_code(fresh_name("session"), "3 + 4")
        reply = client.receive(taken)
        assert reply["error_code"] == "snapshot_given_up"
        assert "asked meanwhile" in reply["details"]["reason"]
        assert result_of(client.receive(asked))["result"] == "7"
        result = snapshot(client, session)
        assert result["object_count"] == 300_001

    def test_it_does_not_give_way_to_pings_and_other_snapshots(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "x := (1 to: 50000) collect: [ :i | {i} ]")
        sent = [client.send("snapshot_workspace", session=session) for _ in range(3)]
        assert client.do("ping")["busy"] is False
        assert {result_of(client.receive(each))["object_count"] for each in sent} == {50_001}

    def test_it_takes_no_longer_than_it_may(self, client: ImageClient, session: str) -> None:
        large(client, session)
        error = client.fail("snapshot_workspace", session=session, most_seconds=0.01)
        assert error.code == "snapshot_given_up"
        assert "0.01 s" in error.details["reason"]
        assert shown(client, session, "y") == "8"

    def test_one_that_packs_well_is_not_too_large(self, client: ImageClient, session: str) -> None:
        run(client, session, "x := ((1 to: 20000) collect: [ :i | 'aaaaaaaa' ])")
        data = snapshot(client, session, most_bytes=2_000)["data"]
        assert len(data) <= 2_000
        error = client.fail("snapshot_workspace", session=session, most_bytes=len(data) - 1)
        assert error.code == "snapshot_too_large"

    def test_holes_without_end_are_too_large(self, client: ImageClient, session: str) -> None:
        run(client, session, "x := Array new: 4294967295. y := 8")
        error = client.fail("snapshot_workspace", session=session, most_bytes=100_000)
        assert error.code == "snapshot_too_large"
        assert shown(client, session, "y") == "8"

    def test_an_object_that_prints_without_end_holds_nobody_up(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "Object subclass: #Endless slots: {} package: 'S'")
        run(client, session, "Endless compile: 'printOn: s [ true ] whileTrue: []' protocol: 'a'")
        names = [f"x{i}" for i in range(50)]
        run(client, session, ". ".join(f"{name} := Endless new" for name in names) + ". nil")
        told = snapshot(client, session)["variables"]
        _, back = copied(client, session)
        for each in (told, list(back.values())):
            assert each[0]["print_string"] == "a Endless (printing failed: it takes too long)"
            assert each[-1]["print_string"] == "an Endless", "the time for all is not over"
        assert {each["restorable"] for each in told} == {True}
        assert {each["fate"] for each in back.values()} == {"restored"}

    def test_an_object_that_cannot_print_itself_is_told_all_the_same(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "Object subclass: #Shy slots: {} package: 'S'")
        run(
            client,
            session,
            "Shy compile: 'printOn: s self error: ''no'', (String new: 900)' protocol: 'a'",
        )
        run(client, session, "x := Shy new. y := {x}")
        for each in snapshot(client, session)["variables"]:
            assert 0 < len(each["print_string"]) <= 200
            assert each["restorable"] is True

    def test_printing_stops_at_once_where_nobody_reads_on(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "Object subclass: #Counting slots: {#printed} package: 'S'")
        run(client, session, "Counting compile: 'printed ^ printed ifNil: [ 0 ]' protocol: 'a'")
        counts = "printOn: s printed := self printed + 1. s nextPutAll: ''one''"
        run(client, session, f"Counting compile: '{counts}' protocol: 'a'")
        run(client, session, "c := Counting new. x := (1 to: 10000) collect: [ :i | c ]. nil")
        one = by_name(snapshot(client, session))["x"]
        assert one["print_string"].startswith("an Array (one one one")
        assert one["print_string"].endswith("…")
        assert len(one["print_string"]) == 200
        assert int(shown(client, session, "c printed")) < 100


class TestDamage:
    def test_no_flipped_bit_and_no_cut_is_taken_for_a_snapshot(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "x := (1 to: 50) collect: [ :i | Node new value: i printString ]")
        data = snapshot(client, session)["data"]
        run(client, session, "y := 8")
        chance = random.Random(7)
        damaged = [data[:at] for at in chance.sample(range(len(data)), 40)]
        for _ in range(150):
            characters = bytearray(data.encode())
            characters[chance.randrange(len(data))] ^= 1 << chance.randrange(7)
            damaged.append(characters.decode())
        for wrong in damaged:
            error = client.fail("restore_workspace", session=session, format=FORMAT, data=wrong)
            assert error.code == "snapshot_damaged"
        assert shown(client, session, "x size + y") == "58"
