"""Many images in one process and thread that say who they are, and do nothing else."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import zmq

_WHERE: Final = "tcp://127.0.0.1:*"


def image_uuid(number: int) -> str:
    """The id of one of them, so that sessions can be seeded that use it."""
    return f"bench-image-{number}"


def main() -> None:
    """Serve as many images as the argument says until the process is ended."""
    with zmq.Context() as context:
        poller, numbers, endpoints = zmq.Poller(), {}, []
        for number in range(int(sys.argv[1])):
            router = context.socket(zmq.ROUTER)
            router.linger = 0
            router.bind(_WHERE)
            poller.register(router, zmq.POLLIN)
            numbers[router] = number
            endpoints.append(router.getsockopt_string(zmq.LAST_ENDPOINT))
        print("ready on", ",".join(endpoints), flush=True)
        while True:
            for router, _ in poller.poll():
                *route, body = router.recv_multipart()
                reply = _reply(json.loads(body), numbers[router])
                router.send_multipart([*route, json.dumps(reply).encode()])


def _reply(request: dict[str, Any], number: int) -> dict[str, Any]:
    command, head = request["command"], {"id": request["id"], "timestamp": "2025-01-20T10:30:00Z"}
    if command != "ping":
        error = {"error_type": "Error", "error_code": "unknown_command", "details": {}}
        text = f"A silent image does not know {command}."
        return {**head, **error, "status": "error", "error": text, "retryable": False}
    who = {"uuid": image_uuid(number), "epoch": f"life-of-{number}", "name": f"image{number}"}
    result = {
        "message": "pong",
        "status": "ready",
        "uptime": 1000,
        "busy": False,
        "image": {**who, "dialect": "bench", "version": "1"},
        "capabilities": [],
        "formats": [],
    }
    return {**head, "status": "success", "result": result}


if __name__ == "__main__":
    main()
