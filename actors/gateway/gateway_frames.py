"""What a request's frames say of its sender, and the body that its answer has."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

import msgspec
from msgspec import UNSET

from actors.messages import Outcome
from actors.socket_loop import Frames
from protocol.codec import Encoding, encoding_of, json_to_cbor
from protocol.dialects import Origin, RequestId, decode_request, encode_error, encode_reply
from protocol.errors import Internal, StuiError
from protocol.image_messages import EvaluateResult
from protocol.limits import ID_CHARACTERS, SMALL_BODY_BYTES
from protocol.replies import Evaluated


def split(frames: Frames) -> tuple[Frames, Frames]:
    """The frames that lead back to the sender, with the delimiter where there is one; the body."""
    delimited = len(frames) > 2 and not frames[1]
    length = 2 if delimited else 1
    return frames[:length], frames[length:]


class _Beginning(msgspec.Struct, frozen=True):
    """What tells how a request without a frame around it is answered; the rest is skipped."""

    id: Any = None
    request_type: Any = UNSET
    payload: msgspec.Raw | msgspec.UnsetType = UNSET


_beginning = msgspec.json.Decoder(_Beginning).decode
_ID: Final = re.compile(rb'\s*\{\s*"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*)\s*,')
_ID_WITHIN: Final = 8192


def origin_of(body: bytes) -> Origin:
    """How a request that is not served is to be answered: that costs less than to decode it.

    Large ones are not looked into: the id is found where it comes first, and the command dialect is
    assumed.
    """
    if len(body) > SMALL_BODY_BYTES:
        return Origin(encoding_of(body), id=_first_id(body))
    if encoding_of(body) is Encoding.JSON:
        try:
            found = _beginning(body)
        except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError
            return Origin()
        if found.request_type is UNSET and found.payload is UNSET:
            return Origin(id=_checked_id(found.id))
    return decode_request(body).origin


def _first_id(body: bytes) -> RequestId:
    found = _ID.match(body, 0, _ID_WITHIN)
    try:
        return None if found is None else _checked_id(msgspec.json.decode(found[1]))
    except (ValueError, RecursionError):
        return None


def _checked_id(value: Any) -> RequestId:
    if isinstance(value, str):
        return value if len(value) <= ID_CHARACTERS else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def encoded(origin: Origin, outcome: Outcome) -> bytes:
    """OUTCOME as ORIGIN wants it; a large CBOR reply as JSON, for the Transcoder to finish."""
    if isinstance(outcome, StuiError):
        return encode_error(origin, outcome)
    body = encode_reply(replace(origin, encoding=Encoding.JSON), outcome)
    if origin.encoding is Encoding.CBOR and len(body) <= SMALL_BODY_BYTES:
        return json_to_cbor(body)
    return body


def for_client(outcome: Any) -> Outcome:
    """What an image answered without a session, as the client gets it."""
    if isinstance(outcome, EvaluateResult):
        return Evaluated(
            result=outcome.result,
            result_type=outcome.result_type,
            execution_time=outcome.execution_time,
            truncated=outcome.truncated,
            object_id=outcome.object_id or UNSET,
        )
    if isinstance(outcome, (msgspec.Struct, StuiError)):
        return outcome
    return Internal(f"The image's answer is a {type(outcome).__name__}.")
