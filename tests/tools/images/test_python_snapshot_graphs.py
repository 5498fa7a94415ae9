"""Graphs of objects through both formats of a Python image, and graphs of other dialects."""

import base64
import json
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tools.images.image_client import ImageClient
from tests.tools.images.snapshot_client import COMMON, OWN, Told, put, take, value

KINDS = ("list", "tuple", "dict", "thing", "slotted")

BUILD = """
inf = float('inf')
class Thing: pass
class Slotted:
    __slots__ = ('a', 'b', 'c', 'd')
def build(nodes):
    made = [[] if kind == 'list' else {} if kind == 'dict' else Thing() if kind == 'thing'
        else Slotted() if kind == 'slotted' else None for kind, _ in nodes]
    def part(part):
        return made[part['ref']] if isinstance(part, dict) else part
    for index, (kind, parts) in enumerate(nodes):
        if kind == 'tuple':
            made[index] = tuple(map(part, parts))
    for it, (kind, parts) in zip(made, nodes):
        for name, each in zip('abcd', map(part, parts)):
            if kind == 'list': it.append(each)
            elif kind == 'dict': it[name] = each
            elif kind != 'tuple': setattr(it, name, each)
    return made
"""
SHAPE = """
def shape(roots):
    numbers, told, waiting, alive = {}, [], list(roots), []
    def name(it):
        if type(it).__name__ not in ('list', 'tuple', 'dict', 'Thing', 'Slotted'):
            return repr(it)
        if it != () and id(it) not in numbers:
            numbers[id(it)] = len(numbers)
            alive.append(it)
        return '()' if it == () else f'#{numbers[id(it)]}'
    heads = [name(root) for root in roots]
    at = 0
    while at < len(alive):
        it = alive[at]
        at += 1
        kind = type(it).__name__
        parts = (list(enumerate(it)) if kind in ('list', 'tuple') else list(it.items())
            if kind == 'dict' else [(n, getattr(it, n)) for n in 'abcd' if hasattr(it, n)])
        told.append((kind, [(key, name(part)) for key, part in parts]))
    return heads, told
"""

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=5)
)


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[str, list[Any]]]:
    """Nodes with references to each other; a tuple refers to earlier tuples only."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12))
    nodes = []
    for index, kind in enumerate(kinds):
        allowed = [
            other
            for other, other_kind in enumerate(kinds)
            if kind != "tuple" or other_kind != "tuple" or other < index
        ]
        references = st.sampled_from(allowed).map(lambda ref: {"ref": ref}) if allowed else scalars
        nodes.append((kind, draw(st.lists(references | scalars, max_size=4))))
    return nodes


@pytest.mark.parametrize("snapshot_format", [OWN, COMMON])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(nodes=graphs())
def test_any_graph_has_the_same_shape_after_a_snapshot_and_a_restore(
    python: ImageClient, session: str, snapshot_format: str, nodes: list[tuple[str, list[Any]]]
) -> None:
    python.evaluate(session, f"{BUILD}{SHAPE}\nroots = build({nodes!r}); first = roots[0]")
    before = value(python, session, "shape([first, *roots])")
    told = put(python, session, take(python, session, format=snapshot_format))
    assert told["roots"]["fate"] == told["first"]["fate"] == "restored"
    # The common format has no functions.
    python.evaluate(session, SHAPE)
    assert value(python, session, "shape([first, *roots])") == before


def restore_graph(
    client: ImageClient, session: str, variables: dict[str, Any], nodes: list[Any]
) -> Told:
    """Restore a graph as another dialect may have made it."""
    graph = {"dialect": "Smalltalk", "variables": variables, "objects": {}, "nodes": nodes}
    data = base64.b64encode(zlib.compress(json.dumps(graph).encode())).decode()
    return put(client, session, {"format": COMMON, "data": data})


class TestOtherDialects:
    @pytest.mark.parametrize(
        ("node", "printed"),
        [
            (["integer", "-123456789012345678901"], "-123456789012345678901"),
            (["float", "-0.0"], "-0.0"),
            (["float", "inf"], "inf"),
            (["bytes", "YWI="], "b'ab'"),
            (["array", [1, None]], "(1, None)"),
            (["set", ["a"]], "{'a'}"),
            (["dictionary", [["a", 1], [2, True]]], "{'a': 1, 2: True}"),
            (["interval", 1, 9, 4], "range(1, 10, 4)"),
            (["interval", 3, 1, -1], "range(3, 0, -1)"),
            (["fraction", 3, 4], "Fraction(3, 4)"),
            (["date", "2024-02-29"], "datetime.date(2024, 2, 29)"),
            (["duration", 90.5], "datetime.timedelta(seconds=90, microseconds=500000)"),
            (["exception", "ValueError", "no", {}], "ValueError('no')"),
            (["class", "int"], "<class 'int'>"),
            (["point", 3, 4], "Point(x=3, y=4)"),
            (["time", "12:30:00"], "datetime.time(12, 30)"),
            (["datetime", "2024-02-29T12:30:00"], "datetime.datetime(2024, 2, 29, 12, 30)"),
            (
                ["datetime", "2024-02-29T12:30:00Z"],
                "datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc)",
            ),
        ],
    )
    def test_what_python_has_too_is_restored(
        self, python: ImageClient, session: str, node: list[Any], printed: str
    ) -> None:
        told = restore_graph(python, session, {"x": [0]}, [node])
        assert (told["x"]["fate"], told["x"].get("reason")) == ("restored", None)
        assert value(python, session, "x") == printed

    @pytest.mark.parametrize(
        ("nodes", "printed", "reason"),
        [
            ([["symbol", "go"]], "'go'", "a symbol becomes a string"),
            ([["character", "c"]], "'c'", "a character becomes a string"),
            ([["association", 1, 2]], "(1, 2)", "an association becomes a tuple"),
            ([["interval", 1, 2, 0.5]], "[1.0, 1.5, 2.0]", "becomes a list"),
            ([["array", [[0], 1]]], "[[...], 1]", "holds itself"),
            ([["array", [[1]]], ["array", [[0], 2]]], "[([...], 2)]", "holds itself"),
            ([["list", [[1]]], ["symbol", "s"]], "['s']", "a symbol becomes"),
            (
                [["exception", "ZeroDivide", "by 0", {}]],
                "Exception('by 0')",
                "ZeroDivide becomes an Exception: LookupError: there is no class of exceptions",
            ),
            ([["exception", "int", "", {}]], "Exception()", "int becomes an Exception"),
            (
                [["exception", "ExceptionGroup", "two", {}]],
                "Exception('two')",
                "ExceptionGroup becomes an Exception: TypeError",
            ),
        ],
    )
    def test_what_becomes_something_else_says_so(
        self, python: ImageClient, session: str, nodes: list[Any], printed: str, reason: str
    ) -> None:
        told = restore_graph(python, session, {"x": [0]}, nodes)
        assert told["x"]["fate"] == "restored"
        assert reason in told["x"]["reason"]
        assert value(python, session, "x") == printed

    @pytest.mark.parametrize(
        "node",
        [
            ["instance", "Unheard", {"a": 1}],
            ["class", "Unheard"],
            ["class", "os.path.join"],
            ["amber:block", "[:x | x]"],
            ["lost", "BlockClosure", "a block", "it is code"],
            ["date", "tomorrow"],
            ["fraction", 1, 0],
            ["interval", 1, 2, 0],
            ["interval", 1, 10**9, 0.5],
            ["integer", "one"],
            ["bytes", "?"],
            ["float", "much"],
            ["duration", "long"],
            ["list"],
            ["list", 5],
            ["array"],
            ["array", 5],
            [5],
            [],
        ],
    )
    def test_what_cannot_be_made_is_lost_and_its_neighbours_are_not(
        self, python: ImageClient, session: str, node: list[Any]
    ) -> None:
        nodes = [node, ["list", [[0], "kept", [2]]], ["list", [1]]]
        told = restore_graph(python, session, {"x": [0], "all": [1], "own": [2]}, nodes)
        assert (told["x"]["fate"], told["all"]["fate"]) == ("lost", "partial")
        assert told["all"]["reason"]
        assert told["own"]["fate"] == "restored"
        assert value(python, session, "'x' in dir(), all[1], all[2] is own") == (
            "(False, 'kept', True)"
        )

    def test_keys_that_cannot_be_keys_and_values_that_are_none_are_left_out(
        self, python: ImageClient, session: str
    ) -> None:
        nodes = [["dictionary", [[[1], 1], ["b", 2], 7]], ["list", []], ["set", [[1], "a"]]]
        variables = {"d": [0], "s": [2], "gone": [99], "nothing": [[1]]}
        told = restore_graph(python, session, variables, nodes)
        fates = {name: each["fate"] for name, each in told.items()}
        assert fates == {"d": "partial", "s": "partial", "gone": "lost", "nothing": "lost"}
        assert "unhashable" in told["s"]["reason"]
        assert value(python, session, "d, s") == "({'b': 2}, {'a'})"

    @pytest.mark.parametrize("items", [[1, True], [True, 1], [0, False], ["a", [1]]])
    def test_elements_that_only_python_finds_equal_are_told_as_lost(
        self, python: ImageClient, session: str, items: list[Any]
    ) -> None:
        nodes = [["set", items], ["symbol", "a"], ["list", [[0], 7]]]
        told = restore_graph(python, session, {"s": [0], "l": [2]}, nodes)
        assert {each["fate"] for each in told.values()} == {"partial"}
        assert "an element is lost" in told["s"]["reason"]
        first = value(python, session, "next(iter(s)), len(s)")
        assert first == f"({items[0]!r}, 1)"

    def test_entries_whose_keys_only_python_finds_equal_are_told_as_lost(
        self, python: ImageClient, session: str
    ) -> None:
        nodes = [["dictionary", [[1, "one"], [True, "yes"], [2, "two"], [2.0, "2"]]]]
        told = restore_graph(python, session, {"d": [0]}, nodes)["d"]
        assert (told["fate"], value(python, session, "d")) == ("partial", "{1: 'one', 2: 'two'}")
        assert "the entry at a key is lost, True: an earlier one is equal" in told["reason"]

    def test_numbers_that_are_none_stay_as_many_as_they_are(
        self, python: ImageClient, session: str
    ) -> None:
        nodes = [["set", [[1], [2]]], ["float", "nan"], ["float", "nan"]]
        told = restore_graph(python, session, {"s": [0]}, nodes)["s"]
        assert (told["fate"], value(python, session, "s")) == ("restored", "{nan, nan}")

    def test_a_key_without_a_hash_loses_its_entry_and_says_why(
        self, python: ImageClient, session: str
    ) -> None:
        nodes = [["dictionary", [[[1], 1], ["b", 2]]], ["list", [3]]]
        told = restore_graph(python, session, {"d": [0]}, nodes)["d"]
        assert (told["fate"], value(python, session, "d")) == ("partial", "{'b': 2}")
        assert told["reason"] == (
            "the entry at a key is lost, [3]: it has no hash here"
            " (TypeError: unhashable type: 'list')"
        )

    def test_points_are_keys_and_go_out_as_points(self, python: ImageClient, session: str) -> None:
        nodes = [
            ["dictionary", [[[1], "here"], [[2], "there"]]],
            *(["point", 1, 2], ["point", [1], 2], ["set", [[1], [2]]]),
        ]
        told = restore_graph(python, session, {"d": [0], "p": [1], "s": [3]}, nodes)
        assert {each["fate"] for each in told.values()} == {"restored"}
        assert value(python, session, "d[p], p in s, p.x, len(s)") == "('here', True, 1, 2)"
        taken = take(python, session, format=COMMON)
        graph = json.loads(zlib.decompress(base64.b64decode(taken["data"])))
        assert ["point", 1, 2] in graph["nodes"]
        for snapshot in (taken, take(python, session, format=OWN)):
            told = put(python, session, snapshot)
            assert {each["fate"] for each in told.values()} == {"restored"}
            assert value(python, session, "d[p]") == "'here'"

    def test_an_exception_of_a_class_that_is_missing_keeps_what_it_had(
        self, python: ImageClient, session: str
    ) -> None:
        slots = {"cause": [1], "args": 5, "signaled": True}
        nodes = [["exception", "Oops", "no", slots], ["list", [1]]]
        told = restore_graph(python, session, {"e": [0]}, nodes)["e"]
        assert told["fate"] == "partial"
        assert "becomes an Exception" in told["reason"]
        assert value(python, session, "e, e.cause, e.signaled") == "(Exception('no'), [1], True)"

    def test_a_class_of_the_session_takes_the_instances_that_fit(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(
            session,
            "class Point:\n    __slots__ = ('x', 'y')\n"
            "class Key:\n    def __hash__(self): return self.number\n",
        )
        nodes = [
            ["instance", "Point", {"x": 1, "y": [0]}],
            ["instance", "Point", {"x": 1, "z": 2}],
            ["dictionary", [[[3], "found"]]],
            ["instance", "Key", {"number": 5}],
        ]
        told = restore_graph(python, session, {"p": [0], "q": [1], "d": [2], "k": [3]}, nodes)
        fates = {name: each["fate"] for name, each in told.items()}
        assert fates == {"p": "restored", "q": "partial", "d": "restored", "k": "restored"}
        assert value(python, session, "p.y is p, q.x, d[k]") == "(True, 1, 'found')"


def test_the_common_format_holds_what_the_dialects_share(python: ImageClient, session: str) -> None:
    python.evaluate(
        session,
        "import datetime, fractions\nfrom collections import Counter\n"
        "class P:\n    def __init__(self): self.me = self\np = P()\n"
        "big, tiny, nan, data = 2**60, -0.0, float('nan'), b'ab'\n"
        "when, span = datetime.datetime(2024, 1, 2, 3, 4, 5, 6), datetime.timedelta(days=-1)\n"
        "half, some, none = fractions.Fraction(1, 2), range(0, 10, 3), range(5, 5)\n"
        "error, several, letters = KeyError('k', 1), {1, 2}, Counter('aab')\n"
        "odd = '\\ud800'; f = lambda: 1; huge = 10**5000",
    )
    snapshot = take(python, session, format=COMMON)
    graph = json.loads(zlib.decompress(base64.b64decode(snapshot["data"])))
    assert graph["dialect"] == "Python"
    kinds = {name: graph["nodes"][index][0] for name, (index,) in graph["variables"].items()}
    lost = {name for name, kind in kinds.items() if kind == "lost"}
    assert lost == {"datetime", "fractions", "odd", "f", "huge"}
    told = put(python, session, snapshot)
    assert {name for name, each in told.items() if each["fate"] == "lost"} == lost
    assert (
        "becomes a dictionary"
        in {each["name"]: each.get("reason", "") for each in snapshot["variables"]}["letters"]
    )
    assert value(python, session, "big, tiny, nan, data, half, list(some), list(none)") == (
        "(1152921504606846976, -0.0, nan, b'ab', Fraction(1, 2), [0, 3, 6, 9], [])"
    )
    assert value(python, session, "p.me is p, error, several, letters, when.microsecond, span") == (
        "(True, KeyError('k', 1), {1, 2}, {'a': 2, 'b': 1}, 6, datetime.timedelta(days=-1))"
    )
