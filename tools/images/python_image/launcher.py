"""Start a Python image: state, socket, front; end them in reverse."""

import logging
import sys
from pathlib import Path

import structlog
import zmq

from protocol.limits import SOCKET_BYTES
from tools.images.python_image.front import Front
from tools.images.python_image.keeper import CannotStartError
from tools.images.python_image.state import StateError, open_state

_UNSENT_MESSAGES = 10_000


def run(endpoint: str, name: str, state_dir: Path) -> int:
    """Serve an image until SIGTERM or SIGINT, and give the process's exit code.

    Prints `stui image: ready on ENDPOINT` on standard output when it answers, and logs on
    standard error. 0: ended in an orderly way; 1: no object memory starts; 2: the state directory
    is in use or unusable, or the endpoint cannot be bound. Must run in the main thread.
    """
    _log_to_stderr()
    try:
        with open_state(state_dir) as uuid:
            return _serve(endpoint, name, uuid)
    except StateError as error:
        return _complain(str(error))


def _serve(endpoint: str, name: str, uuid: str) -> int:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 500
        router.sndhwm = _UNSENT_MESSAGES
        router.maxmsgsize = SOCKET_BYTES
        router.router_mandatory = True  # so that what cannot be delivered is logged
        router.setsockopt(zmq.HEARTBEAT_IVL, 10_000)
        try:
            router.bind(endpoint)
        except zmq.ZMQError as error:
            return _complain(f"cannot bind {endpoint}: {error}")
        bound = router.getsockopt_string(zmq.LAST_ENDPOINT)
        try:
            Front(router, name, uuid).serve(bound)
        except CannotStartError as error:
            _complain(str(error))
            return 1
    return 0


def _complain(message: str) -> int:
    print(f"stui image: {message}", file=sys.stderr)
    return 2


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
