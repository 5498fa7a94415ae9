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
