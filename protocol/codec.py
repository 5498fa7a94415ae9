"""JSON and CBOR as this protocol allows them: plain, finite, bounded values and nothing else.

Both decoders let more through than JSON can say (tags, byte strings, integer keys, NaN, cycles,
trailing bytes): here everything beyond plain values is `Malformed`. No byte string makes `decode`
raise anything else.
"""

from __future__ import annotations

import enum
import io
import math
from typing import Any, Final, NoReturn, TypeAlias

import cbor2
import msgspec

from protocol.errors import Malformed, excerpt
from protocol.limits import DEPTH

PlainValue: TypeAlias = Any
"""None, bool, int, float, str, and lists and string-keyed dicts of those."""

_SELF_DESCRIBED: Final = b"\xd9\xd9\xf7"
_BUILT_IN_TAGS: Final = (*range(64), 100, 256, 258, 260, 261, 1004, 43000, 55799)
_INTEGERS: Final = range(-(2**63), 2**64)
_DIGITS_TO_ZEROS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_INTEGER: Final = b"0" * 19  # -(2**63) - 1 has 19 digits, nothing shorter is out of range


class Encoding(enum.Enum):
    """How a body is encoded; a reply uses that of its request."""

    JSON = "json"
    CBOR = "cbor"


def encoding_of(body: bytes) -> Encoding:
    """What BODY's first byte says: a CBOR map is CBOR, all else is read as JSON."""
    start = body[3:4] if body.startswith(_SELF_DESCRIBED) else body[:1]
    return Encoding.CBOR if start and start[0] >> 5 == 5 else Encoding.JSON


def decode(body: bytes) -> dict[str, PlainValue]:
    """The object that BODY holds.

    Raises `Malformed` for anything that is not exactly one JSON or CBOR map of plain values. Of
    duplicate keys in JSON the last one wins, as JSON parsers do; in CBOR they are refused.
    """
    encoding = encoding_of(body)
    try:
        if encoding is Encoding.CBOR:
            value = _decode_cbor(body)
            _check_plain(value)
        else:
            value = msgspec.json.decode(body)
            if _may_be_out_of_bounds(body):
                _check_plain(value)
    except RecursionError:
        raise Malformed(f"The body is nested deeper than {DEPTH} levels.") from None
    except (ValueError, OverflowError, cbor2.CBORDecodeError, MemoryError) as error:
        # msgspec's errors and UnicodeDecodeError are ValueErrors
        reason = error.__cause__ or error  # cbor2 wraps what it met
        if isinstance(reason, Malformed):
            raise reason from None
        raise Malformed(
            f"The body {excerpt(bytes(body[:40]))} cannot be read as {encoding.name}: {reason}. "
            "A request is one JSON object or one CBOR map."
        ) from None
    if not isinstance(value, dict):
        raise Malformed(
            f"The body holds {excerpt(value)}; a request is an object with named fields."
        )
    return value


def encode(value: object, encoding: Encoding) -> bytes:
    """VALUE, of plain values, msgspec Structs and `msgspec.Raw` JSON, in ENCODING."""
    body = msgspec.json.encode(value)
    # By way of JSON: it is the form that sections are kept in, and Structs know it.
    return json_to_cbor(body) if encoding is Encoding.CBOR else body


def json_to_cbor(body: bytes) -> bytes:
    """The same value in CBOR; takes about 50 times as long as encoding it as JSON."""
    return cbor2.dumps(msgspec.json.decode(body))


def _may_be_out_of_bounds(body: bytes) -> bool:
    """Whether the JSON text BODY may hold what is nested too deep or an integer over 64 bits.

    Two scans, far cheaper than the walk that they spare most bodies.
    """
    if body.count(b"[") + body.count(b"{") > DEPTH:
        return True
    return _LONG_INTEGER in body.translate(_DIGITS_TO_ZEROS)


def _decode_cbor(body: bytes) -> PlainValue:
    body = body.removeprefix(_SELF_DESCRIBED)
    stream = io.BytesIO(body)
    decoder = cbor2.CBORDecoder(
        stream,
        tag_hook=_refuse_tag,
        semantic_decoders=dict.fromkeys(_BUILT_IN_TAGS, _refuse_tag),
        max_depth=DEPTH,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    value = decoder.decode()
    if stream.tell() != len(body):
        raise Malformed(f"{len(body) - stream.tell()} bytes follow the CBOR map.")
    return value


def _refuse_tag(*_: object) -> NoReturn:
    raise Malformed("The body has a CBOR tag; only what JSON can say is understood.")


def _check_plain(value: PlainValue, depth: int = 0) -> None:
    kind = type(value)
    if kind is dict or kind is list:
        if depth >= DEPTH:
            raise Malformed(f"The body is nested deeper than {DEPTH} levels.")
        if kind is dict:
            for key in value:
                if type(key) is not str:
                    raise Malformed(f"The key {excerpt(key)} is no string.")
            value = value.values()
        for item in value:
            _check_plain(item, depth + 1)
    elif kind is float:
        if not math.isfinite(value):
            raise Malformed(f"The number {value} cannot be said in JSON.")
    elif kind is int:
        if value not in _INTEGERS:
            raise Malformed(f"The number {excerpt(value)} does not fit 64 bits.")
    elif kind is not str and kind is not bool and value is not None:
        raise Malformed(f"The body has a {kind.__name__}, {excerpt(value)}; JSON has none.")
