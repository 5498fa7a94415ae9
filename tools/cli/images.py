"""`stui images …`."""

from __future__ import annotations

import click

from protocol.replies import ImageStatus
from tools.cli.asking import Asking, asks
from tools.cli.text import block, record, table

IMAGE_TITLES = ("IMAGE", "NAME", "STATUS", "HEALTH", "ADDRESS", "SESSIONS", "LATENCY")


@click.group()
def images() -> None:
    """Connect to images and see how they are.

    An IMAGE is named by its id or its name.
    """


@images.command("list")
@asks()
def list_images(asking: Asking) -> None:
    """List the images."""
    found = asking.client.list_images()
    rows = [image_row(image) for image in found]
    empty = "there are no images; `stui images connect tcp://HOST:PORT` adds one"
    asking.show({"images": found}, table(IMAGE_TITLES, rows) if rows else empty)


@images.command(epilog=block("Example:", "stui images connect tcp://127.0.0.1:5556 --name amber"))
@click.argument("address")
@click.option("--name", help="What people call it. [default: what it calls itself]")
@asks()
def connect(asking: Asking, address: str, name: str | None) -> None:
    """Add the image at ADDRESS; the backend stays connected to it."""
    reply = asking.client.connect_image(address, name=name)
    asking.show(reply, _status_text(reply))


@images.command()
@click.argument("image")
@asks()
def disconnect(asking: Asking, image: str) -> None:
    """Remove an image. Its sessions stay, and find it when it is connected again."""
    reply = asking.client.disconnect_image(image)
    asking.show(reply, f"{reply.name or reply.image_id} is not connected any more")


@images.command()
@click.argument("image")
@asks()
def status(asking: Asking, image: str) -> None:
    """Show an image, and what its connection went through."""
    reply = asking.client.get_image_connection_status(image)
    asking.show(reply, _status_text(reply))


def image_row(image: ImageStatus) -> tuple[object, ...]:
    """An image as a row below `IMAGE_TITLES`."""
    return (
        image.image_id,
        image.name,
        image.status,
        image.connection_health,
        image.address,
        image.session_count,
        f"{image.latency_ms:.1f} ms" if image.last_seen else "",
    )


def _status_text(image: ImageStatus) -> str:
    text = record(
        {
            "image": image.image_id,
            "name": image.name,
            "address": image.address,
            "status": f"{image.status}, {image.connection_health}",
            "is": f"{image.dialect} {image.version}".strip(),
            "epoch": image.epoch,
            "sessions": image.session_count,
            "isolates": "yes" if image.isolating else "no, its sessions share one workspace",
            "latency": f"{image.latency_ms:.1f} ms" if image.last_seen else "",
            "last seen": image.last_seen,
            "last activity": image.last_activity,
        }
    )
    rows = [(change.at, change.status, change.reason) for change in image.history]
    return f"{text}\n\n{table(('AT', 'STATUS', 'REASON'), rows)}" if rows else text
