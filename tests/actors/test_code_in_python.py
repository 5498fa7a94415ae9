"""Code in a real Python image: results, errors, deadlines, interrupts, workspaces."""

import pytest

from tests.support.backend import RunningBackend
from tests.support.wire import Wire


@pytest.fixture
def session(developer: Wire) -> str:
    return developer.new_session()


def test_an_evaluation_is_answered_in_the_documented_shape(developer: Wire, session: str) -> None:
    result = developer.do("evaluate", session_id=session, code="6 * 7")
    assert set(result) == {
        *("result", "result_type", "execution_time", "has_error", "truncated"),
        *("object_id", "evaluation", "revision", "context_saved"),
    }
    assert (result["result"], result["result_type"]) == ("42", "int")
    assert (result["has_error"], result["truncated"]) == (False, False)
    assert isinstance(result["execution_time"], int)
    assert (result["evaluation"], result["revision"]) == (1, 2)
    executed = developer.do("evaluate", session_id=session, code="x = 1", evaluation_mode="Execute")
    assert "object_id" not in executed


def test_an_inspection_is_answered_in_the_documented_shape(developer: Wire, session: str) -> None:
    inspected = developer.do("inspect", session_id=session, target="{'a': [1, 2]}")
    assert set(inspected["object_info"]) == {
        *("class_name", "string_representation", "hash", "size")
    }
    assert inspected["object_info"]["class_name"] == "dict"
    assert inspected["methods"] is None
    (name,) = inspected["instance_vars"]
    child = developer.do(
        "inspect", session_id=session, objectId=inspected["children"][name], includePrivate=True
    )
    assert child["object_info"]["class_name"] == "list"
    assert "append" in " ".join(child["methods"])


def test_the_workspaces_of_sessions_are_apart(developer: Wire, session: str) -> None:
    other = developer.new_session()
    developer.do("evaluate", session_id=session, code="mine = 1")
    failure = developer.fail("evaluate", session_id=other, code="mine")
    assert failure.code == "evaluation_error"
    assert failure.details["class"] == "NameError"
    assert developer.do("evaluate", session_id=session, code="mine")["result"] == "1"


def test_an_object_of_another_session_is_not_found(developer: Wire, session: str) -> None:
    object_id = developer.do("evaluate", session_id=session, code="[1]")["object_id"]
    other = developer.new_session()
    failure = developer.fail("inspect", session_id=other, object_id=object_id)
    assert failure.code == "object_not_found"


def test_code_that_fails_tells_what_and_where(developer: Wire, session: str) -> None:
    failure = developer.fail("evaluate", session_id=session, code="x = 1\nx / 0")
    assert failure.code == "evaluation_error"
    assert failure.details["class"] == "ZeroDivisionError"
    assert "division" in failure.details["message"]
    assert failure.details["stack"]
    assert failure.details["evaluation"] == 1


def test_code_that_does_not_parse_tells_where(developer: Wire, session: str) -> None:
    failure = developer.fail("evaluate", session_id=session, code="1 +")
    assert failure.code == "evaluation_error"
    assert failure.details["class"] == "SyntaxError"
    assert failure.details["line"] == 1


def test_the_errors_of_code_fit_a_strict_envelope(backend_with_python: RunningBackend) -> None:
    with backend_with_python.client(dialect="envelope") as client:
        failure = client.fail("evaluate", code="1 / 0", context=None, return_string=True)
        assert failure.code == "evaluation_error"
        error = failure.reply["payload"]["data"]["data"]
        assert error["code"] == "EvaluationError"
        assert "ZeroDivisionError" in error["stack_trace"]


def test_a_result_that_prints_fifty_megabytes_is_cut(developer: Wire, session: str) -> None:
    result = developer.do("evaluate", session_id=session, code="'x' * 50_000_000")
    assert result["truncated"] is True
    assert len(result["result"]) < 70_000
    assert result["result"].endswith("characters)")


def test_an_object_that_cannot_print_itself_is_shown_all_the_same(
    developer: Wire, session: str
) -> None:
    code = "class Shy:\n    def __repr__(self): raise ValueError('no')\nShy()"
    result = developer.do("evaluate", session_id=session, code=code)
    assert "Shy" in result["result"]
    assert "printing failed" in result["result"]


def test_the_history_holds_what_was_run_and_how_it_ended(developer: Wire, session: str) -> None:
    for code in ("1", "2", "1 / 0", "4"):
        developer.ask("evaluate", session_id=session, code=code, tool_id="workspace")
    answer = developer.do("get_session_history", session_id=session)
    assert set(answer) == {"session_id", "history", "total"}
    assert answer["total"] == 4
    records = answer["history"]
    assert [record["evaluation"] for record in records] == [1, 2, 3, 4]
    assert [record["state"] for record in records] == ["finished"] * 2 + ["failed", "finished"]
    assert set(records[0]) == {
        *("evaluation", "code", "state", "result", "result_type", "execution_time"),
        *("has_error", "started_at", "finished_at", "evaluation_mode", "image_id", "tool_id"),
        *("output", "context_saved"),
    }
    assert records[2]["error"]["error_code"] == "evaluation_error"
    assert records[2]["error"]["class"] == "ZeroDivisionError"
    assert records[2]["has_error"] is True

    def numbers(**parameters: int) -> list[int]:
        found = developer.do("get_session_history", session_id=session, **parameters)
        return [record["evaluation"] for record in found["history"]]

    assert numbers(limit=2) == [3, 4]
    assert numbers(since=1) == [2, 3, 4]
    assert numbers(since=1, limit=2) == [2, 3]
    assert numbers(since=4) == []
    record = developer.do("get_evaluation", session_id=session, evaluation=2)
    assert record == records[1]
    for number in (0, 5):
        failure = developer.fail("get_evaluation", session_id=session, evaluation=number)
        assert failure.code == "invalid_parameter"
    restored = developer.do("restore_session", session_id=session)
    assert restored["history"] == records
    assert restored["restore_report"]["workspace"] == "live"
    assert restored["revision"] == 5


