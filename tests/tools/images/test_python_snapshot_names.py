"""What pickle takes by a name that only a workspace has, in a Python image's snapshots."""

from collections.abc import Mapping

import pytest

from tests.tools.images.image_client import ImageClient, fresh_name
from tests.tools.images.snapshot_client import put, take, value, variables_of

CACHED = """
import functools
calls = []
@functools.lru_cache(maxsize=3, typed=True)
def memo(x):
    '''Twice.'''
    calls.append(x)
    return x * 2
memo(4)
memo.note = [calls]
table = {'f': memo}
class Thing:
    @functools.cache
    def method(self):
        return 5
    @functools.cached_property
    def once(self):
        return []
thing, unbound = Thing(), Thing.method
def outer(limit):
    @functools.cache
    def fib(n):
        return n if n < limit else fib(n - 1) + fib(n - 2)
    return fib
fib = outer(2)
def attached(): pass
attached.cached = functools.cache(attached)
lasting = functools.cache(len)
"""

TYPING = """
import typing
Id = typing.NewType('Id', int)
T = typing.TypeVar('T', bound=Id)
P = typing.ParamSpec('P', bound=Id)
Ts = typing.TypeVarTuple('Ts')
ids = [Id, P, T, Ts]
otherwise = typing.NewType('Something', Id)
"""

NAMED = """
import copyreg, os
class Missing:
    def __reduce__(self): return 'MISSING'
class Slotted:
    __slots__ = ('a',)
    def __reduce_ex__(self, protocol): return 'ANYTHING'
class Registered: pass
copyreg.pickle(Registered, lambda it: 'REGISTERED')
MISSING, slotted, REGISTERED = Missing(), Slotted(), Registered()
MISSING.me, slotted.a = MISSING, [MISSING]
Missing.only = MISSING
same = {'missing': MISSING, 'registered': REGISTERED}
"""

DATA = """
import dataclasses
@dataclasses.dataclass
class Base:
    needed: int
    given: int = 2
"""


def restored(
    python: ImageClient, session: str, code: str, *, is_careful: bool = False
) -> tuple[str, Mapping[str, str]]:
    """A session with what was made of the code's snapshot, and the fates of the variables."""
    other = fresh_name("other")
    python.evaluate(session, code + ("\nopened = open('/dev/null')" if is_careful else ""))
    snapshot = take(python, session)
    said = variables_of(snapshot)
    assert {name for name, each in said.items() if not each["restorable"]} <= {"opened"}
    python.do("close_workspace", session=session)
    told = put(python, other, snapshot)
    return other, {name: each["fate"] for name, each in told.items() if name != "opened"}


@pytest.mark.parametrize("is_careful", [False, True])
@pytest.mark.parametrize(
    ("code", "checks"),
    [
        (
            CACHED,
            {
                "memo.cache_info(), memo.cache_parameters()": (
                    "(CacheInfo(hits=0, misses=0, maxsize=3, currsize=0), "
                    "{'maxsize': 3, 'typed': True})"
                ),
                "memo(4), memo(4), calls, memo.cache_info().hits": "(8, 8, [4, 4], 1)",
                "table['f'] is memo, memo.note[0] is calls, memo.__doc__": "(True, True, 'Twice.')",
                "memo.__module__ == memo.__wrapped__.__module__ == __name__": "True",
                "thing.method(), unbound(thing), Thing.method is unbound": "(5, 5, True)",
                "thing.once is thing.once, Thing().once": "(True, [])",
                "fib(30), fib.__wrapped__.__closure__[0].cell_contents is fib": "(832040, True)",
                "attached.cached.__wrapped__ is attached": "True",
                "lasting('abc')": "3",
            },
        ),
        (
            TYPING,
            {
                "Id.__module__ == P.__module__ == __name__, Id(3), Id.__name__": "(True, 3, 'Id')",
                "ids[0] is Id is T.__bound__ is P.__bound__ is otherwise.__supertype__": "True",
                "ids[1] is P, ids[2] is T, ids[3] is Ts": "(True, True, True)",
                "otherwise.__name__, P.__name__": "('Something', 'P')",
            },
        ),
        (
            NAMED,
            {
                "MISSING.me is MISSING is same['missing'] is Missing.only": "True",
                "slotted.a[0] is MISSING, same['registered'] is REGISTERED": "(True, True)",
                "type(REGISTERED) is Registered": "True",
            },
        ),
        (
            DATA,
            {
                "dataclasses.fields(Base)[0].default is dataclasses.MISSING": "True",
                "[each.default for each in dataclasses.fields(Base)][1]": "2",
            },
        ),
    ],
    ids=["cached", "typing", "named", "dataclass"],
)
def test_what_goes_by_a_name_of_the_workspace_comes_back_by_value(
    python: ImageClient, session: str, code: str, checks: Mapping[str, str], is_careful: bool
) -> None:
    other, fates = restored(python, session, code, is_careful=is_careful)
    assert set(fates.values()) == {"restored"}
    for check, printed in checks.items():
        assert value(python, other, check) == printed
    # What was made once is kept a second time.
    again, fates = restored(python, other, "")
    assert set(fates.values()) == {"restored"}
    for check in checks:
        python.evaluate(again, check)


def test_what_a_module_has_by_a_name_stays_that(python: ImageClient, session: str) -> None:
    code = (
        "import fnmatch, logging, typing\n"
        "kept = [typing.AnyStr, logging.root, fnmatch._compile_pattern, typing.Optional]"
    )
    other, _ = restored(python, session, code)
    assert value(python, other, "kept[0] is typing.AnyStr, kept[1] is logging.root") == (
        "(True, True)"
    )
    assert value(
        python, other, "kept[2] is fnmatch._compile_pattern, kept[3] is typing.Optional"
    ) == ("(True, True)")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("class L(list):\n    def __reduce__(self): return 'lost'\nlost = L()", "its name lost"),
        ("class E(Exception):\n    def __reduce__(self): return 'e'\nlost = E()", "its name e"),
        (
            "import functools as it\ndef f(): pass\nlost = it.update_wrapper(it.cache(len), f)",
            "its __wrapped__",
        ),
    ],
)
def test_what_can_come_back_neither_by_its_name_nor_by_value_is_said_not_to(
    python: ImageClient, session: str, code: str, reason: str
) -> None:
    python.evaluate(session, f"{code}\nholder = {{'it': lost, 'kept': [1]}}")
    snapshot = take(python, session)
    said = variables_of(snapshot)
    assert {name for name, each in said.items() if not each["restorable"]} == {"lost", "holder"}
    assert reason in said["lost"]["reason"]
    assert reason in said["holder"]["reason"]
    told = put(python, session, snapshot)
    assert (told["lost"]["fate"], told["holder"]["fate"]) == ("lost", "partial")
    assert value(python, session, "holder['kept']") == "[1]"
