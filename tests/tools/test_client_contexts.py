"""The client library's commands for contexts, files, preferences and many images."""

from __future__ import annotations

import pytest

import stui
from tools.client.client import Client, section


def test_a_context_is_saved_loaded_listed_and_cleared(client: Client) -> None:
    session = client.create_session().session_id
    client.evaluate("x = [1, 2]", session)

    saved = client.save_context(session, label="two")
    client.evaluate("x = None", session)
    loaded = client.load_context(session, saved.context_id)

    assert (saved.label, saved.session_id) == ("two", session)
    assert client.evaluate("x", session).result == "[1, 2]"
    assert loaded.context_id == saved.context_id
    assert isinstance(loaded.restore_report, stui.RestoreReport)
    contexts = client.list_contexts(session)
    assert {saved.context_id, loaded.saved_as} <= {each.context_id for each in contexts}
    assert [each.name for each in client.get_context_summary(session).variables] == ["x"]

    cleared = client.clear_context(session, ["variables"])
    assert cleared.cleared["variables"] == 1
    assert client.load_context(session, cleared.context_id).session_id == session


def test_a_session_is_forked_exported_and_imported(client: Client) -> None:
    session = client.create_session(name="first").session_id
    client.update_session_state(session, {"a": 1})

    forked = client.fork_session(session, name="second")
    exported = client.export_session(session)
    file = stui.session_file(exported)
    imported = client.import_session(file, name="third")

    assert (forked.made_of, forked.name) == (session, "second")
    assert exported.file_name.endswith(".stui")
    assert len(file) == exported.size_bytes
    assert len({session, forked.session_id, imported.session_id}) == 3
    for each in (forked, imported):
        assert section(client.restore_session(each.session_id).session_state) == {"a": 1}


def test_a_file_that_is_none_is_refused(client: Client) -> None:
    with pytest.raises(stui.StuiError):
        client.import_session(b"nonsense")


def test_preferences_are_kept_for_a_client(client: Client) -> None:
    assert section(client.get_client_preferences().preferences) == {}
    stored = client.set_client_preferences({"theme": "dark"})
    assert section(client.get_client_preferences().preferences) == {"theme": "dark"}
    assert stored.revision == 1
    assert section(client.get_client_preferences("somebody-else").preferences) == {}


def test_the_sessions_of_an_image_are_listed_counted_and_cleaned_up(client: Client) -> None:
    session = client.create_session(image_id="py").session_id

    listed = client.list_image_sessions("py")
    stats = client.get_image_session_stats("py")
    cleaned = client.cleanup_image_sessions("py", dry_run=True)

    assert session in {each.session_id for each in listed.sessions}
    assert stats.total_sessions >= 1
    assert cleaned.dry_run
    assert session not in cleaned.cleanup_details
    assert client.list_trash(client_id=client.client_id) == []


def test_a_session_is_moved_to_an_image(client: Client) -> None:
    session = client.create_session().session_id

    (moved,) = client.switch_image_context("py", session_id=session)

    assert moved.session_id == session
    assert moved.image_id == client.get_image_connection_status("py").image_id
