"""Whatever one session makes, a Python image's replies fit through everyone's connection."""

import re

import msgspec
import pytest

from tests.tools.images.graphs import graph, packed
from tests.tools.images.image_client import ImageClient, Message, fresh_name, result_of
from tests.tools.images.snapshot_client import COMMON, OWN, put, take, variables_of
from tools.images.python_image.frames import MAX_REPLY
from tools.images.python_image.static import MAX_NAME

LONG_CLASS = "C = type('C' * 100_000_000, (), {}); c = C()"
LONG_ERROR = "E = type('E' * 100_000_000, (Exception,), {})"
MANY_METHODS = """
C = type('C', (), {f'{number:06}' + 'm' * 240: print for number in range(60_000)})
c = C()
"""
MANY_CLASSES = """
for number in range(3_000):
    globals()[f'C{number}'] = type(f'C{number}' + 'c' * 900, (), {'__doc__': 'd' * 60_000})
    globals()[f'C{number}'].__module__ = __name__
"""


def size_of(reply: Message) -> int:
    """Bytes of a reply on the wire."""
    return len(msgspec.json.encode(reply))


def serves(client: ImageClient, epoch: str) -> bool:
    """Whether the image still lives the same life and runs the code of others."""
    result = client.evaluate(fresh_name("session"), "6 * 7", epoch=epoch)
    return bool(result["result"] == "42")


@pytest.fixture
def epoch(python: ImageClient) -> str:
    epoch: str = python.do("ping")["image"]["epoch"]
    return epoch


