"""What docs/image-protocol.md says of snapshots, asked of every full image through its socket."""

import time
from pathlib import Path

import pytest

from tests.tools.images.dialects import Dialect, command_of
from tests.tools.images.graphs import FORMAT, IMPOSSIBLE_NODES, graph, packed, unpacked
from tests.tools.images.image_client import (
    ImageClient,
    Message,
    fresh_name,
    result_of,
    running_image,
)


def snapshot(client: ImageClient, session: str, **more: object) -> Message:
    return client.do("snapshot_workspace", session=session, **more)


def restore(client: ImageClient, session: str, taken: Message) -> Message:
    return client.do(
        "restore_workspace", session=session, format=taken["format"], data=taken["data"]
    )


def value(client: ImageClient, session: str, code: str) -> str:
    """What code prints; it registers no object."""
    result: str = client.evaluate(session, code, mode="Execute")["result"]
    return result


def run(client: ImageClient, session: str, code: str) -> None:
    client.evaluate(session, code, mode="Execute")


def by_name(result: Message) -> dict[str, Message]:
    return {each["name"]: each for each in result["variables"]}


@pytest.fixture(params=["own", FORMAT])
def form(request: pytest.FixtureRequest, client: ImageClient) -> str:
    """Each format that the image has."""
    own: str = client.do("ping")["formats"][0]
    return own if request.param == "own" else FORMAT


