"""Updates: replaced or merged, in their order, and conflicts between them."""

import pytest

from tests.support.backend import RunningBackend
from tests.support.wire import Message, Wire


def state_of(client: Wire, session: str) -> Message:
    state: Message = client.do("restore_session", session_id=session)["session_state"]
    return state


def test_an_update_replaces_the_sections_that_it_names_and_leaves_the_others(client: Wire) -> None:
    session = client.new_session()
    update = "update_session_state"
    client.do(update, session_id=session, state_data={"a": 1}, inspector_state={"i": 1})
    updated = client.do(update, session_id=session, session_state={"b": 2})
    assert set(updated) == {
        *("session_id", "last_modified", "session_state", "update_successful", "revision")
    }
    assert updated["session_state"] == {"b": 2}
    assert updated["update_successful"] is True
    assert updated["revision"] == 3
    assert client.do("restore_session", session_id=session)["inspector_state"] == {"i": 1}


@pytest.mark.parametrize(
    ("present", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({"a": "foo"}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_is_that_of_rfc_7396(
    client: Wire, present: Message, patch: Message, merged: Message
) -> None:
    session = client.new_session()
    client.do("update_session_state", session_id=session, state_data=present)
    updated = client.do("update_session_state", session_id=session, state_data=patch, mode="merge")
    assert updated["session_state"] == merged
    assert state_of(client, session) == merged


def test_an_update_of_a_section_that_changed_since_conflicts_and_changes_nothing(
    client: Wire,
) -> None:
    session = client.new_session()
    update = "update_session_state"
    client.do(update, session_id=session, state_data={"a": 1})
    client.do(update, session_id=session, inspector_state={"i": 1})
    failure = client.fail(update, session_id=session, state_data={"b": 1}, expected_revision=1)
    assert failure.code == "revision_conflict"
    assert failure.details == {"revision": 3, "changed_sections": ["session_state"]}
    assert state_of(client, session) == {"a": 1}


def test_changes_to_other_sections_do_not_conflict(client: Wire) -> None:
    session = client.new_session()
    update = "update_session_state"
    client.do(update, session_id=session, state_data={"a": 1})
    updated = client.do(update, session_id=session, inspector_state={"i": 1}, expected_revision=1)
    assert updated["revision"] == 3
    client.do(update, session_id=session, state_data={"a": 2}, expected_revision=2)


def test_a_revision_that_never_was_conflicts(client: Wire) -> None:
    session = client.new_session()
    failure = client.fail(
        "update_session_state", session_id=session, state_data={}, expected_revision=7
    )
    assert failure.code == "revision_conflict"
    assert failure.details["revision"] == 1


def test_pipelined_updates_are_applied_in_their_order(dealer: Wire) -> None:
    session = dealer.new_session()
    sent = [
        dealer.send("update_session_state", session_id=session, state_data={"n": number})
        for number in range(100)
    ]
    updates = dealer.results(sent)
    assert [update["revision"] for update in updates] == list(range(2, 102))
    assert state_of(dealer, session) == {"n": 99}


def test_pipelined_merges_build_on_one_another(dealer: Wire) -> None:
    session = dealer.new_session()
    sent = [
        dealer.send(
            "update_session_state", session_id=session, state_data={f"k{n}": n}, mode="merge"
        )
        for n in range(50)
    ]
    dealer.results(sent)
    assert state_of(dealer, session) == {f"k{n}": n for n in range(50)}


def test_two_connections_may_work_on_one_session(backend: RunningBackend, client: Wire) -> None:
    session = client.new_session()
    with backend.client() as other:
        client.do("update_session_state", session_id=session, state_data={"by": "one"})
        updated = other.do("update_session_state", session_id=session, state_data={"by": "two"})
        assert updated["revision"] == 3
        assert state_of(client, session) == {"by": "two"}
