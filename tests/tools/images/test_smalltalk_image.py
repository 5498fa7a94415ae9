"""What the Smalltalk image does beyond what every image does (test_image_contract.py)."""

from collections.abc import Iterator

import cbor2
import pytest

from tests.tools.images.image_client import (
    ImageClient,
    ImageProcess,
    Message,
    fresh_name,
    running_image,
)
from tests.tools.images.smalltalk_process import LOOP, command, start, value


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageProcess]:
    with running_image(command(tmp_path_factory.mktemp("state"))) as image:
        yield image


@pytest.fixture
def client(image: ImageProcess) -> Iterator[ImageClient]:
    with ImageClient(image.endpoint) as client:
        yield client


@pytest.fixture
def session() -> str:
    return fresh_name("session")


def failed(client: ImageClient, session: str, code: str) -> Message:
    """The details of the evaluation error that code ends in."""
    error = client.fail("evaluate", session=session, code=code, request=fresh_name("failing"))
    assert error.code == "evaluation_error"
    return error.details


def is_answered(client: ImageClient, request_id: str) -> bool:
    """Whether a reply comes within a second."""
    try:
        client.receive(request_id, seconds=1)
    except AssertionError:
        return False
    return True


class TestWorkspaces:
    def test_an_assigned_variable_is_declared_and_told(
        self, client: ImageClient, session: str
    ) -> None:
        assert client.evaluate(session, "a := 3. b := a + 1")["variables"] == ["a", "b"]
        assert "variables" not in client.evaluate(session, "a := b")
        assert value(client, session, "a") == "4"

    @pytest.mark.parametrize(
        "code",
        [
            "'x := 1'",
            '"x := 1" 2',
            "| x | x := 1",
            "[ | x | x := 1 ] value",
            "#(1) do: [ :y | | x | x := y ]",
            "$x. #x. {'x'}. #(x y)",
            "| s | s := 'it''s x := 1'. s",
        ],
    )
    def test_what_only_looks_like_an_assignment_to_a_variable_declares_none(
        self, client: ImageClient, session: str, code: str
    ) -> None:
        assert "variables" not in client.evaluate(session, code)
        assert failed(client, session, "x")["class"] == "UnknownVariableError"

    def test_an_assignment_deep_in_a_block_declares_the_variable(
        self, client: ImageClient, session: str
    ) -> None:
        code = "#(1 2) do: [ :each | | t | t := each. last := (first := t) + 0 ]"
        assert client.evaluate(session, code)["variables"] == ["last", "first"]
        assert value(client, session, "first + last") == "4"

    def test_temporaries_and_arguments_may_have_the_name_of_a_variable(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, "x := 1")
        assert value(client, session, "| x | x := 2. x") == "2"
        assert value(client, session, "#(5) collect: [ :x | x ]") == "an Array (5)"
        assert value(client, session, "x") == "1"

    def test_a_new_variable_leaves_the_others_their_objects(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, "all := OrderedCollection new. same := all")
        client.evaluate(session, "more := 1. all add: more")
        assert value(client, session, "all == same and: [ all size = 1 ]") == "true"

    def test_a_variable_of_another_session_is_unknown(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, "secret := 42")
        details = failed(client, fresh_name("session"), "secret")
        assert details["class"] == "UnknownVariableError"
        assert "42" not in str(details)

    def test_code_that_does_not_compile_declares_nothing(
        self, client: ImageClient, session: str
    ) -> None:
        failed(client, session, "fresh := unheardOf")
        assert failed(client, session, "fresh")["class"] == "UnknownVariableError"

    def test_what_was_assigned_before_an_error_stays_and_is_told(
        self, client: ImageClient, session: str
    ) -> None:
        assert failed(client, session, "kept := 7. nil foo")["variables"] == ["kept"]
        assert value(client, session, "kept") == "7"

    def test_a_closed_workspace_is_empty_when_it_is_opened_again(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, "gone := 1")
        client.do("close_workspace", session=session)
        assert failed(client, session, "gone")["class"] == "UnknownVariableError"

    def test_the_workspaces_are_no_classes_of_the_image(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, "a := 1")
        assert client.do("list_classes", pattern="*Workspace*")["total_count"] == 0


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "line", "column"),
        [("(3", 1, 3), ("3 + ", 1, 5), ("1.\n\n  (3 + ]", 3, 8), ("'abc", 1, 5), ('1 "x', 1, 5)],
    )
    def test_a_syntax_error_has_its_place(
        self, client: ImageClient, session: str, code: str, line: int, column: int
    ) -> None:
        details = failed(client, session, code)
        assert (details["class"], details["line"], details["column"]) == (
            *("ParseError", line),
            column,
        )
        last_line = code.split("\n")[line - 1]
        assert details["position"] == len(code) - len(last_line) + column

    @pytest.mark.parametrize("code", ["3 ] value + [ 4", ":x | x", "3 ] value: [ 4"])
    def test_brackets_that_only_fit_from_outside_are_a_syntax_error(
        self, client: ImageClient, session: str, code: str
    ) -> None:
        assert failed(client, session, code)["class"] == "ParseError"

    def test_a_smalltalk_error_has_class_message_and_stack(
        self, client: ImageClient, session: str
    ) -> None:
        details = failed(client, session, "#(1) do: [ :each | each foo ]")
        assert details["class"] == "MessageNotUnderstood"
        assert details["message"] == "1 does not understand #foo"
        assert details["stack"][-1] == "Workspace >> #doIt"
        assert all(isinstance(frame, str) for frame in details["stack"])

    def test_a_stack_overflow_is_an_error_as_any_other(
        self, client: ImageClient, session: str
    ) -> None:
        details = failed(client, session, "deep := nil. deep := [ deep value ]. deep value")
        assert details["class"] == "RangeError"
        assert "stack" in details["message"]
        assert details["stack"]

    def test_an_error_about_an_object_that_cannot_be_printed_is_told_all_the_same(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, "Object subclass: #Mute slots: {} package: 'Test'")
        client.evaluate(session, "Mute compile: 'printOn: s self error: ''no''' protocol: 'p'")
        details = failed(client, session, "Mute new speak")
        assert details["message"] == "a Mute does not understand #speak"

    def test_a_return_from_a_method_that_has_returned_is_an_error(
        self, client: ImageClient, session: str
    ) -> None:
        assert value(client, session, "^ 5. ") == "5"
        client.evaluate(session, "block := [ ^ 1 ]. nil")
        assert failed(client, session, "block value")["class"] == "NonLifoReturn"


