"""Bodies of messages as requests. Pure: bytes in, values out."""

from msgspec import Struct

from protocol.codec import decode
from protocol.errors import Malformed, excerpt
from protocol.limits import BODY_BYTES
from tools.images.python_image.failures import RefusedError

RequestId = str | int | float | None


class Request(Struct, frozen=True):
    """A body that has the form of a request; its parameters are not yet looked at."""

    id: RequestId
    command: str
    parameters: dict[str, object]


def decode_body(body: bytes) -> dict[str, object]:
    """The map in a body. Raises RefusedError (`malformed`) for everything else."""
    if len(body) > BODY_BYTES:
        raise RefusedError("malformed", f"a body of {len(body)} bytes; at most {BODY_BYTES} can be")
    try:
        return decode(body)
    except Malformed as error:
        raise RefusedError("malformed", error.message) from None


def request_id(value: dict[str, object]) -> RequestId:
    """The id to echo; None where there is none that could be."""
    found = value.get("id")
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return None
    return found


def read_request(value: dict[str, object]) -> Request:
    """The request in a decoded body. Raises RefusedError where it is none."""
    if request_id(value) is None:
        found = excerpt(value.get("id"))
        raise RefusedError("malformed", f"a request needs an `id`, a string or number, not {found}")
    command = value.get("command")
    if not isinstance(command, str):
        raise RefusedError("malformed", f"`command` must be a string, not {excerpt(command)}")
    parameters = value.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RefusedError("malformed", f"`parameters` must be a map, not {excerpt(parameters)}")
    return Request(request_id(value), command, parameters)
