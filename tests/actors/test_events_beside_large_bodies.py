"""Sessions that travel as large bodies, while others go on."""

from __future__ import annotations

import base64
import random

import pytest

from tests.support.backend import RunningBackend
from tests.support.wire import Wire


def answered_until(wire: Wire, busy: Wire) -> int:
    """How many requests of WIRE are answered before BUSY gets a reply."""
    session = wire.new_session()
    count = 0
    while not busy._socket.poll(0):
        wire.do("get_session_info", session_id=session)
        count += 1
    return count


@pytest.mark.parametrize("cbor", [False, True])
def test_others_are_served_while_a_session_of_9_mib_is_exported_and_imported(
    backend: RunningBackend, client: Wire, cbor: bool
) -> None:
    text = base64.b64encode(random.Random(1).randbytes(6_600_000)).decode()
    with backend.client(dealer=True, cbor=cbor) as busy, backend.client(dealer=True) as listener:
        session = busy.new_session("traveller")
        listener.do("subscribe", session_id=session, topics=["session"])
        busy.do("update_session_state", session_id=session, state_data={"text": text})
        assert listener.next_reply()["event"].startswith("session.")

        exporting = busy.send("export_session", session_id=session)
        meanwhile = answered_until(client, busy)
        exported = busy.result(exporting)
        assert len(exported["data"]) > 8_500_000
        assert meanwhile > 3

        importing = busy.send("import_session", client_id="traveller", data=exported["data"])
        meanwhile = answered_until(client, busy)
        imported = busy.result(importing)
        assert meanwhile > 3
        restored = busy.do("restore_session", session_id=imported["session_id"])
        assert restored["session_state"] == {"text": text}
