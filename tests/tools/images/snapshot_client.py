"""Snapshots of an image's sessions, as the tests ask for them."""

from typing import Any

from tests.tools.images.image_client import ImageClient

OWN = "python-pickle-1"
COMMON = "stui-graph-1"
Told = dict[str, dict[str, Any]]


def take(client: ImageClient, session: str, **more: object) -> dict[str, Any]:
    """A snapshot of the session."""
    return client.do("snapshot_workspace", session=session, **more)


def put(client: ImageClient, session: str, snapshot: dict[str, Any]) -> Told:
    """Restore a snapshot; what became of the variables, by name."""
    restored = client.do(
        "restore_workspace", session=session, format=snapshot["format"], data=snapshot["data"]
    )
    return {each["name"]: each for each in restored["variables"]}


def variables_of(snapshot: dict[str, Any]) -> Told:
    """What the snapshot says of the variables, by name."""
    return {each["name"]: each for each in snapshot["variables"]}


def value(client: ImageClient, session: str, code: str) -> str:
    """The print string of what the code gives."""
    printed: str = client.evaluate(session, code)["result"]
    return printed
