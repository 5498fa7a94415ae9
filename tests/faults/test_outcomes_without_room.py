"""Code that ran through a restart of the backend ends on a full disk: its outcome is kept."""

from __future__ import annotations

from pathlib import Path

from storage import failpoints
from tests.support.backend import running_backend
from tests.support.images import evaluated, fake_image
from tests.support.waiting import eventually
from tests.support.wire import Message, result_of, unique_id


def test_who_asks_again_for_code_that_ran_through_a_restart_is_told_to_wait_for_room(
    tmp_path: Path,
) -> None:
    request = unique_id()
    with (
        fake_image() as image,
        running_backend(tmp_path, images={"fake": image.endpoint}) as backend,
    ):
        image.holding = {"evaluate"}
        backend.wait_for_image("fake")
        with backend.client(dealer=True) as client:
            session = client.new_session(image_id="fake")
            client.send_as(request, "evaluate", session_id=session, code="long")
            image.wait_for("evaluate")
        backend.restart()
        backend.wait_for_image("fake")
        with backend.client(dealer=True) as client:
            client.send_as(request, "evaluate", session_id=session, code="long")
            image.wait_for("evaluate", 2)
            failpoints.arm("store.commit.before", "raise", "ENOSPC", times=1000)
            for each in image.asked_for("evaluate"):
                image.reply(each, evaluated("done"))
            refused = client.receive(request)
            assert (refused["error_code"], refused["retryable"]) == ("storage_unavailable", True)
            failpoints.disarm_all()

            def outcome() -> Message | None:
                client.send_as(request, "evaluate", session_id=session, code="long")
                reply = client.receive(request)
                return None if reply.get("retryable") else result_of(reply)

            result = eventually(outcome)
            assert result is not None
            assert (result["result"], result["evaluation"]) == ("done", 1)
