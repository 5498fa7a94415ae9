from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.ids import ClientId
from storage import failpoints, session_file
from storage.file_names import file_name, identifier
from storage.sealed import seal
from storage.session_file import SessionFiles, read_file
from storage.store import Damaged, SessionContents, WriteRefused
from tests.storage.samples import (
    a_context,
    a_head,
    a_section,
    a_session,
    an_evaluation,
    contents,
    identifiers,
    text,
)

ANN = ClientId("Ann:1")
S1 = a_session("s1")


def a_document(number: int = 1, name: str = "s1") -> SessionContents:
    return SessionContents(
        number=number,
        head=a_head(
            name, "Ann:1", client_info=text({"terminal": "xterm"}), evaluations=1, contexts=2
        ),
        sections={"session_state": text({"number": number})},
        evaluations=[an_evaluation(1, "finished", result="7")],
        contexts=[a_context(0, "automatic"), a_context(2, label="before lunch")],
    )


@pytest.fixture
def files(tmp_path: Path) -> Iterator[SessionFiles]:
    yield SessionFiles(tmp_path)
    failpoints.disarm_all()


@given(contents)
@settings(deadline=None)
def test_a_session_comes_back_from_its_file_as_it_was(document: SessionContents) -> None:
    with tempfile.TemporaryDirectory() as directory:
        files = SessionFiles(Path(directory))
        files.write(document)
        head = document.head
        read = files.read(head.client_id, head.session_id)
        assert read is not None
        assert (read.contents, read.problem) == (document, "")
        assert list(files.readable()) == [document]


def test_a_session_without_a_file_is_none(files: SessionFiles) -> None:
    assert files.read(ANN, S1) is None
    assert list(files.readable()) == []
    files.remove(ANN, S1)


def test_the_file_is_where_the_names_say_and_is_read_without_a_store(
    files: SessionFiles, tmp_path: Path
) -> None:
    files.write(a_document())
    path = tmp_path / "^ann%3a1" / "session_s1.stui"
    assert path == files.path(ANN, S1)
    assert read_file(path) == a_document()
    assert path.stat().st_mode & 0o077 == 0


def test_the_generation_before_is_kept_and_steps_in_for_a_damaged_one(files: SessionFiles) -> None:
    for number in (1, 2, 3):
        files.write(a_document(number))
    path = files.path(ANN, S1)
    path.write_bytes(path.read_bytes()[:-1])
    read = files.read(ANN, S1)
    assert read is not None
    assert read.contents == a_document(2)
    assert "damaged" in read.problem
    assert list(files.readable()) == [a_document(2)]
    path.unlink()
    read = files.read(ANN, S1)
    assert read is not None
    assert read.contents == a_document(2)
    assert "There is no" in read.problem
    assert list(files.readable()) == [a_document(2)]


def test_a_session_of_which_nothing_can_be_read_is_damaged(files: SessionFiles) -> None:
    files.write(a_document())
    files.write(a_document(2))
    for path in files.path(ANN, S1).parent.iterdir():
        path.write_bytes(b"STUI")
    with pytest.raises(Damaged, match="cut short"):
        files.read(ANN, S1)
    assert list(files.readable()) == []


def test_a_flipped_bit_or_a_cut_is_damage(files: SessionFiles) -> None:
    files.write(replace(a_document(), sections={"session_state": a_section(3000)}))
    path = files.path(ANN, S1)
    whole = path.read_bytes()
    rng = random.Random(7)
    for _ in range(300):
        torn = bytearray(whole)
        torn[rng.randrange(len(torn))] ^= 1 << rng.randrange(8)
        path.write_bytes(torn)
        with pytest.raises(Damaged):
            read_file(path)
        path.write_bytes(whole[: rng.randrange(len(whole))])
        with pytest.raises(Damaged):
            read_file(path)


def test_a_foreign_file_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.stui"
    for foreign in (b"", b"hello", seal(b"{}", ("session file", 1)), seal(b"{}", ("other",))):
        path.write_bytes(foreign)
        with pytest.raises(Damaged, match=r"x\.stui"):
            read_file(path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none.stui")
    monkeypatch.setattr(session_file, "FILE_BYTES", 99)
    path.write_bytes(b"a" * 100)
    with pytest.raises(Damaged, match="100 bytes"):
        read_file(path)


def test_the_file_of_another_session_is_not_taken(files: SessionFiles) -> None:
    files.write(a_document(name="s2"))
    files.path(ANN, a_session("s2")).rename(files.path(ANN, S1))
    with pytest.raises(Damaged, match="session_s2"):
        files.read(ANN, S1)


def test_removing_a_session_removes_every_generation(files: SessionFiles) -> None:
    files.write(a_document(1))
    files.write(a_document(2))
    files.remove(ANN, S1)
    assert list(files.path(ANN, S1).parent.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("file.write.before", 1),
        ("file.write.after", 1),
        ("file.rename.before", 1),
        ("file.rename.after", 2),
    ],
)
def test_a_write_that_fails_leaves_a_whole_session_and_the_next_one_works(
    files: SessionFiles, place: str, expected: int
) -> None:
    files.write(a_document(1))
    failpoints.arm(place, "raise", "ENOSPC")
    with pytest.raises(WriteRefused, match="No space left"):
        files.write(a_document(2))
    read = files.read(ANN, S1)
    assert read is not None
    assert read.contents == a_document(expected)
    files.write(a_document(3))
    assert read_file(files.path(ANN, S1)) == a_document(3)


def test_a_place_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files = SessionFiles(tmp_path / "file")
    with pytest.raises(WriteRefused):
        files.write(a_document())


def test_a_session_that_is_larger_than_a_blob_may_be_is_refused(
    files: SessionFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sealed.PAYLOAD_BYTES", 100)
    with pytest.raises(WriteRefused, match="100 is the most"):
        files.write(a_document())


# --- names of files


@given(identifiers | st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_a_file_name_is_safe_everywhere(name: str) -> None:
    made = file_name(name)
    assert len(made) <= 200
    assert made == made.lower()
    assert not set(made) & set('<>:"/\\|?* ')
    assert made.isascii()
    assert not made.startswith(".")
    assert not made.endswith(".")
    if "~" not in made:
        assert identifier(made) == name


@given(st.lists(identifiers, min_size=2, max_size=2, unique=True))
def test_two_identifiers_never_share_a_file_even_where_case_is_ignored(names: list[str]) -> None:
    assert file_name(names[0]).casefold() != file_name(names[1]).casefold()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("session_0a1b", "session_0a1b"),
        ("DevClient:7", "^dev^client%3a7"),
        ("a@b.c+d-e", "a@b.c+d-e"),
        ("con", "%63on"),
        ("nul.txt", "%6eul.txt"),
        ("console", "console"),
        ("..", "%2e%2e"),
        ("a.", "a%2e"),
        ("../x", "%2e.%2fx"),
        ("é", "%c3%a9"),
    ],
)
def test_names_are_readable_and_never_lead_elsewhere(name: str, expected: str) -> None:
    assert file_name(name) == expected
    assert identifier(expected) == name


def test_a_very_long_name_is_cut_and_still_its_own() -> None:
    one, other = "A" * 127 + "B", "A" * 127 + "C"
    assert file_name(one) != file_name(other)
    assert identifier(file_name(one)) is None


def test_a_name_that_we_would_not_give_names_nobody() -> None:
    for name in ("", "A", "con", "%41", "a b", "%zz", "%ff", "^A", ".x"):
        assert identifier(name) is None
