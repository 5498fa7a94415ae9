"""Whether the backend's addresses can be had, or are had by our backend."""

from __future__ import annotations

import http.client
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from protocol.errors import StuiError
from storage.progress import Progress
from tools.client.client import Client
from tools.doctor.addresses import why_no_address
from tools.doctor.findings import Finding, error, note, ok, warning
from tools.doctor.lock import holder
from tools.doctor.site import Site

_WITHIN: Final = 2.0
_MOST_SAID: Final = 300
_ADVICE: Final = "Choose another with --bind, or the setting `metrics`."
_ANYWHERE: Final = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared


def check(site: Site, progress: Progress) -> Iterator[Finding]:  # noqa: ARG001 - it is bounded
    """Ask our backend where it should be; see whether its addresses are free where it is not."""
    runs = holder(site.paths) is not None
    for address in site.settings.bind:
        yield _bind(address, runs=runs)
    if site.settings.metrics:
        yield from _metrics(site.settings.metrics, runs=runs)


def _bind(address: str, *, runs: bool) -> Finding:
    if why := why_no_address(address):
        return error(f"nobody can listen at {address}: {why}", _ADVICE)
    target = _target(address)
    if target is None:
        return note(f"{address} is not looked at", "Only tcp://HOST:PORT and ipc:// can be.")
    if _listens(target):
        return _asked(address, target, runs=runs)
    if runs:
        return error(
            f"the backend runs, and nothing listens at {address}",
            "It was started with another --bind, or ends just now: see its log.",
        )
    return _free(address, target)


def _asked(address: str, target: str | tuple[str, int], *, runs: bool) -> Finding:
    endpoint = f"ipc://{target}" if isinstance(target, str) else _tcp(*target)
    try:
        with Client(endpoint, timeout=_WITHIN, client_id="stui-doctor") as client:
            pong = client.ping()
    except (StuiError, ValueError) as problem:
        if runs:
            return error(
                f"what listens at {address} does not answer as a backend: {problem}",
                "Another program has the address, or the backend hangs: see its log.",
            )
        return error(
            f"{address} is taken by another program", "End that one, or choose another with --bind."
        )
    if runs:
        return ok(f"{pong.server} answers at {address}, protocol {pong.protocol_version}")
    return error(
        f"a backend answers at {address}, and does not hold this data directory",
        "It has another one, or its own was removed: end it, or choose another address for this "
        "one with --bind.",
    )


def _metrics(address: str, *, runs: bool) -> Iterator[Finding]:
    if why := why_no_address(f"tcp://{address}"):
        yield error(f"nobody can listen at {address}, for metrics: {why}", _ADVICE)
        return
    host, _, port = address.rpartition(":")
    target = (host.strip("[]"), int(port))
    if not runs:
        if _listens(target):
            yield error(
                f"{address}, for metrics, is taken by another program",
                "End that one, or choose another address with the setting `metrics`.",
            )
        else:
            yield _free(address, target)
        return
    for page, level in (("healthz", error), ("readyz", warning)):
        problem = _said(f"http://{address}/{page}")
        if problem:
            yield level(
                f"{address}/{page}: {problem}",
                "See the backend's log; a supervisor starts it anew where it hangs.",
            )
            return
    yield ok(f"the backend says at {address} that it is well, and ready")


def _said(url: str) -> str:
    """What is wrong, by a page of the backend's."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_WITHIN):
            return ""
    except urllib.error.HTTPError as answer:
        return answer.read(_MOST_SAID).decode("utf-8", "replace").strip() or str(answer.code)
    except (OSError, ValueError, http.client.HTTPException) as problem:
        return str(getattr(problem, "reason", problem))


def _target(address: str) -> str | tuple[str, int] | None:
    """The path or the host and port of an address that can be looked at."""
    if address.startswith("ipc://"):
        return address.removeprefix("ipc://")
    host, separator, port = address.removeprefix("tcp://").rpartition(":")
    if not (address.startswith("tcp://") and separator and port.isascii() and port.isdigit()):
        return None
    host = host.strip("[]")
    return (_ANYWHERE.get(host, host), int(port)) if 0 < int(port) < 65536 else None


def _listens(target: str | tuple[str, int]) -> bool:
    """Whether somebody accepts connections."""
    try:
        if isinstance(target, str):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_WITHIN)
                probe.connect(target)
        else:
            socket.create_connection(target, timeout=_WITHIN).close()
    except OSError:
        return False
    return True


def _free(address: str, target: str | tuple[str, int]) -> Finding:
    """Whether an address at which nobody listens can be had; nobody is kept from it meanwhile."""
    if isinstance(target, str):
        if os.access(Path(target).parent, os.W_OK | os.X_OK):
            return ok(f"{address} is free")
        return error(f"no socket can be made at {address}: {Path(target).parent}", _ADVICE)
    try:
        found = socket.getaddrinfo(*target, type=socket.SOCK_STREAM)
        with socket.socket(found[0][0]) as probe:
            # Bound and not listening, and with this option as libzmq has it, it is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[0][4])
    except OSError as problem:
        return error(f"{address} cannot be had: {problem.strerror or problem}", _ADVICE)
    return ok(f"{address} is free")


def _tcp(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