class TestNames:
    def test_the_first_thousand_variables_are_told_by_short_names(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        code = "globals().update({'v' * 3000 + str(i): i for i in range(30_000)})"
        reply = python.ask("evaluate", session=session, code=code, request=fresh_name("many"))
        names = result_of(reply)["variables"]
        assert len(names) == 1_000
        assert set(names) == {"v" * 256 + f"… ({count} characters)" for count in range(3001, 3004)}
        assert size_of(reply) < 1_000_000
        assert "variables" not in python.evaluate(session, "1")
        assert serves(python, epoch)

    def test_a_class_is_told_by_a_short_name_wherever_it_is(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        python.evaluate(session, LONG_CLASS)
        shown = "C" * MAX_NAME + "… (100000000 characters)"
        replies = [
            python.ask("evaluate", session=session, code="c", request=fresh_name("request")),
            python.ask("inspect", session=session, target="c", include_private=True),
            python.ask("list_classes", pattern="CCC*"),
            python.ask("browse_class", class_name=shown),
            python.ask("snapshot_workspace", session=session),
            python.ask("snapshot_workspace", session=session, format=COMMON),
        ]
        assert [each["status"] for each in replies] == ["success"] * len(replies)
        assert max(map(size_of, replies)) < 2_000_000
        assert result_of(replies[0])["result_type"] == shown
        assert result_of(replies[1])["object_info"]["class_name"] == shown
        assert result_of(replies[2])["classes"][0]["name"] == shown
        assert variables_of(result_of(replies[4]))["c"]["class"] == shown
        missing = python.ask("get_method", class_name=shown, method_name="gone")
        assert missing["error_code"] == "method_not_found"
        assert size_of(missing) < 10_000
        assert serves(python, epoch)

    def test_an_error_is_told_by_a_short_name_and_stack(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        python.evaluate(session, LONG_ERROR)
        name = fresh_name("fails")
        reply = python.ask("evaluate", session=session, code="raise E('no')", request=name)
        assert reply["details"]["class"] == "E" * MAX_NAME + "… (100000000 characters)"
        assert reply["details"]["message"] == "no"
        assert size_of(reply) < 20_000
        assert python.do("get_result", request=name)["reply"]["details"] == reply["details"]
        assert serves(python, epoch)

    @pytest.mark.parametrize("snapshot_format", [OWN, COMMON])
    def test_what_is_lost_is_told_by_short_names(
        self, python: ImageClient, session: str, epoch: str, snapshot_format: str
    ) -> None:
        python.evaluate(
            session,
            "class M(type):\n    def __reduce_ex__(self, n): raise ValueError\n"
            "def stay(self, n): raise self\n"
            "X = type('X' * 10_000_000, (Exception,), {'__reduce_ex__': stay})\n"
            "x, v = open('/dev/null'), [X()]\ndel M, stay, X",
        )
        snapshot = take(python, session, format=snapshot_format)
        told = put(python, session, snapshot)
        assert size_of(snapshot) < 100_000 + len(snapshot["data"])
        assert max(len(each.get("reason", "")) for each in told.values()) < 600
        assert serves(python, epoch)

    def test_what_a_graph_calls_lost_is_told_by_short_names(
        self, python: ImageClient, session: str
    ) -> None:
        node = ["lost", "B" * 5_000_000, "p" * 5_000_000, "r" * 5_000_000]
        data = packed(graph({"x": [0]}, [node]))
        told = put(python, session, {"format": COMMON, "data": data})["x"]
        assert len(told["class"]) < MAX_NAME + 30
        assert len(told["print_string"]) < 230
        assert len(told["reason"]) < 530


class TestReplies:
    def test_one_that_is_too_large_is_told_in_a_small_one_again_and_again(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        python.evaluate(session, MANY_METHODS)
        asked = {"session": session, "target": "c", "include_private": True}
        name = fresh_name("large")
        reply = python.ask("inspect", request=name, **asked)
        assert (reply["error_code"], reply["error_type"]) == ("reply_too_large", "RuntimeError")
        assert reply["details"]["size"] > reply["details"]["limit"] == MAX_REPLY
        assert size_of(reply) < 1_000
        kept = python.do("get_result", request=name)
        assert kept["state"] == "finished"
        assert kept["reply"]["details"] == reply["details"]
        again = python.ask("inspect", request=name, **asked)
        assert again["details"] == reply["details"]
        assert serves(python, epoch)

    def test_a_request_with_such_a_reply_was_done(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        python.evaluate(session, MANY_METHODS)
        target = "[globals().__setitem__('done', 1), c][1]"
        error = python.fail("inspect", session=session, target=target, include_private=True)
        assert error.code == "reply_too_large"
        assert python.evaluate(session, "done", epoch=epoch)["result"] == "1"

    def test_a_snapshot_of_too_many_variables_is_too_large(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        python.evaluate(session, "globals().update({f'v{i}': 'p' * 150 for i in range(60_000)})")
        error = python.fail("snapshot_workspace", session=session)
        assert error.code == "snapshot_too_large"
        assert re.search("what is told", str(error))
        assert serves(python, epoch)

    def test_classes_are_listed_as_many_as_fit(
        self, python: ImageClient, session: str, epoch: str
    ) -> None:
        python.evaluate(session, MANY_CLASSES)
        reply = python.ask("list_classes", pattern="C*c")
        listed = result_of(reply)
        assert listed["total_count"] == 3_000
        assert 500 < len(listed["classes"]) < 3_000
        assert size_of(reply) < MAX_REPLY
        assert python.do("list_classes", pattern="in?")["classes"][0]["name"] == "int"
        assert serves(python, epoch)

    def test_one_that_user_code_forges_does_not_get_through(
        self, python: ImageClient, session: str
    ) -> None:
        forge = (
            "import os, socket, struct, stat\n"
            'body = b\'{"number":1,"result":{"x":"\' + b\'y\' * (80 << 20) + b\'"}}\'\n'
            "for fd in range(3, 50):\n"
            "    try:\n"
            "        if stat.S_ISSOCK(os.fstat(fd).st_mode):\n"
            "            socket.socket(fileno=os.dup(fd)).sendall(\n"
            "                struct.pack('>I', len(body)) + body)\n"
            "    except OSError: pass\n"
        )
        name = fresh_name("forges")
        reply = python.ask("evaluate", session=session, code=forge, request=name)
        assert reply["error_code"] == "outcome_unknown"
        assert "at most" in reply["error"]
        assert python.evaluate(session, "6 * 7")["result"] == "42"
