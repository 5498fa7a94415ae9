"""What a snapshot of a Python workspace holds, and what a restore makes of it."""

import importlib.util

import pytest

from tests.tools.images.image_client import ImageClient, fresh_name
from tests.tools.images.snapshot_client import COMMON, OWN, put, take, value, variables_of
from tools.images.python_image.snapshots.payload import seal, unseal

CLASSES = """
import math
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple
factor = 3
class Shape:
    '''Has an area.'''
    count = 0
    def __init__(self, size):
        self.size = size
    @property
    def area(self):
        return self.size * factor
    def name(self):
        return 'shape'
class Square(Shape):
    def name(self):
        return 'square ' + super().name()
class Slotted:
    __slots__ = ('x', '__hidden')
    def __init__(self):
        self.x, self.__hidden = 1, 2
    def hidden(self):
        return self.__hidden
@dataclass(slots=True)
class Record:
    shape: Shape
    tags: list = field(default_factory=list)
class Colour(Enum):
    RED = 1
class Outer:
    class Inner:
        pass
class Pair(NamedTuple):
    left: int
    right: int = 2
class Oops(Exception):
    def __init__(self, code, more):
        super().__init__(code)
        self.more = more
class Key:
    def __init__(self, name):
        self.name, self.own = name, {}
    def __hash__(self):
        return hash(self.name)
    def __eq__(self, other):
        return self.name == other.name
square, slotted = Square(4), Slotted()
record, colour, inner = Record(square, ['a']), Colour.RED, Outer.Inner()
pair, oops, key = Pair(1), Oops(3, 4), Key('k')
key.own[key] = 1
"""


@pytest.fixture
def other() -> str:
    return fresh_name("other")


def carry_over(client: ImageClient, session: str, other: str, code: str, **more: object) -> None:
    """Run the code in a session, and restore a snapshot of that in another."""
    client.evaluate(session, code)
    put(client, other, take(client, session, **more))


@pytest.mark.parametrize("snapshot_format", [OWN, COMMON])
class TestIdentity:
    def test_what_two_variables_share_they_share_again(
        self, python: ImageClient, session: str, other: str, snapshot_format: str
    ) -> None:
        code = "a = [1]; b = {'a': a}; c = (a, b)"
        carry_over(python, session, other, code, format=snapshot_format)
        assert value(python, other, "b['a'] is a, c[0] is a, c[1] is b, a") == (
            "(True, True, True, [1])"
        )

    def test_what_contains_itself_does_so_again(
        self, python: ImageClient, session: str, other: str, snapshot_format: str
    ) -> None:
        code = "a = [0]; a.append(a); b = {}; b['b'] = b; c = []; d = (c,); c.append(d)"
        carry_over(python, session, other, code, format=snapshot_format)
        assert value(python, other, "a[1] is a, b['b'] is b, c[0] is d, d[0] is c") == (
            "(True, True, True, True)"
        )

    def test_an_object_with_an_id_is_that_of_the_variable(
        self, python: ImageClient, session: str, other: str, snapshot_format: str
    ) -> None:
        object_id = python.evaluate(session, "a = [1]\na")["object_id"]
        snapshot = take(python, session, format=snapshot_format)
        assert snapshot["objects"] == [{"object_id": object_id, "restorable": True}]
        put(python, other, snapshot)
        python.evaluate(other, "a.append(2)")
        shown = python.do("inspect", session=other, object_id=object_id)
        assert shown["object_info"]["string_representation"] == "[1, 2]"
        assert python.evaluate(other, "a")["object_id"] == object_id
        shown = python.do("inspect", session=session, object_id=object_id)
        assert shown["object_info"]["string_representation"] == "[1]"

    def test_a_hundred_thousand_levels_come_back(
        self, python: ImageClient, session: str, other: str, snapshot_format: str
    ) -> None:
        code = (
            "class Link:\n    def __init__(self, to): self.to = to\n"
            "chain, nested, pairs = None, [], ()\n"
            "for _ in range(100_000):\n"
            "    chain, nested, pairs = Link(chain), [nested], (pairs, 1)"
        )
        python.evaluate(session, code)
        snapshot = take(python, session, format=snapshot_format, most_seconds=30)
        assert all(each["restorable"] for each in snapshot["variables"])
        # The common format names classes; it does not hold them.
        target = session if snapshot_format == COMMON else other
        put(python, target, snapshot)
        count = (
            "def depth(it, get):\n    n = 0\n    while it:\n        it, n = get(it), n + 1\n"
            "    return n\n"
            "depth(chain, lambda it: it.to), depth(nested, lambda it: it[0]), "
            "depth(pairs, lambda it: it[0])"
        )
        assert value(python, target, count) == "(100000, 100000, 100000)"