class TestPrinting:
    def test_a_text_of_fifty_million_characters_is_cut_and_counted(
        self, client: ImageClient, session: str
    ) -> None:
        double = "| s | s := 'x'. 26 timesRepeat: [ s := s, s ]. s copyFrom: 1 to: 50000000"
        result = client.evaluate(session, double)
        assert result["result"][65_536:] == "… (50000002 characters)"
        assert result["truncated"] is True

    def test_a_collection_that_prints_endlessly_long_is_cut_in_time(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, "Object subclass: #Endless slots: {} package: 'Test'")
        source = "printOn: s [ true ] whileTrue: [ s nextPutAll: ''never '' ]"
        client.evaluate(session, f"Endless compile: '{source}' protocol: 'printing'")
        result = client.evaluate(session, "Endless new")
        assert result["result"].startswith("never never ")
        assert result["result"][65_536:].startswith("… (more than ")
        assert result["truncated"] is True

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("| c | c := OrderedCollection new. c add: c. c", "an Array (an Array (...))"),
            (
                "| d | d := Dictionary new. d at: 1 put: d. d",
                "a Dictionary (1 -> a Dictionary (...))",
            ),
            ("| s | s := Set new. s add: s. s", "a Set (a Set (...))"),
        ],
    )
    def test_a_collection_that_contains_itself_prints_that(
        self, client: ImageClient, session: str, code: str, expected: str
    ) -> None:
        assert value(client, session, code) == expected

    def test_a_deep_nesting_prints_its_outer_levels(
        self, client: ImageClient, session: str
    ) -> None:
        nest = "| c | c := {}. 20000 timesRepeat: [ c := { c } ]. c"
        printed = value(client, session, nest)
        assert printed.startswith("an Array (an Array (")
        assert "an Array (...)" in printed

    def test_an_object_that_prints_forever_is_given_up(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, "Object subclass: #Stuck slots: {} package: 'Test'")
        client.evaluate(session, f"Stuck compile: 'printOn: s {LOOP}' protocol: 'printing'")
        assert value(client, session, "Stuck new") == "a Stuck (printing failed: it takes too long)"
        shown = client.do("inspect", session=session, target="{ 1. Stuck new }")
        assert shown["instance_vars"]["1"] == "1"
        assert "takes too long" in shown["instance_vars"]["2"]

    def test_half_a_surrogate_pair_is_replaced(self, client: ImageClient, session: str) -> None:
        assert value(client, session, "String fromCharCode: 55357") == "'\ufffd'"


