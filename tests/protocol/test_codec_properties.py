"""Whatever bytes come: a value, a request, or one of our own errors."""

from __future__ import annotations

from typing import Any

import cbor2
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import codec
from protocol.codec import Encoding
from protocol.dialects import Incoming, Rejected, decode_request, encode_error
from protocol.errors import InvalidParameter, Malformed, MissingParameter, StuiError
from protocol.requests import BY_COMMAND, Request, parse

many = settings(max_examples=400, deadline=None)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXT
PLAIN = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXT, PLAIN, max_size=5)

CBOR_SCALARS = (
    SCALARS
    | st.floats()
    | st.binary(max_size=10)
    | st.datetimes(timezones=st.timezones())
    | st.integers(-(2**200), 2**200)
    | st.fractions()
    | st.uuids()
    | st.ip_addresses()
    | st.integers(32, 255).map(cbor2.CBORSimpleValue)
    | st.just(cbor2.undefined)
)
CBOR = st.recursive(
    CBOR_SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXT | st.integers() | st.binary(max_size=4), inner, max_size=4)
        | st.builds(cbor2.CBORTag, st.integers(0, 2**64 - 1), inner)
    ),
    max_leaves=8,
)

NAMES = st.sampled_from(
    sorted(
        {name for kind in BY_COMMAND.values() for name in (*kind.__struct_fields__, *kind.aliases)}
    )
)
PARAMETERS = st.dictionaries(
    NAMES | TEXT,
    PLAIN
    | st.sampled_from(["a", "session_1", "Display", "All", "merge", "tcp://127.0.0.1:5556", "*"])
    | st.integers(-1, 1001)
    | st.just({}),
    max_size=8,
)
MESSAGES = st.fixed_dictionaries(
    {"id": PLAIN, "command": st.sampled_from(sorted(BY_COMMAND)) | PLAIN, "parameters": PARAMETERS}
) | st.fixed_dictionaries(
    {
        "id": PLAIN,
        "version": st.sampled_from(["1.0.0", "2.0.0"]) | PLAIN,
        "payload": st.fixed_dictionaries(
            {
                "type": st.just("Request"),
                "data": st.fixed_dictionaries(
                    {
                        "request_type": st.sampled_from(["Ping", "Evaluate", "Inspect"]) | PLAIN,
                        "params": PARAMETERS | PLAIN,
                    }
                )
                | PLAIN,
            }
        )
        | PLAIN,
    }
)


@st.composite
def mutated_messages(draw: st.DrawFn) -> bytes:
    """A valid message with a few bytes changed, cut out or put in."""
    body = bytearray(codec.encode(draw(MESSAGES), draw(st.sampled_from(Encoding))))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = start + draw(st.integers(0, 3))
        body[start:end] = draw(st.binary(max_size=3))
    return bytes(body)


BODIES = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=40).map(lambda tail: b"\xa1\x61a" + tail),
    st.binary(max_size=40).map(lambda tail: b"\xd9\xd9\xf7\xbf\x62id" + tail),
    st.binary(max_size=40).map(lambda tail: b'{"a":' + tail + b"}"),
    mutated_messages(),
    st.dictionaries(TEXT, CBOR, max_size=4).map(cbor2.dumps),
)


def is_plain(value: object) -> bool:
    """Whether JSON can say VALUE and it comes back the same."""
    return bool(msgspec.json.decode(msgspec.json.encode(value)) == value)


def parsed(kind: type[Request], parameters: dict[str, Any]) -> Request | StuiError:
    try:
        return parse(kind, parameters)
    except (InvalidParameter, MissingParameter) as error:
        return error


@many
@given(BODIES)
def test_any_bytes_are_a_plain_object_or_malformed(body: bytes) -> None:
    try:
        value = codec.decode(body)
    except Malformed:
        return
    assert is_plain(value)


@many
@given(BODIES)
def test_any_bytes_are_a_request_or_an_error_that_can_be_sent(body: bytes) -> None:
    incoming = decode_request(body)

    if isinstance(incoming, Rejected):
        reply = encode_error(incoming.origin, incoming.error)
        assert codec.encoding_of(reply) is codec.encoding_of(body)
        assert codec.decode(reply).get("id") == incoming.origin.id
    else:
        assert isinstance(incoming.request, Request)


@many
@given(MESSAGES, st.sampled_from(Encoding))
def test_any_message_is_understood_or_answered_in_its_dialect(
    message: dict[str, Any], encoding: Encoding
) -> None:
    incoming = decode_request(codec.encode(message, encoding))

    if isinstance(incoming, Incoming):
        assert incoming.origin.id == message["id"]
    else:
        reply = codec.decode(encode_error(incoming.origin, incoming.error))
        assert ("payload" in reply) == ("payload" in message)


@many
@given(OBJECTS, st.sampled_from(Encoding))
def test_plain_objects_survive_the_round_trip(value: dict[str, Any], encoding: Encoding) -> None:
    body = codec.encode(value, encoding)

    assert codec.encoding_of(body) is encoding
    assert codec.decode(body) == value


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(sorted(BY_COMMAND)), PARAMETERS)
def test_any_parameters_are_a_typed_request_or_an_error_that_names_one(
    command: str, parameters: dict[str, Any]
) -> None:
    kind = BY_COMMAND[command]
    outcome = parsed(kind, parameters)

    if isinstance(outcome, StuiError):
        names = (*kind.__struct_fields__, *kind.aliases)
        assert any(f"`{name}`" in outcome.message for name in names)
        assert command in outcome.message
        return
    assert type(outcome) is kind
    for name, value in parameters.items():
        own = kind.aliases.get(name, name)
        if value is not None and own in kind.__struct_fields__:
            held = getattr(outcome, own)
            assert (msgspec.json.decode(held) if isinstance(held, bytes) else held) == value
