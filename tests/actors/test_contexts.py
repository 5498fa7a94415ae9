"""What a workspace held comes back: in a new life of its image, and from saved contexts."""

from __future__ import annotations

import base64
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.backend import RunningBackend, running_backend
from tests.support.images import python_image
from tests.support.waiting import eventually
from tests.support.wire import Message, Wire
from tests.tools.images.image_client import ImageClient, ImageProcess


class Site:
    """A backend and a Python image, either of which can be killed and started again."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self._directory = directory
        self._images = ExitStack()
        self._stack = ExitStack()
        self.image = self._start_image()
        images = {"py": self.image.endpoint}
        self.backend: RunningBackend = self._stack.enter_context(
            running_backend(directory / "data", images=images, **settings)
        )
        self.epoch = self.backend.wait_for_image("py")["epoch"]

    def forget_files(self) -> None:
        """Remove the session files, from which what is damaged would be brought back."""
        shutil.rmtree(self._directory / "data" / "sessions")

    @property
    def database(self) -> Path:
        return next((self._directory / "data").glob("*.db"))

    def kill_image(self) -> None:
        self._images.close()
        self._images = ExitStack()

    def start_image(self) -> None:
        self.image = self._start_image(self.image.endpoint)

        def epoch() -> str:
            record = self.backend.wait_for_image("py")
            return str(record["epoch"]) if record["epoch"] != self.epoch else ""

        self.epoch = eventually(epoch)

    def renew_image(self) -> None:
        """Kill the image and start it again, on the same state directory and address."""
        self.kill_image()
        self.start_image()

    def client(self) -> Wire:
        return self.backend.client()

    def close(self) -> None:
        self._stack.close()
        self._images.close()

    def _start_image(self, endpoint: str = "tcp://127.0.0.1:*") -> ImageProcess:
        state = self._directory / "image"
        return self._images.enter_context(python_image(state, endpoint=endpoint))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), contexts_kept=5, max_objects=16)
    yield site
    site.close()


@pytest.fixture
def client(site: Site) -> Iterator[Wire]:
    with site.client() as wire:
        yield wire


@pytest.fixture
def session(client: Wire) -> str:
    return client.new_session()


def run(client: Wire, session: str, code: str) -> Message:
    return client.do("evaluate", session_id=session, code=code)


def value(client: Wire, session: str, code: str) -> str:
    return str(run(client, session, code)["result"])


def fates(report: Message) -> dict[str, str]:
    return {entry["name"]: entry["fate"] for entry in report["variables"]}


def test_after_an_evaluation_the_workspace_is_on_disk_and_the_reply_says_so(
    client: Wire, session: str
) -> None:
    assert run(client, session, "x = [1, 2]; y = x")["context_saved"] is True
    summary = client.do("get_context_summary", session_id=session)
    shown = {variable["name"]: variable for variable in summary["variables"]}
    assert (shown["x"]["class"], shown["x"]["print_string"]) == ("list", "[1, 2]")
    assert shown["y"]["restorable"] is True
    assert summary["integrity"] == "verified"
    assert summary["evaluations_unsaved"] == []
    assert (summary["history_count"], summary["history_position"]) == (1, 1)
    assert summary["last_saved"]


def test_variables_objects_identity_and_classes_are_back_in_a_new_life_of_the_image(
    site: Site, client: Wire, session: str
) -> None:
    run(
        client,
        session,
        "class P:\n    def __init__(self, x): self.x = x\n    def up(self): return n",
    )
    run(client, session, "a = [1]; a.append(a); b = a; p = P(a); n = 41")
    inspected = client.do("inspect", session_id=session, target="p")
    client.do("save_context", session_id=session)  # with what was inspected
    site.renew_image()
    report = client.do("restore_session", session_id=session)["restore_report"]
    assert report["workspace"] == "restored", report
    assert fates(report) == dict.fromkeys(("P", "a", "b", "p", "n"), "restored")
    assert report["evaluations_lost"] == []
    assert value(client, session, "a is b, a[1] is a, p.x is a, type(p) is P") == str((True,) * 4)
    run(client, session, "n = 42")
    assert value(client, session, "p.up()") == "42"
    again = client.do("inspect", session_id=session, object_id=inspected["object_id"])
    assert again["object_info"]["class_name"] == "P"
    assert again["object_id"] == inspected["object_id"]
    child = client.do("inspect", session_id=session, object_id=inspected["children"]["x"])
    assert child["object_info"]["class_name"] == "list"


def test_code_that_comes_first_finds_its_workspace_back_and_hears_of_it(
    site: Site, client: Wire, session: str
) -> None:
    run(client, session, "x = 7; f = open('/dev/null')")
    site.renew_image()
    result = run(client, session, "x + 1")
    assert result["result"] == "8"
    assert result["restore_report"]["workspace"] == "partial"
    assert fates(result["restore_report"]) == {"x": "restored", "f": "lost"}
    (lost,) = [v for v in result["restore_report"]["variables"] if v["name"] == "f"]
    assert "file" in lost["reason"]
    assert "restore_report" not in run(client, session, "x")


def test_killing_image_and_backend_together_loses_nothing_that_was_saved(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    try:
        with site.client() as client:
            session = client.new_session()
            for number in range(5):
                assert run(client, session, f"x = {number}")["context_saved"] is True
        site.kill_image()
        site.backend.restart()
        site.start_image()
        with site.client() as client:
            assert value(client, session, "x") == "4"
            history = client.do("get_session_history", session_id=session)["history"]
            assert [entry["context_saved"] for entry in history] == [True] * 6
    finally:
        site.close()


def test_an_object_that_was_shown_is_back_under_its_id_and_others_ids_name_nothing(
    site: Site, client: Wire
) -> None:
    mine, theirs = client.new_session(), client.new_session()
    my_id = run(client, mine, "['mine']")["object_id"]
    their_id = run(client, theirs, "['theirs']")["object_id"]
    for renewed in (False, True):
        if renewed:
            site.renew_image()
        shown = client.do("inspect", session_id=mine, object_id=my_id)
        assert shown["object_info"]["string_representation"] == "['mine']"
        for session, foreign in ((mine, their_id), (theirs, my_id)):
            failure = client.fail("inspect", session_id=session, object_id=foreign)
            assert failure.code in {"object_not_found", "object_lost"}


def test_an_object_that_could_not_be_kept_is_lost_and_nothing_else(
    site: Site, client: Wire, session: str
) -> None:
    file_id = run(client, session, "open('/dev/null')")["object_id"]
    run(client, session, "x = 1")
    site.renew_image()
    failure = client.fail("inspect", session_id=session, object_id=file_id)
    assert failure.code == "object_lost"
    report = client.do("restore_session", session_id=session)["restore_report"]
    (fate,) = [each for each in report["objects"] if each["object_id"] == file_id]
    assert fate["fate"] == "lost"
    assert fate["reason"]
    assert fate["via"] == "result of evaluation 1"


def test_the_inspector_state_tells_which_of_its_objects_are_there(
    site: Site, client: Wire, session: str
) -> None:
    kept = run(client, session, "x = [1]; x")["object_id"]
    lost = run(client, session, "open('/dev/null')")["object_id"]
    state = {"selections": [{"object_id": kept}], "expanded": {lost: True}, "view": "tree"}
    client.do("update_session_state", session_id=session, inspector_state=state)
    run(client, session, "1")

    def entries() -> dict[str, bool]:
        report = client.do("restore_session", session_id=session)["restore_report"]
        return {entry["path"]: entry["present"] for entry in report["inspector"]}

    paths = ("selections[0].object_id", f"expanded.{lost}")
    assert entries() == dict.fromkeys(paths, True)
    site.renew_image()
    assert entries() == {paths[0]: True, paths[1]: False}
    assert client.do("restore_session", session_id=session)["inspector_state"] == state


def test_a_saved_context_brings_back_variables_objects_inspector_and_history_position(
    site: Site, client: Wire, session: str
) -> None:
    shown = run(client, session, "x = ['before']; y = x; x")["object_id"]
    client.do("update_session_state", session_id=session, inspector_state={"at": shown})
    saved = client.do("save_context", session_id=session, label="before the mistake")
    assert saved["context_id"] == "1"
    assert saved["label"] == "before the mistake"
    assert saved["notes"] == []
    run(client, session, "x = 'mistake'; z = 3")
    client.do("update_session_state", session_id=session, inspector_state={"at": "nothing"})
    for renewed in (False, True):
        if renewed:
            site.renew_image()
        loaded = client.do("load_context", session_id=session, context_id="1")
        assert loaded["context_id"] == "1"
        assert loaded["history_position"] == 1
        assert value(client, session, "x is y, x, 'z' in globals()") == str(
            (True, ["before"], False)
        )
        restored = client.do("restore_session", session_id=session)
        assert restored["inspector_state"] == {"at": shown}
        inspected = client.do("inspect", session_id=session, object_id=shown)
        assert inspected["object_info"]["string_representation"] == "['before']"
        if not renewed:
            client.do("load_context", session_id=session, context_id=loaded["saved_as"])
            assert value(client, session, "x, z") == "('mistake', 3)"
            restored = client.do("restore_session", session_id=session)
            assert restored["inspector_state"] == {"at": "nothing"}


def test_loading_a_context_while_no_image_is_there_brings_it_back_when_it_is(
    site: Site, client: Wire, session: str
) -> None:
    run(client, session, "x = 1")
    client.do("save_context", session_id=session)
    run(client, session, "x = 2")
    site.kill_image()
    site.backend.wait_for_image("py", "Reconnecting")
    loaded = client.do("load_context", session_id=session)
    assert loaded["context_id"] == "1"
    assert any("before it is used" in note for note in loaded["restore_report"]["notes"])
    summary = client.do("get_context_summary", session_id=session)
    assert [variable["print_string"] for variable in summary["variables"]] == ["1"]
    assert summary["integrity"] == "verified"
    site.start_image()
    assert value(client, session, "x") == "1"


def test_contexts_are_listed_and_the_oldest_go_when_there_are_too_many(
    client: Wire, session: str
) -> None:
    run(client, session, "x = 1")
    for number in range(7):
        client.do("save_context", session_id=session, label=f"n{number}")
    contexts = client.do("list_contexts", session_id=session)["contexts"]
    saved = [context for context in contexts if context["kind"] == "saved"]
    assert [context["label"] for context in saved] == [f"n{number}" for number in range(2, 7)]
    assert {context["integrity"] for context in contexts} == {"verified"}
    assert client.fail("load_context", session_id=session, context_id="1").code == (
        "context_not_found"
    )


def test_what_is_cleared_is_counted_saved_before_and_can_be_loaded_back(
    client: Wire, session: str
) -> None:
    run(client, session, "x = [1]; x")
    client.do("update_session_state", session_id=session, inspector_state={"open": True})
    before = client.do("get_session_info", session_id=session)["revision"]
    cleared = client.do("clear_context", session_id=session)
    assert cleared["cleared"] == {"variables": 1, "objects": 1, "inspector": 1, "history": 1}
    assert cleared["revision"] == before + 1
    assert client.fail("evaluate", session_id=session, code="x").code == "evaluation_error"
    history = client.do("get_session_history", session_id=session)["history"]
    assert [entry["code"] for entry in history] == ["x"]
    client.do("load_context", session_id=session, context_id=cleared["context_id"])
    assert value(client, session, "x") == "[1]"
    codes = [e["code"] for e in client.do("get_session_history", session_id=session)["history"]]
    assert codes[0] == "x = [1]; x"
    restored = client.do("restore_session", session_id=session)
    assert restored["inspector_state"] == {"open": True}


def test_no_automatic_snapshot_of_before_outlives_clearing(client: Wire, session: str) -> None:
    for code in ("x = [1]", "x.append(2)", "x.append(3)"):
        run(client, session, code)
    client.do("clear_context", session_id=session)
    run(client, session, "y = 1")
    contexts = client.do("list_contexts", session_id=session)["contexts"]
    assert [each["context_id"] for each in contexts if each["kind"] == "automatic"] == ["auto"]


@pytest.mark.parametrize("scope", [["variables"], ["variables", "history"]])
def test_a_workspace_that_was_emptied_is_not_lost_with_the_life_of_its_image(
    site: Site, client: Wire, session: str, scope: list[str]
) -> None:
    run(client, session, "x = [1]; x")
    client.do("clear_context", session_id=session, scope=scope)
    assert client.do("get_context_summary", session_id=session)["evaluations_unsaved"] == []
    for _ in range(2):
        site.renew_image()
        report = client.do("restore_session", session_id=session)["restore_report"]
        assert report == {
            "workspace": "live", "notes": [], "variables": [], "objects": [], "inspector": [],
            "evaluations_lost": [],
        }  # fmt: skip
    evaluated = run(client, session, "'x' in globals()")
    assert evaluated["result"] == "False"
    assert "restore_report" not in evaluated


@pytest.mark.parametrize("scope", ["objects", "inspector", "history"])
def test_one_part_is_cleared_without_the_others(client: Wire, session: str, scope: str) -> None:
    shown = run(client, session, "x = [1]; x")["object_id"]
    client.do("update_session_state", session_id=session, inspector_state={"open": True})
    assert list(client.do("clear_context", session_id=session, scope=[scope])["cleared"]) == [scope]
    assert value(client, session, "x") == "[1]"
    restored = client.do("restore_session", session_id=session)
    assert restored["inspector_state"] == ({} if scope == "inspector" else {"open": True})
    assert len(restored["history"]) == (1 if scope == "history" else 2)
    if scope == "objects":
        code = client.fail("inspect", session_id=session, object_id=shown).code
        assert code == "object_not_found"
    else:
        client.do("inspect", session_id=session, object_id=shown)


def test_a_fork_is_a_session_of_its_own_with_all_that_the_first_held(
    client: Wire, session: str
) -> None:
    run(client, session, "class P: pass\nx = [P()]; y = x")
    shown = run(client, session, "x")["object_id"]
    client.do("save_context", session_id=session, label="kept")
    fork = client.do("fork_session", session_id=session, name="attempt")
    assert fork["made_of"] == session
    assert fork["name"] == "attempt"
    copy = fork["session_id"]
    assert value(client, copy, "x is y, type(x[0]) is P") == "(True, True)"
    run(client, copy, "x.append(1); P.mark = 1; x = None")
    assert value(client, session, "len(x), hasattr(P, 'mark')") == "(1, False)"

    def elements(of: str) -> int:
        return len(client.do("inspect", session_id=of, object_id=shown)["instance_vars"])

    assert (elements(copy), elements(session)) == (2, 1)
    labels = [c["label"] for c in client.do("list_contexts", session_id=copy)["contexts"]]
    assert "kept" in labels


def test_an_exported_session_comes_back_under_another_client(client: Wire, session: str) -> None:
    run(client, session, "x = {'a': [1, 2]}")
    exported = client.do("export_session", session_id=session)
    assert len(base64.b64decode(exported["data"])) == exported["size_bytes"]
    imported = client.do("import_session", client_id="another", data=exported["data"])
    assert imported["made_of"] == session
    assert value(client, imported["session_id"], "x") == "{'a': [1, 2]}"
    history = client.do("get_session_history", session_id=imported["session_id"])["history"]
    assert [entry["code"] for entry in history] == ["x = {'a': [1, 2]}", "x"]


@pytest.mark.parametrize("spoiled", ["cut", "flipped", "foreign"])
def test_a_spoiled_file_is_refused(client: Wire, session: str, spoiled: str) -> None:
    data = base64.b64decode(client.do("export_session", session_id=session)["data"])
    match spoiled:
        case "cut":
            data = data[:-1]
        case "flipped":
            data = data[:-1] + bytes([data[-1] ^ 1])
        case _:
            data = b"PK\x03\x04 not a session"
    text = base64.b64encode(data).decode()
    assert client.fail("import_session", client_id="c", data=text).code == "invalid_parameter"


def test_objects_beyond_the_limit_are_released_the_oldest_that_nothing_refers_to_first(
    site: Site, client: Wire, session: str
) -> None:
    first = run(client, session, "['first']")["object_id"]
    second = run(client, session, "['second']")["object_id"]
    client.do("update_session_state", session_id=session, inspector_state={"root": first})
    for number in range(20):
        run(client, session, f"[{number}]")
    client.do("inspect", session_id=session, object_id=first)
    assert client.fail("inspect", session_id=session, object_id=second).code == "object_not_found"
    registry = client.do("restore_session", session_id=session)["object_registry"]
    assert first in registry
    assert len(registry) <= 16


def test_an_object_that_is_looked_at_again_and_again_is_not_the_oldest(
    client: Wire, session: str
) -> None:
    first = run(client, session, "x = ['first']; x")["object_id"]
    second = run(client, session, "['second']")["object_id"]
    for number in range(40):
        run(client, session, f"[{number}]")
        client.do("inspect", session_id=session, object_id=first)
    assert client.fail("inspect", session_id=session, object_id=second).code == "object_not_found"


def test_a_closed_session_leaves_its_image_and_comes_back_with_its_workspace(
    site: Site, client: Wire, session: str
) -> None:
    run(client, session, "x = [1]; y = x")
    client.do("close_session", session_id=session)

    def left() -> bool:
        with ImageClient(site.image.endpoint) as image:
            if not image.do("open_workspace", session=session)["created"]:
                return False
            return bool(image.do("close_workspace", session=session)["closed"])

    eventually(left)
    report = client.do("restore_session", session_id=session)["restore_report"]
    assert report["workspace"] == "restored", report
    assert value(client, session, "x is y") == "True"


@pytest.mark.parametrize("part", ["data", "about"])
def test_a_damaged_context_is_refused_and_the_one_before_is_offered(
    tmp_path: Path, part: str
) -> None:
    site = Site(tmp_path)
    try:
        with site.client() as client:
            session = client.new_session()
            for number in range(3):
                run(client, session, f"x = {number}")
                client.do("save_context", session_id=session, label=f"n{number}")
        site.backend.stop()
        site.forget_files()
        with closing(sqlite3.connect(site.database)) as database, database:
            for number in (0, 3):
                (blob,) = database.execute(
                    f"SELECT {part} FROM contexts WHERE number = ?",  # noqa: S608
                    (number,),
                ).fetchone()
                spoiled = blob[:-1] + bytes([blob[-1] ^ 1])
                database.execute(
                    f"UPDATE contexts SET {part} = ? WHERE number = ?",  # noqa: S608
                    (spoiled, number),
                )
        site.backend.start()
        site.backend.wait_for_image("py")
        with site.client() as client:
            for wanted in ({"context_id": "3"}, {}):
                failure = client.fail("load_context", session_id=session, **wanted)
                assert failure.code == "context_damaged"
                assert failure.details["offered"] == "2"
            listed = client.do("list_contexts", session_id=session)["contexts"]
            by_id = {context["context_id"]: context["integrity"] for context in listed}
            assert by_id["3"] == "damaged"
            assert by_id["2"] == "verified"
            labels = [context["label"] for context in listed if context["kind"] == "saved"]
            assert labels == ["n0", "n1", "n2" if part == "data" else ""]
            assert "damaged" in (by_id["auto"], by_id["auto-before"])
            client.do("load_context", session_id=session, context_id="2")
            assert value(client, session, "x") == "1"
    finally:
        site.close()


def test_a_damaged_snapshot_is_not_used_and_the_one_before_is_with_a_word_about_it(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    try:
        with site.client() as client:
            session = client.new_session()
            for number in range(4):
                run(client, session, f"x = {number}")
        site.backend.stop()
        site.forget_files()
        with closing(sqlite3.connect(site.database)) as database, database:
            # The fourth snapshot: they take turns in the slots 0 and -1.
            database.execute("UPDATE contexts SET data = x'00' WHERE number = -1")
        site.kill_image()
        site.backend.start()
        site.start_image()
        with site.client() as client:
            summary = client.do("get_context_summary", session_id=session)
            assert summary["integrity"] == "damaged"
            restored = client.do("restore_session", session_id=session)
            report = restored["restore_report"]
            assert report["workspace"] == "partial"
            assert report["evaluations_lost"] == [4]
            assert any("damaged" in note for note in report["notes"])
            assert value(client, session, "x") == "2"
    finally:
        site.close()


def test_what_a_snapshot_held_and_did_not_come_back_can_be_loaded_when_it_can(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    (tmp_path / "image").mkdir(exist_ok=True)
    module = tmp_path / "library_of_somebody.py"
    try:
        module.write_text("class Kept:\n    value = 7\n", encoding="utf-8")
        with site.client() as client:
            session = client.new_session()
            run(client, session, f"import sys; sys.path.insert(0, {str(tmp_path)!r})")
            run(client, session, "import library_of_somebody; it = library_of_somebody.Kept()")
            module.rename(tmp_path / "elsewhere.py")
            for cached in (tmp_path / "__pycache__").glob("*"):
                cached.unlink()
            site.renew_image()
            report = client.do("restore_session", session_id=session)["restore_report"]
            assert fates(report)["it"] == "lost"
            for number in range(3):
                run(client, session, f"x = {number}")
            contexts = client.do("list_contexts", session_id=session)["contexts"]
            (kept,) = [each for each in contexts if each["kind"] == "not_all_restored"]
            (tmp_path / "elsewhere.py").rename(module)
            run(client, session, f"import sys; sys.path.insert(0, {str(tmp_path)!r})")
            client.do("load_context", session_id=session, context_id=kept["context_id"])
            assert value(client, session, "it.value") == "7"
    finally:
        site.close()