class TestDefinitions:
    @pytest.fixture(autouse=True)
    def restored(self, python: ImageClient, session: str, other: str) -> None:
        python.evaluate(session, CLASSES)
        snapshot = take(python, session)
        assert all(each["restorable"] for each in snapshot["variables"])
        told = put(python, other, snapshot)
        assert {each["fate"] for each in told.values()} == {"restored"}

    @pytest.mark.parametrize(
        ("code", "printed"),
        [
            ("square.name(), square.area, type(square) is Square", "('square shape', 12, True)"),
            ("isinstance(square, Shape), Square.__mro__[1] is Shape", "(True, True)"),
            ("slotted.x, slotted.hidden(), hasattr(slotted, '__dict__')", "(1, 2, False)"),
            ("record.shape is square, Record(1) == Record(1)", "(True, True)"),
            ("hasattr(record, '__dict__'), record.tags", "(False, ['a'])"),
            ("pair, Pair(3, 4).right, pair.left", "(Pair(left=1, right=2), 4, 1)"),
            ("oops.args, oops.more, type(oops) is Oops", "((3,), 4, True)"),
            ("key in key.own, list(key.own)[0] is key", "(True, True)"),
            ("colour is Colour.RED, Colour(1) is colour", "(True, True)"),
            ("Outer.Inner.__qualname__, type(inner) is Outer.Inner", "('Outer.Inner', True)"),
            ("Shape.__doc__, math.floor(1.5)", "('Has an area.', 1)"),
            ("Shape.__module__ == Shape.name.__module__ == __name__", "True"),
            ("factor = 5\nsquare.area", "20"),
        ],
    )
    def test_classes_and_their_instances_work(
        self, python: ImageClient, other: str, code: str, printed: str
    ) -> None:
        assert value(python, other, code) == printed

    def test_the_session_it_was_taken_of_shares_nothing_with_them(
        self, python: ImageClient, session: str, other: str
    ) -> None:
        python.evaluate(other, "Shape.name = lambda self: 'changed'; factor = 7; Shape.count = 9")
        assert value(python, session, "square.name(), square.area, Shape.count") == (
            "('square shape', 12, 0)"
        )

    def test_a_method_still_shows_its_source(
        self, python: ImageClient, session: str, other: str
    ) -> None:
        python.do("close_workspace", session=session)
        method = python.do("get_method", class_name="Square", method_name="name")["method"]
        assert method["source"].startswith("def name(self):\n    return 'square '")


class TestFunctions:
    def test_they_see_the_globals_that_change_later(
        self, python: ImageClient, session: str, other: str
    ) -> None:
        code = "a = 1\ndef f(): return a, __name__\ng = lambda: f()[0] + 1\nh = [f]"
        carry_over(python, session, other, code)
        python.evaluate(other, "a = 10\nf = lambda: (100,)")
        assert value(python, other, "g(), h[0]() == (10, __name__)") == "(101, True)"

    def test_closures_keep_what_they_close_over_and_share_it(
        self, python: ImageClient, session: str, other: str
    ) -> None:
        code = (
            "def make():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n"
            "        return n\n    def see(): return n\n    return up, see\nup, see = make()\nup()"
        )
        carry_over(python, session, other, code)
        assert value(python, other, "up(), up(), see()") == "(2, 3, 3)"
        assert value(python, session, "see()") == "1"

    def test_what_makes_an_object_again_finds_the_modules_and_functions(
        self, python: ImageClient, session: str, other: str
    ) -> None:
        code = (
            "class Guarded:\n"
            "    def __init__(self): self.lock = threading.Lock()\n"
            "    def __getstate__(self): return {}\n"
            "    def __setstate__(self, state): self.lock = make_lock()\n"
            "guarded = [None]\ndef make_lock(): return threading.Lock()\nimport threading\n"
            "guarded[0] = Guarded()"
        )
        python.evaluate(session, code)
        told = put(python, other, take(python, session))
        assert told["guarded"]["fate"] == "restored"
        assert value(python, other, "guarded[0].lock.locked()") == "False"


