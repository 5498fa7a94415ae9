"""What the codec takes and what it refuses, case by case."""

from __future__ import annotations

import cbor2
import msgspec
import pytest

from protocol import codec
from protocol.codec import Encoding
from protocol.errors import Malformed
from protocol.limits import DEPTH


def nested_json(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def nested_json_lists(levels: int) -> bytes:
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def nested_cbor(levels: int) -> bytes:
    return b"\xa1\x61a" * levels + b"\x01"


def nested_cbor_lists(levels: int) -> bytes:
    return b"\xa1\x61a" + b"\x81" * (levels - 1) + b"\x00"


def nested_endless_cbor_lists(levels: int) -> bytes:
    return b"\xa1\x61a" + b"\x9f" * (levels - 1) + b"\xff" * (levels - 1)


NESTED = [
    nested_json,
    nested_json_lists,
    nested_cbor,
    nested_cbor_lists,
    nested_endless_cbor_lists,
]

REFUSED = {
    "nothing": (b"", "cannot be read as JSON"),
    "a list": (b"[]", "named fields"),
    "a string": (b'"ping"', "named fields"),
    "a number": (b"17", "named fields"),
    "null": (b"null", "named fields"),
    "a CBOR list": (b"\x80", "cannot be read as JSON"),
    "a self-described CBOR list": (b"\xd9\xd9\xf7\x80", "cannot be read as JSON"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "cannot be read as JSON"),
    "UTF-16": ("{}".encode("utf-16"), "cannot be read as JSON"),
    "bytes after the JSON": (b"{} {}", "trailing characters"),
    "a NUL after the JSON": (b"{}\x00", "trailing characters"),
    "a NUL byte in JSON": (b'{"a":"\x00"}', "cannot be read as JSON"),
    "bytes after the CBOR": (b"\xa0\x00", "1 bytes follow"),
    "half of the JSON": (b'{"a":', "truncated"),
    "half of the CBOR": (b"\xa1\x61a", "premature end"),
    "NaN": (b'{"a":NaN}', "cannot be read as JSON"),
    "Infinity": (b'{"a":-Infinity}', "cannot be read as JSON"),
    "a float beyond the range": (b'{"a":1e999}', "out of range"),
    "CBOR NaN": (b"\xa1\x61a\xf9\x7e\x00", "nan cannot be said in JSON"),
    "CBOR Infinity": (b"\xa1\x61a\xfa\x7f\x80\x00\x00", "inf cannot be said in JSON"),
    "2**64": (b'{"a":18446744073709551616}', "does not fit 64 bits"),
    "-2**63 - 1": (b'{"a":-9223372036854775809}', "does not fit 64 bits"),
    "-2**64 in CBOR": (b"\xa1\x61a\x3b" + b"\xff" * 8, "does not fit 64 bits"),
    "an integer of 400 digits": (b'{"a":' + b"7" * 400 + b"}", "does not fit 64 bits"),
    "an integer of 4,301 digits": (b'{"a":' + b"7" * 4301 + b"}", "The "),
    "an integer of 5,000 digits": (b'{"a":' + b"7" * 5000 + b"}", "out of range"),
    "bad UTF-8": (b'{"a":"\xff"}', "can't decode byte 0xff"),
    "bad UTF-8 in a key": (b'{"\xff":1}', "can't decode byte 0xff"),
    "bad UTF-8 in CBOR": (b"\xa1\x61a\x61\xff", "can't decode byte 0xff"),
    "a lone high surrogate": (b'{"a":"\\ud800"}', "cannot be read as JSON"),
    "a lone low surrogate": (b'{"a":"\\udc00 and more"}', "cannot be read as JSON"),
    "a surrogate as UTF-8": (b'{"a":"\xed\xa0\x80"}', "can't decode byte 0xed"),
    "a surrogate in CBOR": (b"\xa1\x61a\x63\xed\xa0\x80", "can't decode byte 0xed"),
    "a byte string": (b"\xa1\x61a\x41x", "a bytes, b'x'"),
    "a byte string as key": (b"\xa1\x41a\x01", "The key b'a' is no string"),
    "an integer as key": (b"\xa1\x01\x01", "map key must be a text string"),
    "a map as key": (b"\xa1\xa0\x01", "map key must be a text string"),
    "the same CBOR key twice": (b"\xa2\x61a\x01\x61a\x02", "Duplicate map key: 'a'"),
    "undefined": (b"\xa1\x61a\xf7", "undefined; JSON has none"),
    "a simple value": (b"\xa1\x61a\xf8\xff", "CBORSimpleValue(255); JSON has none"),
    "a break for a value": (b"\xa1\x61a\xff", "break code"),
    "a break for a key": (b"\xa1\xff", "break code"),
    "a reserved length": (b"\xbc", "unknown unsigned integer subtype"),
    "a list that holds itself": (b"\xa1\x61a\xd8\x1c\x81\xd8\x1d\x00", "a CBOR tag"),
    "a list of 2**36 by its head": (b"\xa1\x61a\x9b\0\0\0\x10\0\0\0\0", "premature end"),
    "a list of 2**64 - 1 by its head": (b"\xa1\x61a\x9b" + b"\xff" * 8, "premature end"),
    "a map of 2**64 - 1 by its head": (b"\xbb" + b"\xff" * 8, "premature end"),
    "a string of 2**63 by its head": (b"\xa1\x61a\x7b\x80" + b"\0" * 7, "The body"),
    "a string of 2 GiB by its head": (b"\xa1\x61a\x7a\x7f\xff\xff\xff", "premature end"),
}

TAGS = [*range(71), 100, 256, 257, 258, 259, 260, 261, 1004, 43000, 55799, 55800, 2**32, 2**64 - 1]


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_plain_object_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as refusal:
        codec.decode(body)

    assert reason in refusal.value.message
    assert len(refusal.value.message) < 400


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize(
    "tagged", [1, 1.5, "x", b"x", "2025-01-20T10:30:00Z", [1, 2], {}, [[1, 1], b"12"]], ids=repr
)
def test_no_cbor_tag_is_taken(tag: int, tagged: object) -> None:
    body = b"\xa1\x61a" + cbor2.dumps(cbor2.CBORTag(tag, tagged))

    with pytest.raises(Malformed, match="a CBOR tag; only what JSON can say is understood"):
        codec.decode(body)


def test_a_tagged_key_is_refused() -> None:
    with pytest.raises(Malformed, match="a CBOR tag"):
        codec.decode(b"\xa1\xc1\x01\x01")


def test_the_self_describing_tag_may_stand_before_the_map() -> None:
    body = b"\xd9\xd9\xf7" + cbor2.dumps({"a": 1})

    assert codec.encoding_of(body) is Encoding.CBOR
    assert codec.decode(body) == {"a": 1}


@pytest.mark.parametrize("nested", NESTED)
def test_a_hundred_levels_are_taken(nested: object) -> None:
    assert callable(nested)

    assert "a" in codec.decode(nested(DEPTH))


@pytest.mark.parametrize("levels", [DEPTH + 1, 2 * DEPTH, 100_000])
@pytest.mark.parametrize("nested", NESTED)
def test_deeper_nesting_is_refused(nested: object, levels: int) -> None:
    assert callable(nested)

    with pytest.raises(Malformed, match="nest"):
        codec.decode(nested(levels))


def test_brackets_in_strings_are_no_nesting() -> None:
    text = "[{" * 1000

    assert codec.decode(msgspec.json.encode({"a": text})) == {"a": text}


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 0, -1, 10**18, 2**63])
@pytest.mark.parametrize("encoding", Encoding)
def test_integers_of_64_bits_are_taken(number: int, encoding: Encoding) -> None:
    assert codec.decode(codec.encode({"a": number}, encoding)) == {"a": number}


