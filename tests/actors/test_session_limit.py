"""How many open sessions a client may have, and which count."""

from tests.support.wire import Wire, fresh_client


def test_the_sixth_session_is_refused_and_a_closed_one_does_not_count(client: Wire) -> None:
    me = fresh_client()
    sessions = [client.new_session(me) for _ in range(5)]
    failure = client.fail("create_session", client_id=me)
    assert failure.code == "session_limit"
    assert failure.details["limit"] == 5
    assert client.do("list_client_sessions", client_id=me)["session_count"] == 5
    client.do("close_session", session_id=sessions[0])
    client.new_session(me)
    assert client.fail("restore_session", session_id=sessions[0]).code == "session_limit"
    client.do("delete_session", session_id=sessions[1])
    assert client.do("restore_session", session_id=sessions[0])["is_active"] is True


def test_pipelined_creations_do_not_pass_the_limit(dealer: Wire) -> None:
    me = fresh_client()
    sent = [dealer.send("create_session", client_id=me) for _ in range(12)]
    replies = [dealer.receive(request) for request in sent]
    assert [reply["status"] for reply in replies] == ["success"] * 5 + ["error"] * 7
    assert dealer.do("list_client_sessions", client_id=me)["session_count"] == 5


def test_pipelined_restores_do_not_pass_the_limit(dealer: Wire) -> None:
    me = fresh_client()
    closed = [dealer.new_session(me) for _ in range(3)]
    for session in closed:
        dealer.do("close_session", session_id=session)
    for _ in range(4):
        dealer.new_session(me)
    sent = [dealer.send("restore_session", session_id=session) for session in closed]
    for request in sent:
        dealer.receive(request)
    assert dealer.do("list_client_sessions", client_id=me)["session_count"] == 5


def test_a_deleted_session_counts_no_more_as_soon_as_that_is_answered(dealer: Wire) -> None:
    me = fresh_client()
    sessions = [dealer.new_session(me) for _ in range(5)]
    for _ in range(100):
        dealer.do("delete_session", session_id=sessions.pop(0))
        sessions.append(dealer.new_session(me))
    assert dealer.fail("create_session", client_id=me).code == "session_limit"


def test_a_closed_session_counts_no_more_as_soon_as_that_is_answered(dealer: Wire) -> None:
    me = fresh_client()
    sessions = [dealer.new_session(me) for _ in range(5)]
    for _ in range(50):
        closed = sessions.pop(0)
        dealer.do("close_session", session_id=closed)
        sessions.append(dealer.new_session(me))
        dealer.do("close_session", session_id=sessions.pop(0))
        dealer.do("restore_session", session_id=closed)
        sessions.append(closed)
    assert dealer.fail("create_session", client_id=me).code == "session_limit"
