"""The Gateway at the end: what is under way may end, and nothing new is taken in."""

from __future__ import annotations

from actors.gateway.gateway import Drain
from actors.messages import Answer, Restarted
from protocol.replies import Trash
from tests.machinery.parent import Parent
from tests.machinery.stage import Stage
from tests.support.waiting import DEADLINE
from tests.support.wire import Wire


def drain(stage: Stage) -> None:
    stage.door.draining = True
    stage.gateway.tell(Drain())


def kill(stage: Stage, parent: Parent) -> None:
    stage.gateway.tell(Answer([], None))  # type: ignore[arg-type]  # deadly
    parent.wait_for_end(stage.gateway)


def test_it_is_drained_when_the_last_request_is_answered(stage: Stage, wire: Wire) -> None:
    sent = wire.send("cleanup_image_sessions", image_id="i")
    request = stage.next_request(stage.janitor)
    drain(stage)
    assert not stage.door.drained.is_set()
    stage.gateway.tell(Answer(request.key, Trash(sessions=[])))
    assert stage.door.drained.wait(DEADLINE)
    wire.result(sent)


def test_it_is_drained_when_those_who_had_the_last_requests_die(stage: Stage, wire: Wire) -> None:
    sent = wire.send("cleanup_image_sessions", image_id="i")
    stage.next_request(stage.janitor)
    drain(stage)
    stage.gateway.tell(Restarted("janitor"))
    assert stage.door.drained.wait(DEADLINE)
    assert wire.receive(sent)["error_code"] == "session_restarted"


def test_a_successor_of_one_that_died_draining_takes_nothing_in(
    stage: Stage, wire: Wire, parent: Parent
) -> None:
    sent = wire.send("cleanup_image_sessions", image_id="i")
    stage.next_request(stage.janitor)
    stage.door.draining = True
    kill(stage, parent)
    stage.start()
    assert stage.door.drained.wait(DEADLINE)
    assert wire.receive(sent)["error_code"] == "session_restarted"
    wire.send("ping")
    kill(stage, parent)  # so that its sockets are this thread's
    assert stage.door.sockets[0].poll(int(DEADLINE * 1000)), "nobody has taken it"
