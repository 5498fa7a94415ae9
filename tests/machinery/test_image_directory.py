"""Images that move, swap, share an address or are let go: each stays the one that it is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from actors.clocks import Clocks
from actors.messages import ImageChanged, KeepImage
from actors.supervised import Ended
from protocol.errors import ImageDisconnected, InvalidParameter, StorageUnavailable
from protocol.ids import ImageId
from protocol.replies import Images, ImageStatus
from protocol.requests import ConnectImage, DisconnectImage, GetImageConnectionStatus, ListImages
from storage import failpoints
from storage.document import ImageRecord
from tests.support.image_service import ImageService, KeptImages, image_service
from tests.support.images import FakeImage, fake_image
from tests.support.waiting import DEADLINE, eventually

GRACE = 60.0


@pytest.fixture
def image() -> Iterator[FakeImage]:
    with fake_image() as fake:
        yield fake


@pytest.fixture
def legacy() -> Iterator[FakeImage]:
    with fake_image(legacy=True) as fake:
        yield fake


def connect(service: ImageService, address: str, name: str | None = None) -> ImageStatus:
    status = service.ask(ConnectImage(address=address, name=name))
    assert isinstance(status, ImageStatus), status
    return status


def disconnect(service: ImageService, image_id: str) -> ImageStatus:
    status = service.ask(DisconnectImage(image_id=ImageId(image_id)))
    assert isinstance(status, ImageStatus), status
    return status


def status_of(service: ImageService, image_id: str) -> ImageStatus:
    status = service.ask(GetImageConnectionStatus(image_id=ImageId(image_id)))
    assert isinstance(status, ImageStatus), status
    return status


def listed(service: ImageService) -> dict[str, str]:
    images = service.ask(ListImages())
    assert isinstance(images, Images)
    return {each.image_id: each.status for each in images.images}


def move(image: FakeImage) -> None:
    image.close()
    image.endpoint = "tcp://127.0.0.1:*"


# --- who an image is


def test_what_an_image_says_of_itself_is_published(image: FakeImage) -> None:
    image.formats = ("own-1", "stui-graph-1")
    with image_service(images={"mine": image.endpoint}) as service:
        entry = service.wait_for(image.uuid)
        assert (entry.name, entry.address, entry.epoch) == ("mine", image.endpoint, image.epoch)
        assert (entry.dialect, entry.formats) == ("fake", ("own-1", "stui-graph-1"))
        assert entry.isolating
        assert entry.away_since is None
        status = status_of(service, "mine")
        assert status.latency_ms > 0
        assert [change.status for change in status.history] == ["Connected"]


def test_an_image_that_moved_while_it_was_away_is_the_same_one(image: FakeImage) -> None:
    with image_service(images={"mine": image.endpoint}) as service:
        service.wait_for(image.uuid)
        move(image)
        service.wait_for(image.uuid, "Reconnecting")
        image.start_anew()
        status = connect(service, image.endpoint)
        assert (status.image_id, status.name) == (image.uuid, "mine")
        assert [change.status for change in status.history] == [
            *("Connected", "Reconnecting", "Connected")
        ]
        assert listed(service) == {image.uuid: "Connected"}
        eventually(lambda: service.disk.records[image.uuid].address == image.endpoint)


def test_an_image_that_is_renamed_is_the_same_one_under_its_new_name(image: FakeImage) -> None:
    with image_service() as service:
        connect(service, image.endpoint)
        image.close()
        image.name = "renamed"
        image.start_anew()
        eventually(lambda: [entry.name for entry in service.table.entries] == ["renamed"])
        assert service.wait_for(image.uuid).image_id == image.uuid


def test_the_name_that_a_person_gave_stays_and_another_can_be_given(image: FakeImage) -> None:
    with image_service() as service:
        connect(service, image.endpoint, "mine")
        image.close()
        image.name = "renamed"
        image.start_anew()
        eventually(lambda: len(service.changes()) == 3)
        assert service.wait_for(image.uuid).name == "mine"
        assert connect(service, image.endpoint, "ours").name == "ours"
        eventually(lambda: service.disk.records[image.uuid].name == "ours")


def test_another_image_at_the_address_is_one_of_its_own_and_the_first_stays_known(
    image: FakeImage,
) -> None:
    with image_service(images={"mine": image.endpoint}) as service:
        service.wait_for(image.uuid)
        with fake_image("second") as second:
            image.close()
            second.close()
            second.endpoint = image.endpoint
            second.start()
            assert service.wait_for(second.uuid).name == "second"
            first = service.wait_for(image.uuid, "Disconnected")
            assert first.name == "mine"
            assert first.away_since is not None
            status = status_of(service, "mine")
            assert "another image answers at its address" in status.history[-1].reason
        service.wait_for(second.uuid, "Reconnecting")
        image.start()
        assert service.wait_for(image.uuid).name == "mine"
        service.wait_for(second.uuid, "Disconnected")


def test_an_image_that_turns_into_another_while_it_is_connected_gets_nothing_of_the_first(
    image: FakeImage,
) -> None:
    with image_service(images={"mine": image.endpoint}) as service:
        entry = service.wait_for(image.uuid)
        image.holding = {"evaluate"}
        parameters = {"session": "s", "code": "1", "request": "r", "epoch": entry.epoch}
        tag = service.call(image.uuid, "evaluate", parameters=parameters, request="r")
        image.wait_for("evaluate")
        first, image.uuid = image.uuid, "fake-another"
        service.wait_for("fake-another")
        service.wait_for(first, "Disconnected")
        refused = service.call(first, "evaluate", parameters=parameters, request="r2")
        assert isinstance(service.answer_to(refused).outcome, ImageDisconnected)
        assert len(image.asked_for("evaluate")) == 1
        image.uuid = first
        service.wait_for(first)
        image.reply(image.wait_for("evaluate", 2), {})
        assert service.answer_to(tag).outcome.error_code == "image_failed"


def test_two_addresses_of_one_image_are_one_image(tmp_path: object) -> None:
    with fake_image("a") as first, fake_image("b") as second:
        second.uuid, second.epoch = first.uuid, first.epoch
        with image_service() as service:
            connect(service, first.endpoint, "mine")
            again = connect(service, second.endpoint)
            assert (again.image_id, again.address) == (first.uuid, first.endpoint)
            assert listed(service) == {first.uuid: "Connected"}
            first.close()
            eventually(
                lambda: (
                    (entry := service.wait_for(first.uuid)) is not None
                    and entry.address == second.endpoint
                )
            )


def test_images_that_shared_an_address_are_told_apart_after_a_restart(image: FakeImage) -> None:
    disk = KeptImages()
    with image_service(disk, images={"mine": image.endpoint}) as service:
        service.wait_for(image.uuid)
        first, image.uuid = image.uuid, "fake-another"
        service.wait_for("fake-another")
        eventually(lambda: "fake-another" in disk.records)
    with image_service(disk, images={"mine": image.endpoint}) as service:
        service.wait_for("fake-another")
        service.wait_for(first, "Disconnected")
        assert len(service.table.entries) == 2
        image.uuid = first
        service.wait_for(first)


# --- letting go


@pytest.mark.parametrize("is_legacy", [False, True])
def test_an_image_that_is_let_go_is_found_again_as_the_same_one(is_legacy: bool) -> None:
    with fake_image(legacy=is_legacy) as fake:
        disk = KeptImages()
        with image_service(disk) as service:
            image_id = connect(service, fake.endpoint, "mine").image_id
            epoch = service.wait_for(image_id).epoch
            assert disconnect(service, "mine").status == "Disconnected"
            assert listed(service) == {}
            assert not disk.records[image_id].wanted
            since = service.table.away_since(image_id)
            assert since is not None
            assert service.table.is_orphaning(image_id, since + GRACE, GRACE)
            last = service.changes()[-1]
            assert (last.image_id, last.status) == (image_id, "Disconnected")
        with image_service(disk) as service:
            assert listed(service) == {}
            assert service.table.away_since(image_id) == since
            again = connect(service, fake.endpoint)
            assert (again.image_id, again.name, again.epoch) == (image_id, "mine", epoch)
            assert service.table.away_since(image_id) is None
            assert disk.records[image_id].wanted


def test_an_image_that_is_let_go_where_another_one_was_can_be_asked_for_again(
    image: FakeImage,
) -> None:
    with image_service(images={"mine": image.endpoint}) as service:
        service.wait_for(image.uuid)
        first, image.uuid = image.uuid, "fake-another"
        service.wait_for("fake-another")
        disconnect(service, "fake-another")
        assert listed(service) == {first: "Disconnected"}
        assert connect(service, image.endpoint).image_id == "fake-another"


def test_an_image_is_not_let_go_while_the_disk_refuses(image: FakeImage) -> None:
    with image_service() as service:
        connect(service, image.endpoint)
        service.disk.error = StorageUnavailable("the disk is full")
        outcome = service.ask(DisconnectImage(image_id=ImageId(image.uuid)))
        assert isinstance(outcome, StorageUnavailable)
        assert listed(service) == {image.uuid: "Connected"}
        service.disk.error = None
        disconnect(service, image.uuid)
        assert listed(service) == {}


def test_of_the_images_that_are_let_go_the_one_away_longest_is_forgotten(image: FakeImage) -> None:
    disk = KeptImages()
    for number in range(256):
        disk.records[f"old-{number}"] = ImageRecord(
            image_id=ImageId(f"old-{number}"),
            address=f"tcp://127.0.0.1:{number + 1}",
            name=f"old {number}",
            wanted=False,
            away_since=float(number),
        )
    disk.ran = 1000.0
    with image_service(disk) as service:
        connect(service, image.endpoint)
        disconnect(service, image.uuid)
        eventually(lambda: "old-0" not in disk.records)
        assert len(disk.records) == 256
        assert service.table.away_since(ImageId("old-1")) == 1.0
        since = service.table.away_since(ImageId("old-0"))
        assert since is not None
        assert since >= 1000.0, "it counts as unknown: away since the service began"


def test_a_name_is_given_once(image: FakeImage) -> None:
    with image_service() as service:
        connect(service, image.endpoint, "mine")
        outcome = service.ask(ConnectImage(address="tcp://127.0.0.1:1", name="mine"))
        assert isinstance(outcome, InvalidParameter)


def test_the_name_of_an_image_that_is_away_is_for_that_image_alone(image: FakeImage) -> None:
    with image_service() as service, fake_image("second") as second:
        connect(service, image.endpoint, "mine")
        move(image)
        service.wait_for(image.uuid, "Reconnecting")
        outcome = service.ask(ConnectImage(address=second.endpoint, name="mine"))
        assert isinstance(outcome, InvalidParameter)
        assert listed(service) == {image.uuid: "Reconnecting"}
        image.start_anew()
        moved = connect(service, image.endpoint, "mine")
        assert (moved.image_id, moved.name) == (image.uuid, "mine")


# --- since when it is away


def test_an_image_that_is_away_is_so_since_a_time_that_a_restart_does_not_renew(
    image: FakeImage,
) -> None:
    disk = KeptImages()
    with image_service(disk, images={"mine": image.endpoint}) as service:
        service.wait_for(image.uuid)
        image.close()
        since = service.wait_for(image.uuid, "Reconnecting").away_since
        eventually(lambda: disk.records[image.uuid].away_since == since)
    disk.ran += 30.0
    with image_service(disk, images={"mine": image.endpoint}) as service:
        entry = service.wait_for(image.uuid, "Disconnected")
        assert entry.away_since == since
        now = service.clocks.running_time()
        assert service.table.is_orphaning(ImageId(image.uuid), now, grace=30.0)
        image.start()
        service.wait_for(image.uuid)
        assert not service.table.is_orphaning(ImageId(image.uuid), now + 1e9, grace=30.0)
        eventually(lambda: disk.records[image.uuid].away_since is None)


def test_an_image_that_was_there_when_the_service_ended_is_away_since_the_next_began(
    image: FakeImage,
) -> None:
    disk = KeptImages()
    with image_service(disk, images={"mine": image.endpoint}) as service:
        service.wait_for(image.uuid)
        eventually(lambda: image.uuid in disk.records)
    image.close()
    disk.ran = 5000.0
    with image_service(disk) as service:
        since = service.wait_for(image.uuid, "Disconnected").away_since
        assert since is not None
        assert since >= 5000.0


def test_a_flicker_is_not_written_down(image: FakeImage) -> None:
    with image_service(images={"mine": image.endpoint}) as service:
        service.wait_for(image.uuid)
        eventually(lambda: service.disk.writes)
        image.close()
        image.start()
        eventually(lambda: [each.status for each in service.changes()][-2:] == [
            *("Reconnecting", "Connected")
        ])  # fmt: skip
        seen = time.monotonic()
        eventually(lambda: time.monotonic() - seen > 1.2)  # when it would have been written
        kept = [write for write in service.disk.writes if isinstance(write, KeepImage)]
        assert len(kept) == 1


# --- what sessions are told


def test_sessions_are_told_of_every_change_of_status_or_epoch_once(image: FakeImage) -> None:
    with image_service(images={"mine": image.endpoint}) as service:
        first = service.wait_for(image.uuid).epoch
        image.close()
        service.wait_for(image.uuid, "Reconnecting")
        image.start_anew()
        eventually(lambda: (entry := service.entry(image.uuid)) and entry.epoch == image.epoch)
        image.epoch = "anew-in-place"
        eventually(lambda: (entry := service.entry(image.uuid)) and entry.epoch == image.epoch)
        eventually(lambda: len(service.changes()) >= 4)  # told after it was published
        second = service.changes()[2].epoch
        told = [(each.status, each.epoch) for each in service.changes()]
        assert told == [
            ("Connected", first),
            ("Reconnecting", first),
            ("Connected", second),
            ("Connected", "anew-in-place"),
        ]
        assert all(each.image_id == image.uuid for each in service.changes())
        assert service.changes()[1].reason == "the connection was lost"


# --- legacy images


def test_a_legacy_image_has_one_epoch_for_each_of_its_lives(legacy: FakeImage) -> None:
    with image_service(images={"old": legacy.endpoint}) as service:
        entry = service.wait_for_any()
        assert entry.epoch
        assert not entry.isolating
        legacy.close()
        service.wait_for(entry.image_id, "Reconnecting")
        legacy.start()
        assert service.wait_for(entry.image_id).epoch == entry.epoch
        legacy.start_anew()
        eventually(
            lambda: (
                (now := service.entry(entry.image_id))
                and now.status == "Connected"
                and now.epoch not in {"", entry.epoch}
            )
        )


@pytest.mark.parametrize(
    ("jump", "restarted", "is_same"), [(0.0, False, True), (0.0, True, False), (60.0, False, False)]
)
def test_a_legacy_image_is_known_again_by_when_it_was_started(
    legacy: FakeImage, jump: float, restarted: bool, is_same: bool
) -> None:
    disk = KeptImages()
    with image_service(disk, images={"old": legacy.endpoint}) as service:
        before = service.wait_for_any()
    if restarted:
        legacy.start_anew()
    clocks = Clocks(ran_before=disk.ran, wall=lambda: time.time() + jump)
    with image_service(disk, clocks, images={"old": legacy.endpoint}) as service:
        after = service.wait_for_any()
        assert after.image_id == before.image_id
        assert (after.epoch == before.epoch) is is_same


def test_a_full_image_where_a_legacy_one_was_is_another(legacy: FakeImage) -> None:
    with image_service(images={"old": legacy.endpoint}) as service:
        old = service.wait_for_any()
        legacy.close()
        with fake_image("new") as new:
            new.close()
            new.endpoint = legacy.endpoint
            new.start()
            service.wait_for(new.uuid)
            service.wait_for(old.image_id, "Disconnected")
        legacy.start()
        assert service.wait_for(old.image_id).epoch == old.epoch


# --- connections that die


def test_a_connection_that_dies_again_and_again_is_started_ever_later(image: FakeImage) -> None:
    with image_service(images={"mine": image.endpoint}) as service:
        service.wait_for(image.uuid)
        began = time.monotonic()
        failpoints.arm("image.receive", "raise", times=4)

        def deaths() -> int:
            return sum(isinstance(each, Ended) for each in service.ear.told)

        eventually(lambda: deaths() == 4)
        service.wait_for(image.uuid)
        assert time.monotonic() - began >= 0.1 + 0.2 + 0.4
        history = status_of(service, "mine").history
        assert history[0].status == "Connected"
        assert "its connection died" in {change.reason for change in history}


def test_the_directory_that_dies_leaves_nothing_that_its_successor_does_not_find(
    image: FakeImage,
) -> None:
    with image_service(images={"mine": image.endpoint}) as service:
        service.wait_for(image.uuid)
        failpoints.arm("images.receive", "raise")
        assert failpoints.wait_for_hit("images.receive", DEADLINE)

        def left_behind() -> bool:
            entry = service.entry(image.uuid)
            assert entry is not None
            return (entry.ref, entry.status) == (None, "Reconnecting")

        eventually(left_behind)
        entry = service.entry(image.uuid)
        assert entry is not None
        assert entry.away_since is not None
        service.start_directory()
        assert service.wait_for(image.uuid).away_since is None
        assert isinstance(service.changes()[-1], ImageChanged)