class TestInspecting:
    @pytest.mark.parametrize(
        ("target", "size", "entries"),
        [
            ("1 @ 2", 0, {"x": "1", "y": "2"}),
            ("#(10 (20 30))", 2, {"1": "10", "2": "an Array (20 30)"}),
            ("OrderedCollection with: nil", 1, {"1": "nil"}),
            ("3 to: 4", 2, {"1": "3", "2": "4"}),
            ("'ab'", 2, {"1": "'a'", "2": "'b'"}),
            ("#a -> 7", 0, {"key": "'a'", "value": "7"}),
            (
                "Dictionary new at: 3 put: 4; at: 'k' put: nil; yourself",
                2,
                {"3": "4", "'k'": "nil"},
            ),
            ("#{ 'k' -> 1 }", 1, {"'k'": "1"}),
            ("Set with: 5 with: 'x'", 2, {"1": "5", "2": "'x'"}),
            ("JSON parse: '{\"a\": [1]}'", 0, {"a": "an Array (1)"}),
            ("Stack new add: 7; yourself", 1, {"label": "nil", "1": "7"}),
            ("nil", 0, {}),
        ],
    )
    def test_an_object_shows_its_slots_and_elements(
        self, client: ImageClient, session: str, target: str, size: int, entries: Message
    ) -> None:
        client.evaluate(session, "Array subclass: #Stack slots: {#label} package: 'Test'")
        shown = client.do("inspect", session=session, target=target)
        assert shown["object_info"]["size"] == size
        assert shown["instance_vars"] == entries
        assert set(shown["children"]) == set(entries)

    def test_an_object_keeps_its_id_and_hash(self, client: ImageClient, session: str) -> None:
        client.evaluate(session, "p := 1 @ 2")
        first, second = (client.do("inspect", session=session, target="p") for _ in range(2))
        assert first["object_id"] == second["object_id"]
        assert first["object_info"]["hash"] == second["object_info"]["hash"]

    def test_the_oldest_objects_are_forgotten_beyond_ten_thousand(
        self, client: ImageClient, session: str
    ) -> None:
        oldest = client.evaluate(session, "Object new")["object_id"]
        for _ in range(10):
            client.do("inspect", session=session, target="(1 to: 1000) asArray")
        error = client.fail("inspect", session=session, object_id=oldest)
        assert error.code == "object_not_found"


class TestOutput:
    def test_the_transcript_becomes_events_with_line_feeds(
        self, client: ImageClient, session: str
    ) -> None:
        name = fresh_name("writing")
        client.evaluate(session, "Transcript show: 'one'; cr; show: 2. 5", request=name)
        (event,) = client.events
        text = "one\n2"
        assert event == {"event": "output", "session": session, "request": name, "text": text}

    def test_a_flood_is_bounded_and_does_not_hold_up_a_ping(
        self, client: ImageClient, session: str
    ) -> None:
        sent = start(client, session, "[ true ] whileTrue: [ console log: 'flood' ]")
        client.wait_for_event(lambda event: "dropped" in event["text"])
        client.do("interrupt")
        client.receive(sent)
        assert sum(len(event["text"]) for event in client.events) < 1_100_000


class TestInterrupting:
    @pytest.mark.parametrize(
        "code",
        [
            LOOP,
            f"[[ {LOOP} ] on: Error do: [ :e | {LOOP} ]] ensure: [ {LOOP} ]",
            "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!' match: '^(a+)+$'",
        ],
    )
    def test_code_that_holds_on_to_everything_is_ended(
        self, client: ImageClient, session: str, code: str
    ) -> None:
        epoch = client.do("ping")["image"]["epoch"]
        sent = start(client, session, code)
        assert client.do("interrupt") == {"interrupted": True}
        assert client.receive(sent)["error_code"] == "interrupted"
        assert value(client, session, "3 + 4") == "7"
        assert client.do("ping")["image"]["epoch"] == epoch

    def test_an_interrupt_at_any_moment_ends_only_what_it_is_for(
        self, client: ImageClient, session: str
    ) -> None:
        outcomes = set()
        for times in range(0, 60_000, 500):
            sent = client.send_code(
                session, f"| n | n := 0. {times} timesRepeat: [ n := n + 1 ]. n"
            )
            interrupting = client.send("interrupt")
            reply = client.receive(sent)
            client.receive(interrupting)
            outcomes.add(reply.get("error_code", "success"))
            assert value(client, session, "6 * 7") == "42"
        assert outcomes <= {"success", "interrupted"}

    def test_a_background_task_that_loops_can_be_interrupted(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, f"[ {LOOP} ] fork")
        while is_answered(client, sent := client.send_code(session, "3 + 4")):
            pass  # the task has not begun yet
        client.do("interrupt")
        assert client.receive(sent)["error_code"] == "interrupted"
        assert value(client, session, "3 + 4") == "7"

    def test_a_background_task_that_fails_ends_nothing(
        self, client: ImageClient, session: str
    ) -> None:
        epoch = client.do("ping")["image"]["epoch"]
        client.evaluate(session, "[ nil foo ] fork. [ nil foo ] valueWithTimeout: 0")
        client.evaluate(session, "Promise new: [ :model | model signal: 'no' ]")
        assert value(client, session, "3 + 4") == "7"
        assert client.do("ping")["image"]["epoch"] == epoch