class TestSnapshots:
    def test_a_ping_tells_the_formats(self, client: ImageClient) -> None:
        formats = client.do("ping")["formats"]
        assert FORMAT in formats
        assert len(set(formats)) == len(formats)

    def test_it_tells_of_each_variable(
        self, client: ImageClient, dialect: Dialect, session: str, form: str
    ) -> None:
        run(client, session, dialect.make_graph)
        taken = snapshot(client, session, format=form)
        assert (taken["session"], taken["unchanged"], taken["format"]) == (session, False, form)
        assert list(by_name(taken)) == ["a", "b", "c"]
        for each in taken["variables"]:
            assert set(each) >= {"name", "class", "print_string", "size", "restorable"}
            assert each["restorable"] is True
            assert isinstance(each["size"], int)
            assert 0 < len(each["print_string"]) <= 200
        assert taken["object_count"] >= 2
        assert (isinstance(taken["data"], str), taken["objects"]) == (True, [])

    def test_print_strings_are_cut_at_200_characters(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        run(client, session, dialect.make_large)
        taken = snapshot(client, session)
        (told,) = restore(client, session, taken)["variables"]
        for each in (told, *taken["variables"]):
            assert 150 <= len(each["print_string"]) <= 200 + len("… (999999 characters)")

    def test_a_session_that_is_not_there_has_an_empty_one_and_is_not_opened_by_it(
        self, client: ImageClient, session: str
    ) -> None:
        taken = snapshot(client, session)
        assert (taken["variables"], taken["objects"]) == ([], [])
        assert client.do("open_workspace", session=session)["created"] is True
        again = restore(client, session, taken)
        assert (again["variables"], again["objects"]) == ([], [])

    def test_nothing_is_sent_when_nothing_has_changed(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        run(client, session, dialect.make_graph)
        digest = snapshot(client, session)["digest"]
        assert snapshot(client, session, unless=digest) == {
            "session": session,
            "digest": digest,
            "unchanged": True,
        }
        run(client, session, dialect.grow_a)
        taken = snapshot(client, session, unless=digest)
        assert (taken["unchanged"], taken["digest"] != digest) == (False, True)
        assert taken["data"]

    def test_one_that_is_too_large_is_refused_with_the_limit(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        run(client, session, dialect.make_large)
        error = client.fail("snapshot_workspace", session=session, most_bytes=1_000)
        assert (error.code, error.details["limit"]) == ("snapshot_too_large", 1_000)

    def test_an_unknown_format_is_not_supported(self, client: ImageClient, session: str) -> None:
        for command in ("snapshot_workspace", "restore_workspace"):
            reply = client.ask(command, session=session, format="stui-graph-0", data="")
            assert (reply["error_type"], reply["error_code"]) == ("Error", "not_supported")

    def test_another_epoch_is_refused(self, client: ImageClient, session: str) -> None:
        taken = snapshot(client, session)
        given = {"format": taken["format"], "data": taken["data"], "object_ids": []}
        for command in ("snapshot_workspace", "restore_workspace", "release_objects"):
            error = client.fail(command, session=session, epoch="of yore", **given)
            assert error.code == "wrong_epoch"

    @pytest.mark.parametrize(
        ("command", "missing"),
        [
            ("snapshot_workspace", "session"),
            ("restore_workspace", "session"),
            ("restore_workspace", "format"),
            ("restore_workspace", "data"),
            ("release_objects", "session"),
            ("release_objects", "object_ids"),
        ],
    )
    def test_a_missing_parameter_is_named(
        self, client: ImageClient, session: str, command: str, missing: str
    ) -> None:
        given = {"session": session, "format": FORMAT, "data": "", "object_ids": []}
        del given[missing]
        error = client.fail(command, **given)
        assert error.code == "missing_parameter"
        assert missing in str(error)

    @pytest.mark.parametrize(
        "wrong", [{"most_bytes": "8"}, {"most_bytes": -1}, {"most_seconds": "1"}, {"unless": 7}]
    )
    def test_a_wrong_parameter_is_named(
        self, client: ImageClient, session: str, wrong: Message
    ) -> None:
        error = client.fail("snapshot_workspace", session=session, **wrong)
        assert error.code == "invalid_parameter"
        assert next(iter(wrong)) in str(error)

    def test_an_evaluation_behind_a_large_one_is_not_held_up_noticeably(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        other = fresh_name("session")
        run(client, other, dialect.assign_41)
        run(client, session, dialect.make_large)
        whole, held_up = [], []
        for _ in range(3):
            started = time.monotonic()
            snapshot(client, session)
            whole.append(time.monotonic() - started)
            taken = client.send("snapshot_workspace", session=session)
            started = time.monotonic()
            assert value(client, other, dialect.x_plus_1) == "42"
            held_up.append(time.monotonic() - started)
            reply = client.receive(taken)
            if reply["status"] == "error":
                assert reply["error_code"] == "snapshot_given_up"
                assert reply["details"]["reason"]
        assert min(held_up) < min(whole) / 2
        assert snapshot(client, session)["unchanged"] is False


class TestRestoring:
    def test_sharing_and_cycles_come_back(
        self, client: ImageClient, dialect: Dialect, session: str, form: str
    ) -> None:
        run(client, session, dialect.make_graph)
        other = fresh_name("session")
        told = restore(client, other, snapshot(client, session, format=form))
        assert [(each["name"], each["fate"]) for each in told["variables"]] == [
            (name, "restored") for name in ("a", "b", "c")
        ]
        assert value(client, other, dialect.is_that_graph) == dialect.true

    def test_texts_and_numbers_come_back(
        self, client: ImageClient, dialect: Dialect, session: str, form: str
    ) -> None:
        run(client, session, dialect.texts_and_numbers)
        other = fresh_name("session")
        told = restore(client, other, snapshot(client, session, format=form))
        assert by_name(told)["x"]["fate"] == "restored"
        assert value(client, other, dialect.is_texts_and_numbers) == dialect.true

    def test_what_is_restored_elsewhere_is_a_copy(
        self, client: ImageClient, dialect: Dialect, session: str, form: str
    ) -> None:
        run(client, session, dialect.make_graph)
        other = fresh_name("session")
        restore(client, other, snapshot(client, session, format=form))
        run(client, other, dialect.grow_a)
        sizes = [value(client, each, dialect.size_of_a) for each in (session, other)]
        assert sizes == ["2", "3"]

    def test_it_replaces_what_was_there(
        self, client: ImageClient, dialect: Dialect, session: str, form: str
    ) -> None:
        run(client, session, dialect.make_graph)
        taken = snapshot(client, session, format=form)
        run(client, session, dialect.assign_41)
        run(client, session, dialect.grow_a)
        restore(client, session, taken)
        assert value(client, session, dialect.size_of_a) == "2"
        error = client.fail(
            "evaluate", session=session, code=dialect.x_plus_1, request=fresh_name("request")
        )
        assert error.code == "evaluation_error"

    def test_objects_keep_their_ids_and_their_identity(
        self, client: ImageClient, dialect: Dialect, session: str, form: str
    ) -> None:
        run(client, session, dialect.make_graph)
        kept = client.evaluate(session, "a")["object_id"]
        taken = snapshot(client, session, format=form)
        assert [(each["object_id"], each["restorable"]) for each in taken["objects"]] == [
            (kept, True)
        ]
        later = client.evaluate(session, "c")["object_id"]
        told = restore(client, session, taken)
        assert [(each["object_id"], each["fate"]) for each in told["objects"]] == [
            (kept, "restored")
        ]
        assert client.evaluate(session, "b")["object_id"] == kept
        assert client.do("inspect", session=session, object_id=kept)["object_id"] == kept
        error = client.fail("inspect", session=session, object_id=later)
        assert error.code == "object_not_found"
        assert client.evaluate(session, "c")["object_id"] not in (kept, later)

    def test_ids_name_nothing_in_sessions_that_they_were_not_restored_in(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        run(client, session, dialect.make_graph)
        kept = client.evaluate(session, "a")["object_id"]
        other, third = fresh_name("session"), fresh_name("session")
        restore(client, other, snapshot(client, session))
        assert client.do("inspect", session=other, object_id=kept)["object_id"] == kept
        error = client.fail("inspect", session=third, object_id=kept)
        assert error.code == "object_not_found"

    def test_a_workspace_comes_back_in_another_epoch(
        self, dialect: Dialect, session: str, tmp_path: Path
    ) -> None:
        with (
            running_image(command_of(dialect, tmp_path)) as image,
            ImageClient(image.endpoint) as client,
        ):
            run(client, session, dialect.make_graph)
            kept = client.evaluate(session, "a")["object_id"]
            taken = snapshot(client, session)
        with (
            running_image(command_of(dialect, tmp_path)) as image,
            ImageClient(image.endpoint) as client,
        ):
            told = restore(client, session, taken)
            assert {each["fate"] for each in told["variables"]} == {"restored"}
            assert value(client, session, dialect.is_that_graph) == dialect.true
            shown = client.do("inspect", session=session, object_id=kept)
            assert shown["object_id"] == kept
            assert kept in shown["children"].values()  # the list is in itself
            assert client.evaluate(session, "c")["object_id"] != kept

    def test_what_cannot_be_kept_is_named_and_costs_no_other(
        self, client: ImageClient, dialect: Dialect, session: str, form: str
    ) -> None:
        run(client, session, dialect.assign_unkeepable)
        taken = snapshot(client, session, format=form)
        variables = by_name(taken)
        assert variables["y"]["restorable"] is True
        assert variables["x"]["restorable"] is False
        assert variables["x"]["reason"]
        other = fresh_name("session")
        told = by_name(restore(client, other, taken))
        assert told["y"]["fate"] == "restored"
        assert told["x"]["fate"] in ("partial", "lost")
        assert told["x"]["reason"]
        assert value(client, other, "y") == "8"

    def test_damaged_data_changes_nothing(
        self, client: ImageClient, dialect: Dialect, session: str, form: str
    ) -> None:
        run(client, session, dialect.make_graph)
        kept = client.evaluate(session, "a")["object_id"]
        taken = snapshot(client, session, format=form)
        data: str = taken["data"]
        middle = len(data) // 2
        flipped = "B" if data[middle] != "B" else "C"
        for wrong in (
            *("", "hello", data[:-8], data[4:], data[:middle], data + "AAAA", data + "\n"),
            data[:middle] + flipped + data[middle + 1 :],
        ):
            error = client.fail("restore_workspace", session=session, format=form, data=wrong)
            assert error.code == "snapshot_damaged"
        assert value(client, session, dialect.is_that_graph) == dialect.true
        assert client.do("inspect", session=session, object_id=kept)["object_id"] == kept

    def test_a_snapshot_of_8_mib_is_taken(self, client: ImageClient, session: str) -> None:
        # Texts that do not pack well, so that the data is near its limit.
        text = "".join(chr(0x4E00 + (i * i * 7919 + i * 104729) % 20_000) for i in range(100_000))
        taken = {"format": FORMAT, "data": packed(graph({"x": text}))}
        rounds = (8 * 1024 * 1024) // len(taken["data"])
        texts: dict[str, object] = {f"x{i}": text[i:] + text[:i] for i in range(rounds)}
        taken["data"] = packed(graph(texts))
        told = restore(client, session, taken)
        assert len(told["variables"]) == rounds
        assert {each["fate"] for each in told["variables"]} == {"restored"}


class TestReleasing:
    def test_released_objects_are_not_found_any_more(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        run(client, session, dialect.make_graph)
        ids = [client.evaluate(session, name)["object_id"] for name in ("a", "c")]
        result = client.do("release_objects", session=session, object_ids=[ids[0], "no such"])
        assert result == {"session": session, "released": 1}
        error = client.fail("inspect", session=session, object_id=ids[0])
        assert error.code == "object_not_found"
        assert client.do("inspect", session=session, object_id=ids[1])
        assert client.evaluate(session, "a")["object_id"] != ids[0]

    def test_nothing_of_another_session_is_released(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        run(client, session, dialect.make_graph)
        kept = client.evaluate(session, "a")["object_id"]
        other = fresh_name("session")
        result = client.do("release_objects", session=other, object_ids=[kept])
        assert result["released"] == 0
        assert client.do("inspect", session=session, object_id=kept)

    @pytest.mark.parametrize("wrong", ["x", [7], {"a": "b"}])
    def test_ids_that_are_no_list_of_strings_are_invalid(
        self, client: ImageClient, session: str, wrong: object
    ) -> None:
        error = client.fail("release_objects", session=session, object_ids=wrong)
        assert error.code == "invalid_parameter"


class TestTheCommonFormat:
    def test_it_can_be_read_as_described(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        run(client, session, dialect.make_graph)
        kept = client.evaluate(session, "a")["object_id"]
        document = unpacked(snapshot(client, session, format=FORMAT)["data"])
        assert {"dialect", "variables", "objects", "nodes"} <= set(document)
        (index,) = document["variables"]["a"]
        assert document["variables"]["b"] == document["objects"][kept] == [index]
        assert document["nodes"][index] == ["list", [1, [index]]]
        (other,) = document["variables"]["c"]
        assert document["nodes"][other] == ["dictionary", [["k", [index]]]]

    def test_what_another_dialect_made_is_taken(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        document = graph(
            {"a": [0], "b": [0], "c": [1], "x": 41},
            [["list", [1, [0]]], ["dictionary", [["k", [0]]]]],
            {"an id": [0]},
        )
        told = restore(client, session, {"format": FORMAT, "data": packed(document)})
        fates = {each["name"]: each["fate"] for each in told["variables"]}
        assert fates == dict.fromkeys(["a", "b", "c", "x"], "restored")
        assert value(client, session, dialect.is_that_graph) == dialect.true
        assert value(client, session, dialect.x_plus_1) == "42"
        assert client.evaluate(session, "a")["object_id"] == "an id"

    def test_kinds_that_are_not_known_are_lost_and_cost_no_other(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        document = graph(
            {"x": 41, "y": [0], "z": [1], "w": [2]},
            [["elsewhere:thing", {"any": [9, 9]}], ["list", [7, [0]]], ["lost", "C", "a C", "why"]],
        )
        told = by_name(restore(client, session, {"format": FORMAT, "data": packed(document)}))
        assert {name: each["fate"] for name, each in told.items()} == {
            "x": "restored",
            "y": "lost",
            "z": "partial",
            "w": "lost",
        }
        assert all(told[name]["reason"] for name in "yzw")
        assert (told["w"]["class"], told["w"]["print_string"]) == ("C", "a C")
        assert "why" in told["w"]["reason"]
        assert value(client, session, dialect.x_plus_1) == "42"

    @pytest.mark.parametrize(
        "document",
        [
            *([], 7, None, {}, {"variables": {}, "objects": {}, "nodes": []}),
            {"dialect": "test", "variables": [], "objects": {}, "nodes": []},
            {"dialect": "test", "variables": {}, "objects": {}, "nodes": {}},
            {"dialect": "test", "variables": {}, "objects": 7, "nodes": []},
        ],
        ids=repr,
    )
    def test_a_document_of_another_form_is_damaged(
        self, client: ImageClient, dialect: Dialect, session: str, document: object
    ) -> None:
        run(client, session, dialect.assign_41)
        error = client.fail(
            "restore_workspace", session=session, format=FORMAT, data=packed(document)
        )
        assert error.code == "snapshot_damaged"
        assert value(client, session, dialect.x_plus_1) == "42"

    @pytest.mark.parametrize("node", IMPOSSIBLE_NODES, ids=repr)
    def test_an_impossible_node_is_damage_or_lost_and_never_restored(
        self, client: ImageClient, session: str, node: object
    ) -> None:
        data = packed(graph({"x": [0]}, [node], {"an id": [0]}))
        reply = client.ask("restore_workspace", session=session, format=FORMAT, data=data)
        if reply["status"] == "error":
            assert reply["error_code"] == "snapshot_damaged"
        else:
            result = reply["result"]
            fates = {each["fate"] for each in (*result["variables"], *result["objects"])}
            assert fates <= {"lost", "partial"}

    def test_a_document_that_grows_beyond_64_mib_is_damaged(
        self, client: ImageClient, dialect: Dialect, session: str
    ) -> None:
        run(client, session, dialect.assign_41)
        data = packed(graph({"x": "a" * (65 * 1024 * 1024)}))
        error = client.fail("restore_workspace", session=session, format=FORMAT, data=data)
        assert error.code == "snapshot_damaged"
        assert value(client, session, dialect.x_plus_1) == "42"


def test_a_reply_comes_to_every_request_in_a_row_of_them(
    client: ImageClient, dialect: Dialect, session: str
) -> None:
    run(client, session, dialect.make_graph)
    sent = [client.send("snapshot_workspace", session=session) for _ in range(20)]
    digests = {result_of(client.receive(each))["digest"] for each in sent}
    assert len(digests) == 1
