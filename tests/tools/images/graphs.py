"""`stui-graph-1` documents, packed and unpacked, as docs/image-protocol.md describes them."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence

from tests.tools.images.image_client import Message

FORMAT = "stui-graph-1"

IMPOSSIBLE_NODES: list[object] = [
    *([], ["list"], ["list", 7], ["list", [[1]]], ["list", [[-1]]], ["list", [[0.5]]], "list"),
    *(["dictionary", [[1]]], ["integer", "x"], ["float", "1.0"], ["instance", "C", []], {}, None),
    *(["bytes", "?"], [7, []]),
]


def packed(document: object) -> str:
    """A document as the `data` of a snapshot."""
    return base64.b64encode(zlib.compress(json.dumps(document).encode())).decode()


def unpacked(data: str) -> Message:
    """The document in the `data` of a snapshot."""
    document: Message = json.loads(zlib.decompress(base64.b64decode(data, validate=True)))
    return document


def graph(
    variables: Mapping[str, object],
    nodes: Sequence[object] = (),
    objects: Mapping[str, object] | None = None,
    dialect: str = "test",
) -> Message:
    """A document."""
    return {
        "dialect": dialect,
        "variables": dict(variables),
        "objects": dict(objects or {}),
        "nodes": list(nodes),
    }