class TestMessages:
    def test_cbor_is_refused_in_json(self, client: ImageClient) -> None:
        client.send_raw(cbor2.dumps({"id": "c", "command": "ping", "parameters": {}}))
        reply = client.receive(None)
        assert reply["error_code"] == "malformed"
        assert "JSON" in reply["error"]

    def test_a_request_that_is_sent_twice_runs_once(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, "runs := 0")
        name = fresh_name("once")
        both = [client.send_code(session, "runs := runs + 1", request=name) for _ in range(2)]
        assert [client.receive(sent)["result"]["result"] for sent in both] == ["1", "1"]
        assert client.evaluate(session, "runs := runs + 1", request=name)["result"] == "1"
        assert value(client, session, "runs") == "1"

    def test_two_clients_at_once_get_their_own_replies(
        self, image: ImageProcess, client: ImageClient, session: str
    ) -> None:
        with ImageClient(image.endpoint, delimiter=False) as other:
            mine = [client.send_code(session, f"{n} + 1000") for n in range(50)]
            theirs = [other.send_code(session, f"{n} + 2000") for n in range(50)]
            got = [client.receive(sent)["result"]["result"] for sent in mine]
            others = [other.receive(sent)["result"]["result"] for sent in theirs]
        assert got == [str(n + 1000) for n in range(50)]
        assert others == [str(n + 2000) for n in range(50)]

    def test_frames_without_a_body_do_not_end_the_image(
        self, image: ImageProcess, client: ImageClient
    ) -> None:
        for frames in ([], [b"", b""], [b"", b"", b""]):
            client.send_raw(*frames)
        assert client.do("ping")["status"] == "ready"
        assert image.process.poll() is None


class TestBrowsing:
    def test_an_alias_is_found_as_the_class_that_it_is_for(self, client: ImageClient) -> None:
        shown = client.do("browse_class", class_name="OrderedCollection")
        assert "add:" in {method["name"] for method in shown["instance_methods"]}

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("Strin?", ["String"]),
            ("*tringStrea*", ["StringStream"]),
            ("string", []),
            ("[S]tring", []),
        ],
    )
    def test_a_pattern_knows_stars_and_question_marks(
        self, client: ImageClient, pattern: str, found: list[str]
    ) -> None:
        classes = client.do("list_classes", pattern=pattern)["classes"]
        assert [info["name"] for info in classes] == found

    def test_a_comment_is_not_taken_out_of_a_string(
        self, client: ImageClient, session: str
    ) -> None:
        client.evaluate(session, "Object subclass: #Talker slots: {} package: 'Test'")
        source = 'talk ^ \'\'a "quote" \'\' , $" asString "the comment"'
        client.evaluate(session, f"Talker compile: '{source}' protocol: 'talking'")
        found = client.do("get_method", class_name="Talker", method_name="talk")
        assert found["method"]["comment"] == "the comment"
        assert found["method"]["category"] == "talking"

    def test_the_class_side_is_browsed_too(self, client: ImageClient, session: str) -> None:
        client.evaluate(session, "Object subclass: #Maker slots: {} package: 'Test'")
        client.evaluate(session, "Maker class slots: {#current}")
        client.evaluate(session, "Maker class compile: 'current ^ current' protocol: 'access'")
        shown = client.do("browse_class", class_name="Maker", include_class_vars=True)
        assert shown["class_vars"] == ["current"]
        (method,) = shown["class_methods"]
        assert (method["name"], method["is_class_method"]) == ("current", True)
        got = client.do(
            "get_method", class_name="Maker", method_name="current", is_class_method=True
        )
        assert got["method"] == method
