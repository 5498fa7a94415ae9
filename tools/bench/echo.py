"""The limit of any ZeroMQ service in Python: a ROUTER that returns what it gets."""

from __future__ import annotations

import zmq


def main() -> None:
    """Echo until the process is ended."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind("tcp://127.0.0.1:*")
        print("ready on", router.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
        while True:
            router.send_multipart(router.recv_multipart())


if __name__ == "__main__":
    main()