def test_a_restore_tells_the_variables_and_objects_that_the_backend_knows(
    developer: Wire, session: str
) -> None:
    developer.do("evaluate", session_id=session, code="alpha = 1", evaluation_mode="Execute")
    object_id = developer.do("evaluate", session_id=session, code="[alpha]")["object_id"]
    restored = developer.do("restore_session", session_id=session)
    assert restored["workspace_context"] == {"variables": ["alpha"]}
    assert restored["object_registry"] == {object_id: "[1]"}
    own = {"my": "own"}
    developer.do("update_session_state", session_id=session, workspace_context=own)
    assert developer.do("restore_session", session_id=session)["workspace_context"] == own


def test_evaluations_of_a_session_run_in_their_order(developer: Wire, session: str) -> None:
    developer.do("evaluate", session_id=session, code="seen = []")
    sent = [
        developer.send("evaluate", session_id=session, code=f"seen.append({number})")
        for number in range(20)
    ]
    results = developer.results(sent)
    assert [result["evaluation"] for result in results] == list(range(2, 22))
    shown = developer.do("evaluate", session_id=session, code="seen")["result"]
    assert shown == str(list(range(20)))


def test_code_without_a_session_has_a_workspace_of_the_connection(
    backend_with_python: RunningBackend, developer: Wire
) -> None:
    with backend_with_python.client() as other:
        assert set(developer.do("evaluate", code="own = 5")) >= {"result", "result_type"}
        assert developer.do("evaluate", code="own")["result"] == "5"
        assert developer.do("inspect", target="own")["object_info"]["class_name"] == "int"
        assert other.fail("evaluate", code="own").code == "evaluation_error"
        assert other.fail("inspect", target="own").code == "evaluation_error"


def test_the_context_of_an_envelope_is_a_session(backend_with_python: RunningBackend) -> None:
    with backend_with_python.client(dialect="envelope") as client:
        session = client.new_session()
        client.do("evaluate", code="inside = 3", context=session, return_string=True)
        shown = client.do("evaluate", code="inside", context=session)
        assert (shown["result"], shown["evaluation"]) == ("3", 2)
        inspected = client.do("inspect", target="inside", context=session)
        assert inspected["object_info"]["string_representation"] == "3"
        assert client.fail("evaluate", code="inside", context=None).code == "evaluation_error"


@pytest.mark.parametrize("cbor", [False, True])
def test_binary_and_unicode_results_survive_both_encodings(
    backend_with_python: RunningBackend, cbor: bool
) -> None:
    with backend_with_python.client(cbor=cbor) as client:
        assert client.do("evaluate", code="'ä€😀\\x00'")["result"] == repr("ä€😀\x00")
        assert client.do("evaluate", code="b'\\xff'")["result"] == r"b'\xff'"


def test_classes_and_methods_are_browsed(developer: Wire, session: str) -> None:
    browsed = developer.do("browse_class", class_name="int")
    assert browsed["class_info"]["name"] == "int"
    assert set(browsed["class_info"]) == {
        *("name", "superclass", "comment", "package", "is_system")
    }
    assert browsed["class_vars"] is None
    methods = {method["name"] for method in browsed["instance_methods"]}
    assert "bit_length" in methods
    listed = developer.do("list_classes", pattern="Value*", limit=1)
    assert len(listed["classes"]) == 1
    assert listed["total_count"] >= 1
    method = developer.do(
        "get_method", class_name="int", method_name="bit_length", session_id=session
    )
    assert method["method"]["name"] == "bit_length"
    info = developer.do("system_info", info_type="All")["info"]
    assert info
    assert all(isinstance(value, str) for value in info.values())
    assert developer.fail("browse_class", class_name="NoSuchClass").code == "class_not_found"
    failure = developer.fail("get_method", class_name="int", method_name="no_such")
    assert failure.code == "method_not_found"


def test_a_large_reply_comes_in_both_encodings(backend_with_python: RunningBackend) -> None:
    code = "class Wide: pass\nwide = Wide()\n"
    code += "for n in range(900): setattr(wide, f'slot{n}', 'v' * 900)\nwide"
    for cbor in (False, True):
        with backend_with_python.client(cbor=cbor) as client:
            client.do("evaluate", code=code)
            inspected = client.do("inspect", target="wide")
            assert len(inspected["instance_vars"]) == 900


def test_a_session_stays_on_its_image(developer: Wire, session: str) -> None:
    developer.do("evaluate", session_id=session, code="1", image_id="py")
    info = developer.do("get_session_info", session_id=session)
    status = developer.do("get_image_connection_status", image_id="py")
    assert info["image_id"] == status["image_id"]
    assert status["session_count"] >= 1
    counts = developer.do("get_session_statistics")["sessions_by_image"]
    assert counts[info["image_id"]] >= 1
    failure = developer.fail("evaluate", session_id=session, code="1", image_id="nowhere")
    assert failure.code == "image_unknown"
    assert "py" in failure.message
