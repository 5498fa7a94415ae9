from __future__ import annotations

import random
import struct

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from storage import sealed
from storage.sealed import Binding, seal, unseal
from storage.store import Damaged
from tests.storage.samples import a_section

BINDING: Binding = ("session_1", "section", "session_state", 7)
bindings = st.lists(st.text(max_size=5) | st.integers(0, 2**63), max_size=4).map(tuple)
LONG = b'{"text": "' + b"to be or not to be " * 100 + b'"}'


@given(st.binary(max_size=2000), bindings)
def test_a_payload_comes_back_as_it_was(payload: bytes, binding: Binding) -> None:
    assert unseal(seal(payload, binding), binding) == payload


@given(st.binary(max_size=20), bindings, bindings)
def test_a_blob_fits_no_other_binding(payload: bytes, one: Binding, other: Binding) -> None:
    blob = seal(payload, one)
    if one != other:
        with pytest.raises(Damaged):
            unseal(blob, other)


def test_a_number_in_a_binding_is_not_the_same_as_its_digits() -> None:
    with pytest.raises(Damaged):
        unseal(seal(b"{}", ("s", 1)), ("s", "1"))


def test_the_end_of_a_binding_cannot_be_moved_into_the_data() -> None:
    blob = seal(b',"b"]{}', ("a",))
    moved = blob.removesuffix(b',"b"]{}') + b"{}"
    with pytest.raises(Damaged):
        unseal(moved, ("a", "b"))


@pytest.mark.parametrize("payload", [b"", b'{"a": 1}', LONG], ids=["empty", "short", "compressed"])
def test_every_flipped_bit_and_every_truncation_is_damage(payload: bytes) -> None:
    blob = seal(payload, BINDING)
    for position in range(len(blob)):
        for bit in range(8):
            flipped = bytearray(blob)
            flipped[position] ^= 1 << bit
            with pytest.raises(Damaged):
                unseal(bytes(flipped), BINDING)
        with pytest.raises(Damaged):
            unseal(blob[:position], BINDING)
    for longer in (blob + b"\x00", b"\x00" + blob):
        with pytest.raises(Damaged):
            unseal(longer, BINDING)


@given(st.binary(max_size=200))
def test_no_other_bytes_are_taken_for_a_blob(garbage: bytes) -> None:
    for blob in (garbage, seal(b"{}", BINDING)[:6] + garbage):
        with pytest.raises(Damaged):
            unseal(blob, BINDING)


def test_what_no_column_should_hold_is_damage() -> None:
    for value in (None, 7, "STUI"):
        with pytest.raises(Damaged):
            unseal(value, BINDING)  # type: ignore[arg-type]


def test_only_what_gets_smaller_is_compressed() -> None:
    assert len(seal(LONG, BINDING)) < len(LONG) / 5
    noise = random.Random(1).randbytes(5000)
    assert len(seal(noise, BINDING)) == len(noise) + sealed.HEADER_BYTES
    assert len(seal(b"a" * 1400, BINDING)) == 1400 + sealed.HEADER_BYTES
    assert len(seal(b"a" * 1401, BINDING)) < 100


def test_a_payload_above_the_bound_is_not_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "PAYLOAD_BYTES", 1000)
    with pytest.raises(ValueError, match="1001 bytes"):
        seal(b"a" * 1001, BINDING)


def resealed(prefix: bytes, data: bytes) -> bytes:
    """A blob with a fitting checksum, as only a bug or a foe would make it."""
    return prefix + sealed._checksum(prefix, BINDING, data) + data


COMPRESSED = seal(LONG, BINDING)[:6]


def frame_that_claims(size: int) -> bytes:
    """A zstd frame of one small block, with a header that claims SIZE bytes."""
    small = zstandard.ZstdCompressor(write_content_size=False).compress(b"abc" * 1000)
    magic, descriptor, rest = small[:4], small[4], small[5:]
    return magic + bytes([descriptor | 0xE0]) + struct.pack("<Q", size) + rest[1:]


@pytest.mark.parametrize("size", [2**40, sealed.PAYLOAD_BYTES + 1])
def test_data_that_would_unpack_to_too_much_is_damage_before_memory_is_taken(size: int) -> None:
    with pytest.raises(Damaged, match="would unpack to more"):
        unseal(resealed(COMPRESSED, frame_that_claims(size)), BINDING)


@pytest.mark.parametrize(
    "data",
    [
        frame_that_claims(100),
        frame_that_claims(3001),
        zstandard.ZstdCompressor(write_content_size=False).compress(LONG),
        zstandard.compress(LONG)[:-5],
        zstandard.compress(LONG) + b"more",
        b"no frame at all",
        b"",
    ],
    ids=["too-little", "too-much", "no-size", "cut", "trailing", "garbage", "empty"],
)
def test_compressed_data_that_lies_about_itself_is_damage(data: bytes) -> None:
    with pytest.raises(Damaged):
        unseal(resealed(COMPRESSED, data), BINDING)


def test_a_form_that_a_later_version_might_write_is_named_as_such() -> None:
    with pytest.raises(Damaged, match="unknown form"):
        unseal(resealed(b"STUI\x02\x00", b"{}"), BINDING)


def test_a_section_of_a_megabyte_comes_back() -> None:
    section = a_section(1_000_000)
    assert unseal(seal(section, BINDING), BINDING) == section