class TestLosses:
    def test_one_thing_that_cannot_be_kept_never_costs_its_neighbours(
        self, python: ImageClient, session: str, other: str
    ) -> None:
        python.evaluate(
            session,
            "import socket, threading\n"
            "class Odd:\n    def __reduce__(self): raise ValueError('no')\n"
            "class Leaving:\n    def __reduce__(self): raise SystemExit\n"
            "class Deep:\n    def __getstate__(self): return self.__getstate__()\n"
            "opened = open('/dev/null')\n"
            "things = {'file': opened, 'lock': threading.Lock(), 'gen': (i for i in 'ab'),\n"
            "    'socket': socket.socket(), 'thread': threading.Thread(), 'odd': Odd(),\n"
            "    'leaving': Leaving(),\n"
            "    'deep': Deep(), 'kept': [1, 2]}\n"
            "same, plain, alias = [opened], 'abc', things['kept']\n"
            "text = f'{opened}'",
        )
        object_id = python.evaluate(session, "things['gen']")["object_id"]
        snapshot = take(python, session)
        said = variables_of(snapshot)
        restorable = {name for name, each in said.items() if each["restorable"]}
        assert set(said) - restorable == {"opened", "things", "same"}
        assert "TextIOWrapper" in said["same"]["reason"]
        assert "/dev/null" in said["same"]["reason"]
        assert snapshot["objects"][-1]["object_id"] == object_id
        assert snapshot["objects"][-1]["restorable"] is False

        told = put(python, other, snapshot)
        fates = {name: each["fate"] for name, each in told.items()}
        assert fates["opened"] == "lost"
        assert "opened" not in python.do("evaluate", session=other, code="dir()", request="dir")
        assert (fates["things"], fates["same"]) == ("partial", "partial")
        assert fates["plain"] == fates["alias"] == fates["Odd"] == "restored"
        assert value(python, other, "things['kept'] is alias, alias") == "(True, [1, 2])"
        assert value(python, other, "same[0] is things['file']") == "True"
        assert "an open file" in value(python, other, "same[0]")
        kinds = "sorted(type(each).__name__ for each in things.values())"
        assert value(python, other, kinds) == str([*["Lost"] * 8, "list"])
        error = python.fail("inspect", session=other, object_id=object_id)
        assert error.code == "object_not_found"

    @pytest.mark.parametrize(
        ("then", "now", "shown"),
        [
            ("__slots__ = ('a', 'b')", "__slots__ = ('a',)", "thing.a"),
            ("pass", "def __setstate__(self, state): raise ValueError", "thing.a"),
            ("pass", "def __new__(cls, needed): return object.__new__(cls)", "thing.a"),
        ],
    )
    def test_what_still_fits_a_class_of_another_shape_is_restored(
        self, python: ImageClient, session: str, then: str, now: str, shown: str
    ) -> None:
        module = fresh_name("shapes").replace("-", "_")
        define = (
            "import sys, types\n"
            f"def define(body):\n    module = types.ModuleType({module!r})\n"
            f"    sys.modules[{module!r}] = module\n"
            "    exec('class Thing:\\n    ' + body, module.__dict__)\n    return module\n"
        )
        python.evaluate(
            session,
            f"{define}Thing = define({then!r}).Thing\nthing = Thing()\n"
            "thing.a, thing.b, other = 1, 2, [thing]\ndel Thing",
        )
        snapshot = take(python, session)
        python.evaluate(session, f"define({now!r})")
        told = put(python, session, snapshot)
        assert told["thing"]["fate"] == told["other"]["fate"] == "partial"
        assert told["thing"]["reason"].startswith("Thing: ")
        assert value(python, session, f"{shown}, other[0] is thing") == "(1, True)"

    def test_an_object_whose_module_is_gone_is_lost_and_nothing_else_is(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(
            session,
            "import sys, types\nmodule = types.ModuleType('passing')\n"
            "sys.modules['passing'] = module\n"
            "exec('class Thing: pass', module.__dict__)\n"
            "thing = module.Thing(); both = [thing, 1]; del module",
        )
        snapshot = take(python, session)
        python.evaluate(session, "del sys.modules['passing']")
        told = put(python, session, snapshot)
        assert (told["thing"]["fate"], told["both"]["fate"]) == ("lost", "partial")
        assert "passing" in told["thing"]["reason"]
        assert value(python, session, "both[1]") == "1"


class TestPrintStrings:
    @pytest.mark.parametrize(
        ("code", "printed"),
        [
            ("x = [1]; x.append(x)", "[1, [...]]"),
            ("x = (1,), set(), {'a': ()}", "((1,), set(), {'a': ()})"),
            ("x = 10 ** 5000", "<int of 16610 bits>"),
            ("class O:\n    def __repr__(self): raise ValueError('no')\nx = O()", "a O (printing"),
        ],
    )
    def test_they_never_fail(
        self, python: ImageClient, session: str, code: str, printed: str
    ) -> None:
        python.evaluate(session, code)
        assert variables_of(take(python, session))["x"]["print_string"].startswith(printed)

    def test_they_are_short(self, python: ImageClient, session: str) -> None:
        python.evaluate(session, "x = [list(range(1000))] * 1000; y = 'a' * 10**6; z = {'k': y}")
        for each in take(python, session)["variables"]:
            assert len(each["print_string"]) < 230


def test_code_of_another_version_of_python_is_compiled_from_its_source(
    python: ImageClient, session: str
) -> None:
    version = importlib.util.MAGIC_NUMBER.hex().encode()
    python.evaluate(
        session,
        "class A:\n    def f(self): return [g(n) for n in range(2)]\na = A(); a.x = 5\n"
        "def make(n): return lambda: n\ng, h = make(1), make(2)\n"
        "exec('def sourceless(): return 1\\nclass B:\\n    def f(self): pass')\n"
        "b = B(); b.x = 6; g = lambda n: n + 1",
    )
    snapshot = take(python, session)
    contents = unseal(snapshot["data"])
    assert version in contents
    snapshot["data"] = seal(contents.replace(version, b"0" * len(version)))
    told = put(python, session, snapshot)
    fates = {name: each["fate"] for name, each in told.items() if each["fate"] != "restored"}
    assert fates == {"sourceless": "lost", "B": "partial", "b": "partial"}
    for name in fates:
        assert "another version of Python" in told[name]["reason"]
    assert value(python, session, "a.f(), h(), make(3)(), b.x, type(b) is B") == (
        "([1, 2], 2, 3, 6, True)"
    )
