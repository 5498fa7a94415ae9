"""What may be asked over HTTP from this machine: `/metrics`, `/healthz` and `/readyz`.

It has threads of its own, few and bounded, and shares nothing with the actors but what they have
published: whatever is sent here costs them nothing.
"""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from actors.outside.condition import Condition

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 16
"""Connections, so that nobody can use up the threads. Whoever comes beyond takes the place of the
one that has been without a request for longest, and is cut off where all are being answered."""
_GOES_WITHIN: Final = 1.0
"""Seconds that a connection may take to end that has been hung up on."""
_SILENT_FOR: Final = 2.0
"""Seconds after which a connection that says nothing is closed."""
_ONE_TAKES: Final = 10.0
"""Seconds after which a connection is closed in any case, however slowly it trickles."""
_LOOK_EVERY: Final = 0.1
"""Seconds between looks whether to stop."""
_PLAIN: Final = "text/plain; charset=utf-8"


class CannotListen(Exception):
    """The address of the metrics is taken or none; the message says which and what to do."""


class OutsideView:
    """Listens from the time it is made; answers from `begin` until `close`.

    Raises `CannotListen`. ADDRESS is HOST:PORT; of port 0 the system makes a free one.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        server = _Server6 if host.startswith("[") else _Server
        self._begun = False
        try:
            self._server = server((host.strip("[]"), int(port)), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CannotListen(
                f"Cannot listen for metrics on {address}: {reason}. Choose another address with "
                "the setting `metrics`, or an empty one for none."
            ) from None
        self.address = f"{host}:{self._server.server_address[1]}"

    def begin(self, registry: CollectorRegistry, condition: Condition) -> None:
        """Answer from now on, with what is in REGISTRY and of the CONDITION."""
        self._server.registry, self._server.condition = registry, condition
        self._begun = True
        threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_EVERY,), name="metrics", daemon=True
        ).start()

    def close(self) -> None:
        """Answer no more, and release the port."""
        if self._begun:
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, HTTPServer):
    registry: CollectorRegistry
    condition: Condition
    daemon_threads = True
    block_on_close = False  # who is silent would hold up the stop
    allow_reuse_address = True
    request_queue_size = _AT_ONCE

    def __init__(self, *args: Any) -> None:
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._without_request: dict[socket.socket, None] = {}
        """The connections whose request has not come yet, the oldest first."""
        super().__init__(*args)

    def server_bind(self) -> None:
        """Bind, without asking for the host's name, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, if there is one."""
        if not (self._free.acquire(blocking=False) or self._take_place()):
            self.shutdown_request(request)
            return
        with self._lock:
            self._without_request[request] = None
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._end(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection in its thread."""
        limit = threading.Timer(_ONE_TAKES, _hang_up, [request])
        limit.daemon = True
        try:
            limit.start()
            super().process_request_thread(request, client_address)
        finally:
            limit.cancel()
            self._end(request)

    def has_request(self, connection: socket.socket) -> None:
        """The request of CONNECTION has come: it keeps its thread; any thread."""
        with self._lock:
            self._without_request.pop(connection, None)

    def _take_place(self) -> bool:
        """Whether a thread was taken from the connection that is without a request for longest."""
        with self._lock:
            silent = next(iter(self._without_request), None)
            if silent is None:
                return False
            del self._without_request[silent]
        _hang_up(silent)
        return self._free.acquire(timeout=_GOES_WITHIN)

    def _end(self, connection: socket.socket) -> None:
        self.has_request(connection)
        self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Note what went wrong; the connection is closed."""
        log.debug("metrics_request_failed", reason=repr(sys.exception()))


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it has just ended by itself
        connection.shutdown(socket.SHUT_RDWR)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SILENT_FOR
    server_version, sys_version = "stui", ""

    def do_GET(self) -> None:
        """Answer what there is."""
        self.server.has_request(self.connection)
        match self.path.partition("?")[0]:
            case "/metrics":
                encode, kind = choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, encode(self.server.registry), kind)
            case "/healthz":
                self._answer_well(self.server.condition.ailment())
            case "/readyz":
                self._answer_well(self.server.condition.obstacle())
            case _:
                self._answer(
                    HTTPStatus.NOT_FOUND, b"There are /metrics, /healthz and /readyz.\n", _PLAIN
                )

    do_HEAD = do_GET  # noqa: N815 - the base calls it so

    def _answer_well(self, problem: str) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
        self._answer(status, f"{problem or 'ok'}\n".encode(), _PLAIN)

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing: a scrape every few seconds is no news."""
