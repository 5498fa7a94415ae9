"""What is written about images arrives in order, once for each who waits, and last said counts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from actors.images.image_storing import ImageStoring, StoreAgain
from actors.messages import Committed, ForgetImage, KeepImage, Refused
from protocol.errors import StorageUnavailable, StuiError
from protocol.ids import ImageId
from storage.document import ImageRecord

FULL = StorageUnavailable("the disk is full")


class Desk:
    """Storing with a writer and a timer that do what the test says."""

    def __init__(self) -> None:
        self.told: list[KeepImage | ForgetImage] = []
        self.alarms: list[StoreAgain] = []
        self.disk: dict[ImageId, ImageRecord] = {}
        services = SimpleNamespace(
            writer=SimpleNamespace(tell=self.told.append),
            timer=SimpleNamespace(tell=lambda _seconds, _ref, message: self.alarms.append(message)),
        )
        self.storing = ImageStoring(cast("Any", services), cast("Any", None))
        self.ends: list[tuple[str, StuiError | None]] = []

    def keep(self, name: str, insists: bool, image: str = "i") -> None:
        record = ImageRecord(image_id=ImageId(image), address="tcp://x:1", name=name)
        self.storing.keep(record, lambda error: self.ends.append((name, error)), insists=insists)

    def commit(self) -> None:
        message = self.told.pop(0)
        if isinstance(message, KeepImage):
            self.disk[message.image.image_id] = message.image
        else:
            self.disk.pop(message.image_id, None)
        self.storing.committed(Committed(message.token))

    def refuse(self) -> None:
        self.storing.refused(Refused(self.told.pop(0).token, FULL))

    def ring(self) -> None:
        self.storing.again(self.alarms.pop(0))


def test_writes_of_one_image_go_one_after_the_other_and_of_two_at_once() -> None:
    desk = Desk()
    desk.keep("one", insists=True)
    desk.keep("two", insists=False)
    desk.keep("other", insists=True, image="another")
    assert len(desk.told) == 2
    desk.commit()
    assert desk.ends == [("one", None)]
    desk.commit()
    desk.commit()
    assert desk.disk[ImageId("i")].name == "two"


def test_what_was_refused_is_tried_again_but_not_over_what_is_said_later() -> None:
    desk = Desk()
    desk.keep("old", insists=True)
    desk.refuse()
    assert desk.ends == [("old", FULL)]
    desk.keep("new", insists=True)
    desk.commit()
    desk.ring()
    assert not desk.told, "the old one is not written over the new one"
    assert desk.disk[ImageId("i")].name == "new"


def test_what_insists_is_tried_until_it_is_written_and_the_rest_once() -> None:
    desk = Desk()
    desk.keep("once", insists=False)
    desk.refuse()
    assert (desk.told, desk.alarms) == ([], [])
    desk.keep("insisting", insists=True)
    for _ in range(3):
        desk.refuse()
        desk.ring()
    desk.commit()
    assert desk.disk[ImageId("i")].name == "insisting"
    assert desk.ends == [("once", FULL), ("insisting", FULL)]


def test_a_writer_that_was_restarted_is_told_again_and_a_late_answer_counts_once() -> None:
    desk = Desk()
    desk.keep("one", insists=True)
    desk.storing.writer_restarted()
    assert len(desk.told) == 2
    desk.commit()
    desk.commit()
    assert desk.ends == [("one", None)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["insist", "once", "commit", "refuse", "ring", "forget"]),
        st.sampled_from("ij"),
    ),
    max_size=60,
)


@given(STEPS)
def test_everybody_is_answered_once_and_nothing_is_left_undone(
    steps: list[tuple[str, str]],
) -> None:
    desk, asked = Desk(), 0
    for number, (step, image) in enumerate(steps):
        match step:
            case "insist" | "once":
                desk.keep(str(number), insists=step == "insist", image=image)
                asked += 1
            case "forget":
                desk.storing.forget(ImageId(image))
            case "commit" if desk.told:
                desk.commit()
            case "refuse" if desk.told:
                desk.refuse()
            case "ring" if desk.alarms:
                desk.ring()
        of_images = [m.image.image_id if isinstance(m, KeepImage) else m.image_id
                     for m in desk.told]  # fmt: skip
        assert len(set(of_images)) == len(of_images), "one under way for each image"
    last = {image: str(number) for number, (step, image) in enumerate(steps) if step == "insist"}
    while desk.told or desk.alarms:
        if desk.told:
            desk.commit()
        else:
            desk.ring()
    names = [name for name, _ in desk.ends]
    assert sorted(names) == sorted(set(names))
    assert len(names) == asked
    for image, name in last.items():
        later = [step for number, (step, each) in enumerate(steps)
                 if each == image and number > int(name)]  # fmt: skip
        if not {"once", "forget"} & set(later):
            assert desk.disk[ImageId(image)].name == name
