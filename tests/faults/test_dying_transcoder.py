from __future__ import annotations

from pathlib import Path

import pytest

from storage import failpoints
from tests.support.backend import running_backend


@pytest.mark.parametrize("cbor", [False, True], ids=["json", "cbor"])
def test_a_large_body_that_was_never_decoded_is_refused_in_its_own_encoding(
    tmp_path: Path, cbor: bool
) -> None:
    with running_backend(tmp_path) as backend, backend.client(cbor=cbor) as wire:
        session = wire.new_session()
        failpoints.arm("transcoder.receive", "raise", "killed by a test", times=2)
        wire.send("update_session_state", session_id=session, state_data={"big": "x" * 100_000})
        reply = wire.next_reply()  # which checks the encoding
        assert reply["error_code"] == "session_restarted"


def test_a_client_whose_reply_was_lost_with_its_encoder_is_served_again(tmp_path: Path) -> None:
    with (
        running_backend(tmp_path) as backend,
        backend.client(cbor=True, dealer=True) as wire,
        backend.client() as other,
    ):
        session = wire.new_session()
        big = {"big": "x" * 600_000}
        wire.do("update_session_state", session_id=session, state_data=big)
        other.do("ping")
        for _ in range(2):
            failpoints.arm("transcoder.receive", "raise", "killed by a test", first=2)
            asked = wire.send("update_session_state", session_id=session, state_data=big)
            other.do("ping")
            wire.receive(asked)
            failpoints.disarm_all()
        infos = [wire.send("get_session_info", session_id=session) for _ in range(5)]
        other.do("ping")
        wire.results(infos)
