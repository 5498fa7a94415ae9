"""A client at a steady pace: a process that notes how long each of its requests took.

It asks until its input ends and then prints what it noted, as JSON: pairs of the beginning
(monotonic seconds, the same for all processes of a machine) and the seconds.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Final

from tools.soak.asking import asking

_PACE: Final = 0.02


def main() -> None:
    """Ask the service at ENDPOINT to `read` or to `change` something small, again and again."""
    kind, endpoint = sys.argv[1:]
    noted: list[tuple[float, float]] = []
    with asking(endpoint) as asker:
        session_id = asker.new_session(f"{kind}_{os.getpid()}")
        print("ready", flush=True)
        due = time.monotonic()
        for number in range(10**9):
            due += _PACE
            if (left := due - time.monotonic()) > 0:
                if select.select([sys.stdin], [], [], left)[0]:
                    break
            elif left < -1:
                due = time.monotonic()
            # One that had to wait for the one before is counted from when it was due.
            began = min(due, time.monotonic())
            if kind == "read":
                asker.ask("get_session_info", session_id=session_id)
            else:
                asker.ask("update_session_state", session_id=session_id, state_data={"n": number})
            noted.append((began, time.monotonic() - began))
    json.dump(noted, sys.stdout)


if __name__ == "__main__":
    main()
