"""What docs/image-protocol.md says of a full image, asked of every image through its socket."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tools.images.dialects import PYTHON, Dialect, command_of
from tests.tools.images.image_client import (
    ImageClient,
    ImageProcess,
    Message,
    fresh_name,
    result_of,
    running_image,
    wait_until,
)

COMMANDS = {
    "open_workspace",
    "close_workspace",
    "evaluate",
    "inspect",
    "get_result",
    "interrupt",
    "list_classes",
    "browse_class",
    "get_method",
    "system_info",
    "snapshot_workspace",
    "restore_workspace",
    "release_objects",
}


def looping(client: ImageClient, dialect: Dialect, session: str, name: str) -> str:
    """Start an endless evaluation and wait until it runs."""
    sent = client.send_code(session, dialect.endless_loop, request=name)
    wait_until(lambda: bool(client.do("ping")["busy"]))
    return sent


def has_null(value: object) -> bool:
    if isinstance(value, dict | list):
        return any(map(has_null, value.values() if isinstance(value, dict) else value))
    return value is None


class TestMessages:
    def test_a_reply_has_the_id_the_status_and_a_timestamp(self, client: ImageClient) -> None:
        reply = client.ask("ping")
        assert set(reply) == {"id", "status", "result", "timestamp"}
        assert reply["timestamp"].endswith("Z")

    def test_a_failure_has_the_fields_of_a_failure(self, client: ImageClient) -> None:
        reply = client.ask("nonsense")
        assert set(reply) == {
            *("id", "status", "error", "error_type", "error_code", "details", "retryable"),
            "timestamp",
        }
        assert (reply["status"], reply["error_type"]) == ("error", "Error")
        assert (reply["details"], reply["retryable"]) == ({}, False)
        assert "nonsense" in reply["error"]

    def test_a_request_without_a_delimiter_is_answered_without_one(
        self, image: ImageProcess, dialect: Dialect
    ) -> None:
        with ImageClient(image.endpoint, delimiter=False) as client:
            assert client.do("ping")["status"] == "ready"

    @pytest.mark.parametrize(
        "body", [b"", b"hello", b"[1]", b"\x00\xff", b'{"id": "x"', b"7", b'{"id": "\xff"}']
    )
    def test_a_body_that_cannot_be_read_fails_with_id_null(
        self, client: ImageClient, body: bytes
    ) -> None:
        client.send_raw(body)
        assert client.receive(None)["error_code"] == "malformed"

    @pytest.mark.parametrize("value", [{}, {"command": "ping"}, {"id": [], "command": "ping"}])
    def test_a_map_without_an_id_is_no_request(self, client: ImageClient, value: Message) -> None:
        client.send_raw(msgspec.json.encode(value))
        assert client.receive(None)["error_code"] == "malformed"

    @pytest.mark.parametrize(
        "rest", [{}, {"command": 7}, {"command": "ping", "parameters": [1]}, {"command": None}]
    )
    def test_a_map_that_is_no_request_fails_with_its_id(
        self, client: ImageClient, rest: Message
    ) -> None:
        client.send_raw(msgspec.json.encode({"id": "odd", **rest}))
        assert client.receive("odd")["error_code"] == "malformed"

    def test_more_than_one_body_is_malformed(self, client: ImageClient) -> None:
        client.send_raw(b'{"id": "a", "command": "ping"}', b"more")
        assert client.receive(None)["error_code"] == "malformed"

    def test_a_request_beyond_10_mib_is_refused_and_one_below_is_taken(
        self, client: ImageClient
    ) -> None:
        text = "a" * (10 * 1024 * 1024 - 200)
        assert client.do("ping", message=text)["message"] == text
        client.send("ping", message=text + "b" * 400)
        reply = client.receive(None)
        assert (reply["status"], reply["error_code"]) == ("error", "malformed")

    def test_an_unknown_command_is_refused(self, client: ImageClient) -> None:
        assert client.fail("fly").code == "unknown_command"

    def test_a_missing_parameter_is_named(self, client: ImageClient, session: str) -> None:
        error = client.fail("evaluate", session=session, request="r")
        assert error.code == "missing_parameter"
        assert "code" in str(error)

    @pytest.mark.parametrize(
        ("command", "parameter", "value"),
        [
            ("ping", "message", 7),
            ("open_workspace", "session", "s" * 257),
            ("open_workspace", "session", ["s"]),
            ("get_result", "request", 7),
            ("list_classes", "limit", -1),
            ("list_classes", "pattern", 7),
            ("list_classes", "include_system", "yes"),
            ("system_info", "info_type", "Everything"),
            ("interrupt", "request", {}),
            ("open_workspace", "epoch", 7),
        ],
    )
    def test_a_parameter_that_is_wrong_is_named(
        self, client: ImageClient, command: str, parameter: str, value: object
    ) -> None:
        required = {"session": "s"} if command == "open_workspace" else {}
        error = client.fail(command, **{**required, parameter: value})
        assert error.code == "invalid_parameter"
        assert parameter in str(error)

    def test_unknown_parameters_are_ignored(self, client: ImageClient) -> None:
        assert client.do("ping", colour="red", command="x", id=7)["message"] == "pong"


class TestPing:
    def test_it_says_who_the_image_is(self, client: ImageClient, dialect: Dialect) -> None:
        pong = client.do("ping", message="hello")
        assert (pong["message"], pong["status"], pong["busy"]) == ("hello", "ready", False)
        assert isinstance(pong["uptime"], int)
        assert set(pong["image"]) == {"uuid", "epoch", "name", "dialect", "version"}
        assert pong["image"]["name"] == "contract"
        assert pong["image"]["dialect"] == dialect.name or dialect is not PYTHON
        assert len(pong["image"]["epoch"]) >= 11  # 64 bits in base64
        assert not has_null(pong)

    def test_it_lists_the_other_commands(self, client: ImageClient) -> None:
        assert set(client.do("ping")["capabilities"]) >= COMMANDS
        assert "ping" not in client.do("ping")["capabilities"]

    def test_ping_get_result_and_interrupt_are_answered_during_an_endless_loop(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        name = fresh_name("loop")
        sent = looping(client, dialect, session, name)
        assert client.receive(client.send("ping"), seconds=1)["result"]["busy"] is True
        state = client.receive(client.send("get_result", request=name), seconds=1)["result"]
        assert state == {"state": "running"}
        asked = client.send("interrupt", request=name)
        assert client.receive(asked, seconds=1)["result"] == {"interrupted": True}
        reply = client.receive(sent)
        assert (reply["error_code"], reply["error_type"]) == ("interrupted", "RuntimeError")
        assert client.do("ping")["busy"] is False


class TestEpochs:
    def test_another_epoch_is_refused_and_nothing_is_done(
        self, client: ImageClient, session: str
    ) -> None:
        error = client.fail("open_workspace", session=session, epoch="yesterday")
        assert error.code == "wrong_epoch"
        assert error.details["epoch"] == client.do("ping")["image"]["epoch"]
        assert client.do("open_workspace", session=session)["created"] is True

    @pytest.mark.parametrize(
        ("command", "parameters"),
        [
            ("close_workspace", {"session": "s"}),
            ("evaluate", {"session": "s", "code": "1", "request": "wrong epoch"}),
            ("inspect", {"session": "s", "target": "1"}),
            ("get_result", {"request": "r"}),
            ("interrupt", {}),
            ("list_classes", {}),
            ("browse_class", {"class_name": "A"}),
            ("get_method", {"class_name": "A", "method_name": "m"}),
            ("system_info", {}),
        ],
    )
    def test_every_command_but_ping_checks_it(
        self, client: ImageClient, command: str, parameters: dict[str, Any]
    ) -> None:
        assert client.fail(command, **parameters, epoch="yesterday").code == "wrong_epoch"
        assert client.do("get_result", request="wrong epoch") == {"state": "unknown"}

    def test_ping_does_not_check_it(self, client: ImageClient) -> None:
        assert client.do("ping", epoch="yesterday")["status"] == "ready"

    def test_the_present_epoch_is_accepted(self, client: ImageClient, session: str) -> None:
        epoch = client.do("ping")["image"]["epoch"]
        assert client.evaluate(session, "1 + 1", epoch=epoch)["result"] == "2"


class TestWorkspaces:
    def test_opening_one_tells_whether_it_was_there(
        self, client: ImageClient, session: str
    ) -> None:
        assert client.do("open_workspace", session=session) == {"session": session, "created": True}
        assert client.do("open_workspace", session=session)["created"] is False

    def test_closing_one_forgets_its_variables(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.assign_41)
        assert client.do("close_workspace", session=session) == {"session": session, "closed": True}
        assert client.do("close_workspace", session=session)["closed"] is False
        assert client.do("open_workspace", session=session)["created"] is True
        assert client.evaluate(session, dialect.assign_41)["variables"] == ["x"]

    def test_variables_of_one_are_not_seen_in_another(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        other = fresh_name("session")
        client.evaluate(session, dialect.assign_41)
        client.evaluate(other, dialect.assign_41)
        client.evaluate(other, dialect.add_1_to_x)
        assert client.evaluate(session, dialect.x_plus_1)["result"] == "42"
        assert client.evaluate(other, dialect.x_plus_1)["result"] == "43"

    def test_evaluate_and_inspect_open_it(self, client: ImageClient, session: str) -> None:
        client.evaluate(session, "1")
        assert client.do("open_workspace", session=session)["created"] is False
        other = fresh_name("session")
        client.do("inspect", session=other, target="1")
        assert client.do("open_workspace", session=other)["created"] is False

    @pytest.mark.parametrize("name", ["s" * 256, "a b/c.d:e", "__proto__", "sys", "größe", "é€𝄞"])
    def test_any_name_of_up_to_256_characters_will_do(
        self, client: ImageClient, dialect: Dialect, name: str
    ) -> None:
        client.evaluate(name, dialect.assign_41)
        assert client.evaluate(name, dialect.x_plus_1)["result"] == "42"
        assert client.do("close_workspace", session=name)["closed"] is True


class TestEvaluate:
    def test_it_gives_the_print_string_and_the_class(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.assign_41)
        result = client.evaluate(session, dialect.x_plus_1)
        assert (result["result"], result["result_type"]) == ("42", dialect.number_class)
        assert (result["has_error"], result["truncated"]) == (False, False)
        assert isinstance(result["execution_time"], int)
        assert isinstance(result["object_id"], str)
        assert not has_null(result)

    def test_variables_are_told_only_when_there_are_others(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        assert client.evaluate(session, dialect.assign_41)["variables"] == ["x"]
        assert "variables" not in client.evaluate(session, dialect.add_1_to_x)
        assert "variables" not in client.evaluate(session, dialect.x_plus_1)

    def test_mode_execute_gives_no_object_id(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        assert "object_id" not in client.evaluate(session, dialect.assign_41, mode="Execute")
        assert "object_id" in client.evaluate(session, dialect.x_plus_1, mode="Display")

    def test_another_mode_is_refused(self, client: ImageClient, session: str) -> None:
        error = client.fail("evaluate", session=session, code="1", request="r", mode="Loud")
        assert error.code == "invalid_parameter"

    def test_an_error_has_class_message_and_stack(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        reply = client.ask("evaluate", session=session, code=dialect.error, request=fresh_name("r"))
        assert (reply["error_type"], reply["error_code"]) == ("RuntimeError", "evaluation_error")
        assert reply["details"]["class"] == dialect.error_class
        assert reply["details"]["message"]
        assert reply["details"]["stack"]
        assert all(isinstance(line, str) for line in reply["details"]["stack"])

    def test_code_that_does_not_parse_changes_nothing(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.assign_41)
        error = client.fail(
            "evaluate", session=session, code=dialect.syntax_error, request=fresh_name("r")
        )
        assert error.code == "evaluation_error"
        assert {"class", "message", "stack"} <= set(error.details)
        assert error.details.get("line", 2) == 2
        assert client.evaluate(session, dialect.x_plus_1)["result"] == "42"

    def test_the_workspace_survives_an_error(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.assign_41)
        client.fail("evaluate", session=session, code=dialect.error, request=fresh_name("r"))
        assert client.evaluate(session, dialect.x_plus_1)["result"] == "42"

    def test_evaluations_run_in_the_order_of_their_arrival(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.assign_41)
        sent = []
        for _ in range(20):
            client.send_code(session, dialect.add_1_to_x)
            sent.append(client.send_code(session, dialect.x_plus_1))
        results = [result_of(client.receive(each))["result"] for each in sent]
        assert results == [str(43 + index) for index in range(20)]

    def test_output_comes_as_events_to_the_connection_of_the_request(
        self, image: ImageProcess, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        name = fresh_name("output")
        with ImageClient(image.endpoint) as other:
            client.evaluate(session, dialect.print_hello, request=name)
            event = client.wait_for_event(lambda event: event["event"] == "output")
            assert (event["session"], event["request"]) == (session, name)
            assert "hello" in event["text"]
            other.do("ping")
            assert other.events == []


class TestRequests:
    def test_a_request_that_is_known_is_not_run_again(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.assign_41)
        name = fresh_name("once")
        again = [
            client.receive(client.send_code(session, dialect.add_1_to_x, request=name))
            for _ in range(2)
        ]
        first, second = ({**reply, "id": ""} for reply in again)
        assert first == second
        assert client.evaluate(session, dialect.x_plus_1)["result"] == "43"

    def test_a_failed_request_is_not_run_again_either(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        name = fresh_name("once")
        first = client.ask("evaluate", session=session, code=dialect.error, request=name)
        second = client.ask("evaluate", session=session, code=dialect.assign_41, request=name)
        assert {**first, "id": second["id"]} == second

    def test_a_duplicate_waits_for_the_same_end(
        self, image: ImageProcess, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        name = fresh_name("loop")
        first = looping(client, dialect, session, name)
        with ImageClient(image.endpoint) as other:
            second = other.send_code(session, dialect.endless_loop, request=name)
            assert other.do("get_result", request=name)["state"] == "running"
            assert client.do("interrupt", request=name)["interrupted"] is True
            replies = [client.receive(first), other.receive(second)]
        assert replies[0] == {**replies[1], "id": first}
        assert client.do("ping")["busy"] is False

    def test_get_result_has_the_whole_reply_without_its_id(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        name = fresh_name("kept")
        assert client.do("get_result", request=name) == {"state": "unknown"}
        reply = client.ask("evaluate", session=session, code=dialect.assign_41, request=name)
        del reply["id"]
        assert client.do("get_result", request=name) == {"state": "finished", "reply": reply}

    def test_the_last_1000_replies_are_kept(self, client: ImageClient, session: str) -> None:
        first, *others = [fresh_name("kept") for _ in range(1000)]
        client.evaluate(session, "1", request=first)
        sent = [client.send_code(session, "1", request=name) for name in others]
        for each in sent:
            client.receive(each)
        assert client.do("get_result", request=first)["state"] == "finished"
        client.evaluate(session, "1")
        assert client.do("get_result", request=first)["state"] == "unknown"
        assert client.do("get_result", request=others[0])["state"] == "finished"

    def test_replies_are_forgotten_before_they_fill_the_memory(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        names = [fresh_name("large") for _ in range(70)]
        for name in names:
            client.do("inspect", session=session, target=dialect.list_of_long_texts, request=name)
        states = [client.do("get_result", request=name)["state"] for name in names]
        forgotten = states.count("unknown")
        assert states == ["unknown"] * forgotten + ["finished"] * (70 - forgotten)
        assert 1 < forgotten < 20, "some 64 MiB are kept"

    def test_an_inspection_with_a_name_is_kept_too(self, client: ImageClient, session: str) -> None:
        name = fresh_name("kept")
        first = client.ask("inspect", session=session, target="1", request=name)
        assert client.do("get_result", request=name)["reply"]["result"] == first["result"]


class TestInterrupt:
    def test_it_tells_when_nothing_runs(self, client: ImageClient) -> None:
        assert client.do("interrupt") == {"interrupted": False}
        assert client.do("interrupt", request="never heard of") == {"interrupted": False}

    def test_without_a_name_it_ends_what_runs(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        sent = looping(client, dialect, session, fresh_name("loop"))
        assert client.do("interrupt") == {"interrupted": True}
        assert client.receive(sent)["error_code"] == "interrupted"

    def test_the_workspace_survives_it(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.assign_41)
        epoch = client.do("ping")["image"]["epoch"]
        sent = looping(client, dialect, session, fresh_name("loop"))
        client.do("interrupt")
        client.receive(sent)
        assert client.evaluate(session, dialect.x_plus_1, epoch=epoch)["result"] == "42"

    def test_a_waiting_evaluation_is_dropped_and_never_run(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.assign_41)
        running = looping(client, dialect, session, fresh_name("loop"))
        name = fresh_name("waiting")
        waiting = client.send_code(session, dialect.add_1_to_x, request=name)
        assert client.do("get_result", request=name)["state"] == "running"
        assert client.do("interrupt", request=name) == {"interrupted": True}
        assert client.receive(waiting)["error_code"] == "interrupted"
        assert client.do("ping")["busy"] is True
        client.do("interrupt")
        client.receive(running)
        assert client.evaluate(session, dialect.x_plus_1)["result"] == "42"

    def test_a_finished_one_is_not_interrupted(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        name = fresh_name("over")
        client.evaluate(session, dialect.assign_41, request=name)
        assert client.do("interrupt", request=name) == {"interrupted": False}


class TestInspect:
    def test_it_shows_named_slots(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.define_account)
        shown = client.do("inspect", session=session, target=dialect.make_account)
        assert shown["object_info"]["class_name"] == "Account"
        assert "Account" in shown["object_info"]["string_representation"]
        assert isinstance(shown["object_info"]["hash"], int)
        assert isinstance(shown["object_info"]["size"], int)
        assert shown["instance_vars"] == {"balance": "5"}
        assert set(shown["children"]) == {"balance"}
        assert shown["methods"] is None

    def test_private_things_are_shown_when_asked_for(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.define_account)
        shown = client.do(
            "inspect", session=session, target=dialect.make_account, include_private=True
        )
        assert dialect.balance_method[0] in shown["methods"]

    def test_elements_are_named_by_index_or_key(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        shown = client.do("inspect", session=session, target=dialect.list_of_2000)
        first = client.evaluate(session, dialect.first_index)["result"]
        assert shown["instance_vars"][dialect.first_index] == first
        target, key, value = dialect.inspects_by_key
        entries = client.do("inspect", session=session, target=target)["instance_vars"]
        assert (entries.get(key) or entries.get(key.strip("'"))) == value

    def test_it_goes_on_from_a_result_to_its_children(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.define_account)
        object_id = client.evaluate(session, dialect.make_account)["object_id"]
        shown = client.do("inspect", session=session, object_id=object_id)
        child = client.do("inspect", session=session, object_id=shown["children"]["balance"])
        assert child["object_info"]["string_representation"] == "5"
        again = client.do("inspect", session=session, object_id=shown["object_id"])
        assert again["object_info"] == shown["object_info"]

    def test_at_most_1000_entries_are_shown(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        shown = client.do("inspect", session=session, target=dialect.list_of_2000)
        assert len(shown["instance_vars"]) == 1000
        assert len(shown["children"]) <= 1000

    def test_print_strings_of_entries_are_cut_at_1024_characters(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        shown = client.do("inspect", session=session, target=dialect.list_of_long_text)
        (text,) = (text for text in shown["instance_vars"].values() if "bbb" in text)
        assert text.endswith("… (5002 characters)")
        assert 1000 <= len(text) <= 1024 + len("… (5002 characters)")

    def test_an_unknown_object_is_not_found(self, client: ImageClient, session: str) -> None:
        error = client.fail("inspect", session=session, object_id="nothing")
        assert error.code == "object_not_found"

    def test_an_object_of_another_session_is_not_found(
        self, client: ImageClient, session: str
    ) -> None:
        object_id = client.evaluate(session, "1 + 1")["object_id"]
        other = fresh_name("session")
        assert client.fail("inspect", session=other, object_id=object_id).code == "object_not_found"

    def test_a_closed_workspace_takes_its_objects_along(
        self, client: ImageClient, session: str
    ) -> None:
        object_id = client.evaluate(session, "1 + 1")["object_id"]
        client.do("close_workspace", session=session)
        error = client.fail("inspect", session=session, object_id=object_id)
        assert error.code == "object_not_found"
        assert client.evaluate(session, "1 + 1")["object_id"] != object_id

    def test_a_target_that_fails_is_an_evaluation_error(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        error = client.fail("inspect", session=session, target=dialect.error)
        assert (error.code, error.details["class"]) == ("evaluation_error", dialect.error_class)

    def test_it_needs_a_target_or_an_object(self, client: ImageClient, session: str) -> None:
        assert client.fail("inspect", session=session).code == "missing_parameter"


class TestPrinting:
    def test_a_print_string_is_cut_at_65536_characters(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        result = client.evaluate(session, dialect.letters_70000)
        ending = "… (70002 characters)"
        assert result["truncated"] is True
        assert result["result"].endswith(ending)
        assert 65_000 <= len(result["result"]) <= 65_536 + len(ending)

    def test_an_object_that_cannot_print_itself_is_shown_all_the_same(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        result = client.evaluate(session, dialect.unprintable)
        assert result["result"].startswith("a Grumpy (printing failed: ")
        assert "no" in result["result"]
        assert result["result_type"] == "Grumpy"


class TestClasses:
    def test_a_class_is_known_to_all_sessions(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.define_account)
        (info,) = client.do("list_classes", pattern="Account", limit=1)["classes"]
        assert set(info) == {"name", "superclass", "comment", "package", "is_system"}
        assert (info["name"], info["is_system"]) == ("Account", False)
        assert info["superclass"] == dialect.account_superclass
        assert not has_null(info)

    def test_a_list_is_limited_after_it_is_counted(self, client: ImageClient) -> None:
        everything = client.do("list_classes")
        limited = client.do("list_classes", limit=3)
        assert everything["total_count"] == len(everything["classes"]) > 3
        assert limited["classes"] == everything["classes"][:3]
        assert limited["total_count"] == everything["total_count"]

    def test_a_pattern_is_a_glob(self, client: ImageClient, dialect: Dialect) -> None:
        found = client.do("list_classes", pattern=dialect.system_class[:3] + "*")["classes"]
        names = [info["name"] for info in found]
        assert dialect.system_class in names
        assert all(name.startswith(dialect.system_class[:3]) for name in names)
        assert client.do("list_classes", pattern="no such*") == {"classes": [], "total_count": 0}

    def test_system_classes_can_be_left_out(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.define_account)
        found = client.do("list_classes", include_system=False)["classes"]
        assert "Account" in {info["name"] for info in found}
        assert not any(info["is_system"] for info in found)

    def test_browsing_shows_methods_and_variables(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.define_account)
        shown = client.do("browse_class", class_name="Account", include_class_vars=True)
        assert shown["class_info"]["name"] == "Account"
        name, source = dialect.balance_method
        (method,) = (each for each in shown["instance_methods"] if each["name"] == name)
        assert source in method["source"]
        assert (method["is_class_method"], method["arguments"]) == (False, ["amount"])
        assert "balance" in shown["instance_vars"]
        assert isinstance(shown["class_vars"], list)

    def test_what_was_not_asked_for_is_empty_or_null(
        self, client: ImageClient, dialect: Dialect
    ) -> None:
        shown = client.do(
            "browse_class",
            class_name=dialect.system_class,
            include_methods=False,
            include_instance_vars=False,
        )
        assert (shown["instance_methods"], shown["class_methods"]) == ([], [])
        assert (shown["instance_vars"], shown["class_vars"]) == (None, None)
        assert shown["class_info"]["is_system"] is True

    def test_the_root_has_no_superclass(self, client: ImageClient, dialect: Dialect) -> None:
        shown = client.do("browse_class", class_name=dialect.root_class)
        assert shown["class_info"]["superclass"] == ""

    def test_a_method_has_its_source(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        client.evaluate(session, dialect.define_account)
        name, source = dialect.balance_method
        found = client.do("get_method", class_name="Account", method_name=name)
        method = found["method"]
        assert set(method) == {
            *("name", "source", "category", "is_class_method", "arguments", "comment")
        }
        assert (method["name"], method["arguments"]) == (name, ["amount"])
        assert source in method["source"]
        assert method["comment"] == "Take money out."
        assert not has_null(method)

    def test_what_is_not_there_is_not_found(self, client: ImageClient, dialect: Dialect) -> None:
        assert client.fail("browse_class", class_name="Nowhere").code == "class_not_found"
        error = client.fail("get_method", class_name="Nowhere", method_name="m")
        assert error.code == "class_not_found"
        error = client.fail("get_method", class_name=dialect.system_class, method_name="fly")
        assert error.code == "method_not_found"


class TestSystemInfo:
    @pytest.mark.parametrize("kind", ["Basic", "Memory", "Packages", "Environment", "All"])
    def test_it_is_an_object_of_strings(self, client: ImageClient, kind: str) -> None:
        info = client.do("system_info", info_type=kind)["info"]
        assert info
        assert all(isinstance(fact, str) for fact in info.values())

    def test_basic_is_the_default_and_all_holds_it(self, client: ImageClient) -> None:
        basic = client.do("system_info")["info"]
        assert set(basic) == set(client.do("system_info", info_type="Basic")["info"])
        assert set(basic) <= set(client.do("system_info", info_type="All")["info"])


class TestLife:
    def test_the_uuid_is_for_life_and_the_epoch_is_not(
        self, dialect: Dialect, tmp_path: Path, session: str
    ) -> None:
        lives, object_ids = [], []
        for _ in range(2):
            with running_image(command_of(dialect, tmp_path)) as image:
                with ImageClient(image.endpoint) as client:
                    lives.append(client.do("ping")["image"])
                    object_ids.append(client.evaluate(session, "1 + 1")["object_id"])
                assert image.end() == 0
        assert lives[0]["uuid"] == lives[1]["uuid"]
        assert lives[0]["epoch"] != lives[1]["epoch"]
        assert object_ids[0] != object_ids[1]

    def test_a_second_image_on_the_same_state_is_refused(
        self, dialect: Dialect, tmp_path: Path
    ) -> None:
        with (
            running_image(command_of(dialect, tmp_path)),
            pytest.raises(AssertionError, match=r"stui image: .*another image") as refusal,
            running_image(command_of(dialect, tmp_path)),
        ):
            pass
        assert str(refusal.value).strip().count("\n") == 0

    def test_an_endpoint_that_is_taken_is_refused(
        self, image: ImageProcess, dialect: Dialect, tmp_path: Path
    ) -> None:
        with (
            pytest.raises(AssertionError, match="in use") as refusal,
            running_image(command_of(dialect, tmp_path, image.endpoint)),
        ):
            pass
        assert str(refusal.value).strip().count("\n") == 0

    def test_it_ends_in_an_orderly_way_while_code_loops(
        self, dialect: Dialect, tmp_path: Path, session: str
    ) -> None:
        with running_image(command_of(dialect, tmp_path)) as image:
            with ImageClient(image.endpoint) as client:
                looping(client, dialect, session, "loop")
            assert image.end() == 0
