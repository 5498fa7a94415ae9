"""A database and a session file of version 1 are read, and gone on with."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from protocol.ids import ClientId, ImageId, ObjectId
from protocol.requests import JsonText
from storage.document import Change, Evaluation, ImageRecord, Knowledge, SessionHead
from storage.migrations import MIGRATIONS, migrate
from storage.sealed import Binding, seal
from storage.session_file import SessionFiles, read_file
from storage.session_form import decode_session
from storage.sqlite_connection import connect
from storage.sqlite_rows import used_check
from storage.sqlite_store import SqliteStore
from storage.store import Commit, Damaged, SessionContents
from tests.storage.samples import a_context, a_session, an_event

OLD = a_session("old")
ANN = ClientId("Ann:1")
CURSOR = b'{"cursor":7}'
KNOWLEDGE = (
    b'{"epoch":"e1","variables":["x"],"objects":{"obj-1":{"epoch":"e1","class_name":"int",'
    b'"print_string":"42","via":"result of evaluation 1"}}}'
)
HEAD = (
    b'{"session_id":"session_old","client_id":"Ann:1","created_at":1000.0,"last_modified":1002.5,'
    b'"timeout":3600.0,"state":"open","name":"first","client_info":"eyJ0ZXJtaW5hbCI6Inh0ZXJtIn0=",'
    b'"image_id":"image_1","image_address":null,"image_metadata":null,"revision":3,'
    b'"section_revisions":{"session_state":2},"section_bytes":{"session_state":12},'
    b'"evaluations":1,"used_at":7.5,"ended_at":null}'
)
EVALUATION = (
    b'{"number":1,"code":"6 * 7","state":"finished","started_at":1001.0,"request":"r-1",'
    b'"deadline":null,"mode":"Display","tool_id":null,"image_id":"image_1","epoch":"e1",'
    b'"finished_at":1001.5,"result":"42","result_type":"int","execution_time":0,"truncated":false,'
    b'"object_id":"obj-1","error_code":null,"error":"","details":{},"revision":0}'
)
FILE = bytes.fromhex("5354554901002b27ee205261aa3affbd429a3179bdc8") + (
    b'{"number":4,"head":' + HEAD + b',"sections":{"session_state":' + CURSOR + b',"knowledge":'
    b"" + KNOWLEDGE + b'},"evaluations":[' + EVALUATION + b"]}"
)


def check(head: SessionHead | None, evaluations: list[Evaluation]) -> None:
    assert head is not None
    assert (head.session_id, head.client_id, head.name) == (OLD, ANN, "first")
    assert head.client_info == b'{"terminal":"xterm"}'
    assert (head.contexts, head.snapshot, head.history_position) == (0, None, 0)
    (evaluation,) = evaluations
    assert (evaluation.code, evaluation.result) == ("6 * 7", "42")
    assert (evaluation.output, evaluation.context_saved) == ("", False)


def test_a_file_without_contexts_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.stui"
    path.write_bytes(FILE)
    contents = read_file(path)
    check(contents.head, contents.evaluations)
    assert contents.number == 4
    assert contents.contexts == []
    assert contents.sections == {"session_state": CURSOR, "knowledge": KNOWLEDGE}
    knowledge = msgspec.json.decode(contents.sections["knowledge"], type=Knowledge)
    assert knowledge.objects[ObjectId("obj-1")].print_string == "42"
    files = SessionFiles(tmp_path)
    files.write(contents)
    read = files.read(ANN, OLD)
    assert read is not None
    assert read.contents == contents
    with pytest.raises(Damaged, match="checksum"):
        decode_session(FILE.replace(b"6 * 7", b"6 * 8"))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of version 1 with one session."""
    path = tmp_path / "stui.db"

    def sealed(payload: bytes, *binding: str | int) -> bytes:
        whole: Binding = binding
        return seal(payload, whole)

    with closing(connect(path)) as connection:
        migrate(connection, path, MIGRATIONS[:1])
        stored = (
            b'{"head":' + HEAD + b',"written":{"session_state":1,"knowledge":4},"running":null}'
        )
        connection.execute(
            "INSERT INTO sessions (session_id, client_id, state, image_id, timeout, ended_at,"
            " used_at, used_check, fence, number, dirty_since, head)"
            " VALUES (?, ?, 'open', 'image_1', 3600.0, NULL, 7.5, ?, 1, 4, 1.0, ?)",
            (OLD, ANN, used_check(OLD, 7.5), sealed(stored, OLD, "head", 4)),
        )
        for name, text, written in (("session_state", CURSOR, 1), ("knowledge", KNOWLEDGE, 4)):
            connection.execute(
                "INSERT INTO sections VALUES (?, ?, ?)",
                (OLD, name, sealed(text, OLD, "section", name, written)),
            )
        connection.execute(
            "INSERT INTO evaluations VALUES (?, 1, 4, ?)",
            (OLD, sealed(EVALUATION, OLD, "evaluation", 1, 4)),
        )
        image = b'{"image_id":"image_1","address":"tcp://a:1","name":"one"}'
        connection.execute(
            "INSERT INTO images VALUES ('image_1', ?)", (sealed(image, "image", "image_1"),)
        )
    return path


def test_a_database_of_version_1_is_opened_and_written_on(database: Path) -> None:
    with SqliteStore(database) as store:
        contents = store.contents(OLD)
        assert contents is not None
        assert contents == SessionContents(
            4,
            contents.head,
            {"session_state": JsonText(CURSOR), "knowledge": JsonText(KNOWLEDGE)},
            contents.evaluations,
        )
        check(contents.head, contents.evaluations)
        assert store.images() == [
            ImageRecord(image_id=ImageId("image_1"), address="tcp://a:1", name="one")
        ]
        assert store.contexts(OLD) == []
        assert store.first_event(OLD) is None
        assert store.preferences(ANN) is None
        assert store.heads_of_image(None) == [contents.head]
        with store.transaction() as transaction:
            opened = transaction.open_session(OLD)
            change = Change(
                head=msgspec.structs.replace(opened.head, revision=4, contexts=1),
                contexts=[a_context(1)],
                events=[an_event(1)],
            )
            transaction.apply(Commit(OLD, opened.fence, 5, change))
    with SqliteStore(database) as store:
        assert store.context(OLD, 1) == a_context(1)
        assert store.events(OLD, 0, 9) == [an_event(1)]
        later = store.contents(OLD)
        assert later is not None
        assert (later.number, later.head.revision) == (5, 4)
        assert later.evaluations == contents.evaluations
