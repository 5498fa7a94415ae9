"""The text of `stui-graph-1`, the format that images of all dialects have in common."""

import base64
import zlib
from typing import Any

import msgspec
from msgspec import Struct

from tools.images.python_image.snapshots.payload import DamagedError, decode_base64, inflate

MAX_TEXT = 64 * 1024 * 1024
MAX_EXACT = 2**53


class Graph(Struct, frozen=True):
    """A workspace. A value is a scalar, or `[index]` of a node; a node begins with its kind."""

    dialect: str
    variables: dict[str, Any]
    objects: dict[str, Any]
    nodes: list[list[Any]]


def pack_graph(text: bytes) -> str:
    """The text as data."""
    return base64.b64encode(zlib.compress(text, 1)).decode("ascii")


def read_graph(data: str) -> Graph:
    """The graph in the data. Raises DamagedError."""
    text = inflate(decode_base64(data), MAX_TEXT)
    try:
        return msgspec.json.decode(text, type=Graph)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"it is no stui-graph-1: {error}") from None
