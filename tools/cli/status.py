"""`stui status`: everything at a glance."""

from __future__ import annotations

import click

from tools.cli.asking import Asking, asks
from tools.cli.images import IMAGE_TITLES, image_row
from tools.cli.sessions import SESSION_TITLES, session_row
from tools.cli.text import duration, table


@click.command()
@asks()
def status(asking: Asking) -> None:
    """Show the service, its images and your sessions."""
    client = asking.client
    pong = client.ping()
    statistics = client.get_session_statistics()
    images = client.list_images()
    mine = client.list_client_sessions()
    up, sessions = duration(pong.uptime), _counted(statistics.total_sessions, "session")
    lines = [
        f"{pong.server} at {client.endpoint}, up for {up}, protocol {pong.protocol_version}",
        f"{sessions} of {_counted(statistics.active_clients, 'client')}",
        "",
        table(IMAGE_TITLES, [image_row(image) for image in images]) if images else "no images",
        "",
        table(SESSION_TITLES, [session_row(info) for info in mine.sessions])
        if mine.sessions
        else f"no sessions of {asking.client_id}",
    ]
    asking.show(
        {
            "service": pong,
            "statistics": statistics,
            "images": images,
            "sessions": mine.sessions,
        },
        "\n".join(lines),
    )


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
