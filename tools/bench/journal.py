"""The limit of any durable service: the echo, with a bare journal that commits in groups.

What has arrived is appended and flushed in one step, and only then returned.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import zmq


def main() -> None:
    """Keep a journal in the file that the command line names, until the process is ended."""
    journal = os.open(Path(sys.argv[1]), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind("tcp://127.0.0.1:*")
        print("ready on", router.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
        while True:
            group = [router.recv_multipart()]
            while True:
                try:
                    group.append(router.recv_multipart(zmq.NOBLOCK))
                except zmq.Again:
                    break
            os.write(journal, b"".join(frames[-1] for frames in group))
            os.fdatasync(journal)
            for frames in group:
                router.send_multipart(frames)


if __name__ == "__main__":
    main()
