"""What a snapshot of the Smalltalk image keeps, beyond what every image's does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.images.graphs import unpacked
from tests.tools.images.image_client import (
    ImageClient,
    ImageProcess,
    fresh_name,
    running_image,
)
from tests.tools.images.smalltalk_process import command, smalltalk
from tests.tools.images.smalltalk_snapshots import (
    by_name,
    copied,
    define_classes,
    restore,
    run,
    shown,
    snapshot,
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageProcess]:
    with running_image(command(tmp_path_factory.mktemp("state"))) as image:
        with ImageClient(image.endpoint) as client:
            define_classes(client)
        yield image


class TestExactness:
    @pytest.mark.parametrize(
        ("made", "is_so"),
        [
            ("nil", "x isNil"),
            ("{nil}", "x size = 1 and: [ x first isNil ]"),
            ("Array new: 3", "x size = 3 and: [ x last isNil ]"),
            ("true", "x == true"),
            ("'it''s'", "x = 'it''s'"),
            ("'a', String cr, '\"\\'", "x = ('a', String cr, '\"\\')"),
            ("String new", "x = '' and: [ x class = String ]"),
            ("#sym", "x = #sym"),
            ("$a", "x = $a"),
            ("String fromCharCode: 55357", "x asciiValue = 55357"),
            ("(String fromCharCode: 56832), 'b'", "x size = 2 and: [ x asciiValue = 56832 ]"),
            ("0.1", "x = 0.1"),
            ("5.0e-324", "x > 0 and: [ x / 2 = 0 ]"),
            ("2 ** 53 + 2", "x = 9007199254740994"),
            ("2 ** 1000", "x = (2 ** 1000)"),
            ("1 / 0", "x > 0 and: [ x = (1 / 0) ]"),
            ("-1 / 0", "x = (-1 / 0)"),
            ("0 / 0", "(x = x) not"),
            ("0 * -1", "1 / x < 0"),
            ("1 to: 5", "x = #(1 2 3 4 5)"),
            ("1 to: 9 by: 4", "x = #(1 5 9)"),
            ("#(1 $a foo #(2) nil)", "x = #(1 $a foo #(2) nil)"),
            ("Set new", "x isEmpty and: [ x class = Set ]"),
            (
                "Set new addAll: {1. '1'. true. nil. 0.5. #(2)}; yourself",
                "x size = 6 and: [ #(1 '1' true nil 0.5) allSatisfy: [ :e | x includes: e ] ]",
            ),
            ("Set new add: 3 @ 4; add: 3; yourself", "x includes: 3 @ 4"),
            ("Set new add: 3 @ 4; yourself", "x add: 3 @ 4. x add: 3. x size = 2"),
            ("Flock new bell: 'b'; add: 2; yourself", "x class = Flock and: [ x bell = 'b' ]"),
            ("Dictionary new at: 1 put: nil; at: nil put: 2; yourself", "(x at: nil) = 2"),
            ("Dictionary new at: 3 @ 4 put: 5; yourself", "(x at: 3 @ 4) = 5"),
            (
                "Dictionary new at: 'b' put: 1; at: 'a' put: 2; yourself",
                "x keys = #('b' 'a') and: [ x class = Dictionary ]",
            ),
            (
                "Index new kind: 7; at: 1 put: 2; yourself",
                "x class = Index and: [ x kind = 7 and: [ (x at: 1) = 2 ] ]",
            ),
            ("#{'a' -> {1}}", "x class = HashedCollection and: [ (x at: 'a') = {1} ]"),
            ("Bunch new at: 'a' put: 1; yourself", "x class = Bunch and: [ (x at: 'a') = 1 ]"),
            (
                "Stack new add: 1; add: 2; top: 2; yourself",
                "x class = Stack and: [ x size = 2 and: [ x last = x top ] ]",
            ),
            ("1 -> 2", "x key = 1 and: [ x value = 2 ]"),
            ("3 @ nil", "x x = 3 and: [ x y isNil ]"),
            ("Rectangle origin: 1 @ 2 corner: 3 @ 4", "x corner = (3 @ 4)"),
            ("Date fromMilliseconds: 1234567890123", "x asMilliseconds = 1234567890123"),
            ("Date fromMilliseconds: 0 / 0", "x class = Date and: [ (x = x) not ]"),
            ("'a+b' asRegexp", "(x test: 'caab') and: [ (x test: 'b') not ]"),
            ("Error new messageText: 'x'; yourself", "x messageText = 'x'"),
            ("Error new messageText: nil; yourself", "x messageText isNil"),
            (
                "Trouble new messageText: 'x'; cause: 3 @ 4; yourself",
                "x class = Trouble and: [ x cause = (3 @ 4) and: [ x messageText = 'x' ] ]",
            ),
            ("Node new", "x class = Node and: [ x next isNil ]"),
            ("Node basicNew", "x class = Node and: [ x value isNil ]"),
            (
                "Leaf new colour: 1; next: 2; value: 3; yourself",
                "x class = Leaf and: [ {x colour. x next. x value} = #(1 2 3) ]",
            ),
            ("Node", "x == Node"),
            ("Node class", "x == Node class"),
            ("{Object. Smalltalk. Object class class}", "x = {Object. Smalltalk. Metaclass}"),
            ("ProtoObject >> 'printOn:'", "x == (ProtoObject >> 'printOn:')"),
            ("self", "x == self"),
            ("'abc' readStream next; yourself", "x next = 'b'"),
            ("Queue new nextPut: 3; yourself", "x next = 3"),
            ("Object new", "x class = Object"),
        ],
    )
    def test_it_comes_back_as_it_was(
        self, client: ImageClient, session: str, made: str, is_so: str
    ) -> None:
        run(client, session, f"x := {made}")
        (told,) = snapshot(client, session)["variables"]
        assert (told["name"], told["restorable"]) == ("x", True)
        assert "reason" not in told
        other, variables = copied(client, session)
        assert variables["x"] == {
            "name": "x",
            "fate": "restored",
            "class": told["class"],
            "print_string": told["print_string"],
        }
        assert shown(client, other, is_so) == "true"

    @pytest.mark.parametrize(
        ("made", "is_so"),
        [
            ("x := {1}. y := {x. x}", "y first == x and: [ y last == x ]"),
            (
                "x := Set new. x add: x. y := x",
                "| e | x do: [ :each | e := each ]. e == x and: [ x size = 1 and: [ x == y ] ]",
            ),
            (
                "x := Dictionary new. x at: x put: x. y := 1",
                "x keys first == x and: [ x values first == x ]",
            ),
            ("x := Node new. x next: x; value: x. y := x next", "x next == x and: [ y == x ]"),
            ("x := Node new. y := Node new next: x. x next: y", "x next next == x"),
            ("y := 1 -> 2. y value: y. x := 5", "y value == y"),
            ("x := 3 @ 4. x x: x. y := {x}", "x x == x and: [ y first == x ]"),
            ("x := Date now. y := Stack new add: x; top: x; yourself", "y top == x"),
            ("x := Error new. x messageText: x. y := 1", "x messageText == x"),
            ("x := #{'a' -> 1}. x at: 'a' put: x. y := 1", "(x at: 'a') == x"),
        ],
    )
    def test_identity_and_cycles_come_back(
        self, client: ImageClient, session: str, made: str, is_so: str
    ) -> None:
        run(client, session, made)
        other, variables = copied(client, session)
        assert {each["fate"] for each in variables.values()} == {"restored"}
        assert shown(client, other, is_so) == "true"

    def test_variables_and_objects_share(self, client: ImageClient, session: str) -> None:
        run(client, session, "x := Node new. x value: {x}")
        part = client.evaluate(session, "x value")["object_id"]
        number = client.evaluate(session, "3 + 4")["object_id"]
        other, _ = copied(client, session)
        run(client, other, "x value at: 1 put: 9")
        assert client.do("inspect", session=other, object_id=part)["instance_vars"] == {"1": "9"}
        seven = client.do("inspect", session=other, object_id=number)["object_info"]
        assert seven["string_representation"] == "7"
        assert client.do("inspect", session=session, object_id=part)["instance_vars"]["1"] != "9"

    def test_a_copy_of_a_copy_has_the_same_contents(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "x := {Set new add: 2; yourself. 1 -> 2. Stack new add: 3; yourself}")
        run(client, session, "y := Dictionary new at: x put: Date now; yourself. z := [ x ]")
        other, _ = copied(client, session)
        third, _ = copied(client, other)
        digests = [snapshot(client, each)["digest"] for each in (other, third)]
        assert digests[0] == digests[1]

    def test_any_depth_comes_back(self, client: ImageClient, session: str) -> None:
        nest = "100000 timesRepeat: [ x := {x} ]. y := Node new. 100000 timesRepeat: [ y := "
        run(client, session, f"x := 7. {nest}Node new next: y; yourself ]")
        taken = snapshot(client, session)
        assert taken["object_count"] == 200_001
        assert {each["restorable"] for each in taken["variables"]} == {True}
        other, variables = copied(client, session)
        assert {each["fate"] for each in variables.values()} == {"restored"}
        count = "[ at class = Array ] whileTrue: [ at := at first. n := n + 1 ]. n + at"
        assert shown(client, other, f"| n at | n := 0. at := x. {count}") == "100007"

    def test_variables_keep_their_order_and_can_be_used(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "zeta := 1. alpha := 2. constructor := 3. length := 4")
        other, variables = copied(client, session)
        assert list(variables) == ["zeta", "alpha", "constructor", "length"]
        assert shown(client, other, "zeta + alpha + constructor + length") == "10"
        result = client.evaluate(other, "new := zeta. alpha := 5")
        assert result["variables"] == [*variables, "new"]

    def test_sizes_are_those_of_elements_characters_or_slots(
        self, client: ImageClient, session: str
    ) -> None:
        run(
            client, session, "a := {1. 2}. b := 'abc'. c := Leaf new. d := Set new add: 1; yourself"
        )
        run(
            client,
            session,
            "e := Dictionary new at: 1 put: 2; yourself. f := 7. g := nil. h := [ 1 ]",
        )
        sizes = {each["name"]: each["size"] for each in snapshot(client, session)["variables"]}
        assert sizes == {"a": 2, "b": 3, "c": 3, "d": 1, "e": 1, "f": 0, "g": 0, "h": 0}


class TestWhatCannotBeKept:
    @pytest.mark.parametrize(
        ("made", "class_name", "reason"),
        [
            ("[ :a | a + 1 ]", "BlockClosure", "block"),
            ("thisContext", "MethodContext", "context"),
            ("console", "JSObjectProxy", "JavaScript"),
            ("Promise new", "Promise", "image"),
            ("Package named: 'Kernel-Objects'", "Package", "image"),
        ],
    )
    def test_it_is_named_and_its_neighbours_are_kept(
        self, client: ImageClient, session: str, made: str, class_name: str, reason: str
    ) -> None:
        run(client, session, f"x := {made}. y := {{1. {{x}}. 3}}. z := 3 @ 4")
        kept = client.evaluate(session, "x")["object_id"]
        taken = snapshot(client, session)
        told = by_name(taken)
        assert [told[name]["restorable"] for name in "xyz"] == [False, False, True]
        assert (taken["objects"][0]["object_id"], taken["objects"][0]["restorable"]) == (
            kept,
            False,
        )
        other = fresh_name("session")
        result = restore(client, other, taken["data"])
        back = by_name(result)
        assert [back[name]["fate"] for name in "xyz"] == ["lost", "partial", "restored"]
        assert back["x"]["class"] == class_name
        for each in (told["x"], told["y"], back["x"], back["y"], *result["objects"]):
            assert reason in each["reason"]
        assert result["objects"][0]["fate"] == "lost"
        assert back["x"]["print_string"] in back["y"]["reason"]
        assert shown(client, other, "{y. z}") == "an Array (an Array (1 an Array (nil) 3) 3@4)"
        error = client.fail("evaluate", session=other, code="x", request=fresh_name("request"))
        assert error.details["class"] == "UnknownVariableError"
        error = client.fail("inspect", session=other, object_id=kept)
        assert error.code == "object_not_found"

    def test_many_of_them_are_named_up_to_a_bound(self, client: ImageClient, session: str) -> None:
        many = "[ 1 ]. console. thisContext. Promise new. Package named: 'Kernel-Objects'"
        run(client, session, f"x := {{{many}}}. y := (1 to: 5000) collect: [ :i | [ i ] ]")
        told = by_name(snapshot(client, session))
        assert told["x"]["reason"].endswith("; and more")
        assert told["y"]["reason"] == "a BlockClosure: a block cannot be kept"

    def test_an_exception_that_was_handled_loses_its_context_and_says_so(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "x := [ nil foo ] on: Error do: [ :e | e ]")
        told = by_name(snapshot(client, session))["x"]
        assert (told["restorable"], "context" in told["reason"]) == (True, True)
        other, variables = copied(client, session)
        assert variables["x"]["fate"] == "restored"
        assert shown(client, other, "x messageText") == "'nil does not understand #foo'"
        assert shown(client, other, "x context") == "nil"

    def test_an_object_whose_inside_was_broken_costs_no_other(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "x := Set new add: 1; instVarNamed: 'fastBuckets' put: 3; yourself")
        run(client, session, "y := Dictionary new instVarNamed: 'keys' put: 3; yourself. z := 8")
        run(client, session, "w := #{'a' -> 1}. w basicAt: 'a$cls' put: 3")
        told = by_name(snapshot(client, session))
        restorable = {name: each["restorable"] for name, each in told.items()}
        assert restorable == {"x": False, "y": False, "z": True, "w": False}
        other, _ = copied(client, session)
        assert shown(client, other, "z") == "8"


class TestLives:
    def test_a_workspace_comes_back_in_another_life_with_ids_that_can_be_inspected(
        self, tmp_path: Path
    ) -> None:
        with smalltalk(tmp_path) as (_, client):
            define_classes(client)
            run(client, "s", "x := Node new value: {1. 2}; yourself. y := x")
            inspected = client.do("inspect", session="s", target="x")
            taken = snapshot(client, "s")
        with smalltalk(tmp_path) as (_, client):
            told = restore(client, "s", taken["data"])
            assert {each["fate"] for each in told["variables"]} == {"restored"}
            value = inspected["children"]["value"]
            again = client.do("inspect", session="s", object_id=value)
            assert again["instance_vars"] == {"1": "1", "2": "2"}
            assert client.evaluate("s", "y value")["object_id"] == value
            assert client.evaluate("s", "y")["object_id"] == inspected["object_id"]
            # What is registered from now on gets ids of this life.
            assert client.evaluate("s", "{}")["object_id"] not in {
                *inspected["children"].values(),
                inspected["object_id"],
            }

    def test_a_restored_workspace_can_be_closed_and_is_empty_then(
        self, client: ImageClient, session: str
    ) -> None:
        run(client, session, "x := 1")
        other, _ = copied(client, session)
        assert client.do("close_workspace", session=other)["closed"] is True
        assert snapshot(client, other)["variables"] == []

    def test_ids_do_not_depend_on_when_they_were_used_last(
        self, client: ImageClient, session: str
    ) -> None:
        ids = [client.evaluate(session, f"x{i} := {{{i}}}")["object_id"] for i in range(3)]
        digest = snapshot(client, session)["digest"]
        client.do("inspect", session=session, object_id=ids[0], depth=0)
        assert snapshot(client, session, unless=digest)["unchanged"] is True

    def test_the_document_names_the_dialect(self, client: ImageClient, session: str) -> None:
        run(client, session, "x := Stack new add: 1; yourself")
        document = unpacked(snapshot(client, session)["data"])
        assert document["dialect"] == "amber"
        assert document["nodes"][0] == ["list", [1]]  # what other dialects can read
        assert document["amber"] == {"0": ["Stack", {"top": None}]}
