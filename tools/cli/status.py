"""`stui status`: everything at a glance, for people and for monitoring."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final

import click

from protocol.errors import StuiError
from protocol.replies import ImageStatus, SessionInfo, SessionStatistics
from tools.cli.asking import Asking, asks
from tools.cli.images import IMAGE_TITLES, image_row
from tools.cli.sessions import SESSION_TITLES, session_row
from tools.cli.text import block, duration, one_line, table
from tools.client.client import Client
from tools.exit_codes import ExitCode

_HEALTH_WITHIN: Final = 5.0
_MOST_SAID: Final = 500


@click.command(
    epilog="\n\n".join(
        (
            block(
                "Examples:",
                "stui status",
                "stui status --metrics 127.0.0.1:9464    with the state of the storage",
                "stui status --json | jq .attention",
            ),
            block(
                "Exit codes for monitoring:",
                "0 all is well   1 something needs attention   3 nothing answers",
            ),
        )
    )
)
@click.option(
    "--metrics",
    envvar="STUI_METRICS",
    metavar="HOST:PORT",
    default="",
    show_envvar=True,
    help="The backend's setting `metrics`: asks there, too, whether it is ready.",
)
@asks()
def status(asking: Asking, metrics: str) -> None:
    """Show the service, its images and your sessions, and what needs attention."""
    client = asking.client
    pong = client.ping()
    attention = _of_service(metrics)
    known = _ask(client)
    if isinstance(known, StuiError):  # it is there, but cannot say
        attention.append(f"it does not tell what is stored: {known.message}")
        known = _Known()
    attention.extend(_of_images(known.images))
    up = duration(pong.uptime)
    lines = [
        f"{pong.server} at {client.endpoint}, up for {up}, protocol {pong.protocol_version}",
        *([_counts(known.statistics)] if known.statistics else []),
        *(f"attention: {one_line(problem)}" for problem in attention),
    ]
    if known.statistics:
        lines += ["", _images(known.images), "", _sessions(known.sessions, asking.client_id)]
    asking.show(
        {
            "service": pong,
            "statistics": known.statistics,
            "attention": attention,
            "images": known.images,
            "sessions": known.sessions,
        },
        "\n".join(lines),
    )
    if attention:
        sys.exit(ExitCode.FAILED)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a service tells of what it has; nothing where it cannot."""

    statistics: SessionStatistics | None = None
    images: Sequence[ImageStatus] = ()
    sessions: Sequence[SessionInfo] = ()


def _ask(client: Client) -> _Known | StuiError:
    try:
        return _Known(
            client.get_session_statistics(),
            client.list_images(),
            client.list_client_sessions().sessions,
        )
    except StuiError as error:
        return error


def _images(images: Sequence[ImageStatus]) -> str:
    return table(IMAGE_TITLES, [image_row(image) for image in images]) if images else "no images"


def _sessions(sessions: Sequence[SessionInfo], client_id: str) -> str:
    if not sessions:
        return f"no sessions of {client_id}"
    return table(SESSION_TITLES, [session_row(info) for info in sessions])


def _counts(statistics: SessionStatistics) -> str:
    """How many sessions there are, and how many are in which state."""
    total = _counted(statistics.total_sessions, "session")
    states = ", ".join(
        f"{count} {state}" for state, count in statistics.sessions_by_status.items() if count
    )
    clients = _counted(statistics.active_clients, "client")
    return f"{total} of {clients}{f' ({states})' if states else ''}"


def _of_images(images: Sequence[ImageStatus]) -> list[str]:
    return [
        f"the image {image.name or image.image_id} at {image.address} is {image.status.lower()}"
        for image in images
        if image.status != "Connected"
    ]


def _of_service(metrics: str) -> list[str]:
    """What the service itself says is wrong; nothing where nobody says where to ask."""
    if not metrics:
        return []
    try:
        # No proxy has any business between a machine and itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{metrics}/readyz", timeout=_HEALTH_WITHIN):
            return []
    except urllib.error.HTTPError as answer:
        said = answer.read(_MOST_SAID).decode("utf-8", "replace").strip()
        return [f"not ready: {said or answer.code}"]
    except (OSError, ValueError, HTTPException) as error:
        return [f"nothing tells of its health at {metrics}: {getattr(error, 'reason', error)}"]


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