def test_long_digits_in_strings_and_fractions_are_no_integers() -> None:
    value = codec.decode(b'{"a": "12345678901234567890123", "b": 0.12345678901234567890123}')

    assert value == {"a": "12345678901234567890123", "b": 0.12345678901234568}


def test_json_may_be_surrounded_by_white_space() -> None:
    assert codec.decode(b' \r\n\t{"a": 1} \n') == {"a": 1}


def test_the_last_of_duplicate_keys_wins_in_json() -> None:
    assert codec.decode(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("encoding", Encoding)
def test_nul_characters_and_all_planes_of_unicode_are_text(encoding: Encoding) -> None:
    value = {"a\0": "\0 \x7f é 😀 \U0010ffff \ufeff"}

    assert codec.decode(codec.encode(value, encoding)) == value


def test_cbor_of_unstated_length_is_understood() -> None:
    assert codec.decode(b"\xbf\x61a\x7f\x61b\x61c\xff\x61d\x9f\x01\xff\xff") == {
        "a": "bc",
        "d": [1],
    }


@pytest.mark.parametrize("encoding", Encoding)
def test_raw_json_is_encoded_as_what_it_says(encoding: Encoding) -> None:
    body = codec.encode({"a": msgspec.Raw(b'{"x": [1, 2.5, null, true]}')}, encoding)

    assert codec.decode(body) == {"a": {"x": [1, 2.5, None, True]}}
