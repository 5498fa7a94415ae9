"""Exceptions in a Python image's snapshots: what they follow, and how odd they may be."""

from collections.abc import Mapping

import pytest

from tests.tools.images.image_client import ImageClient, fresh_name
from tests.tools.images.snapshot_client import put, take, value, variables_of

FOLLOWING = """
def caught(raising):
    try:
        raising()
    except BaseException as error:
        return error
def chain():
    try:
        try:
            1 / 0
        except ZeroDivisionError as error:
            raise ValueError('a', shared) from error
    except ValueError:
        raise KeyError('k')
def suppressed():
    try:
        1 / 0
    except ZeroDivisionError:
        raise ValueError from None
def unwrapped():
    try:
        raise ExceptionGroup('g', [KeyError('k'), OSError(2, 'no')])
    except ExceptionGroup as group:
        raise group.exceptions[0]
shared = []
last, quiet, first = caught(chain), caught(suppressed), caught(unwrapped)
last.add_note('a note')
last.more, group = shared, first.__context__
cycle = KeyError('a')
cycle.__cause__ = other = RuntimeError(cycle)
other.__context__ = cycle
plain = ValueError('plain')
"""
ODD = """
class Odd(Exception):
    def __init__(self, code, more):
        super().__init__(code)
        self.more = more
class New(ValueError):
    def __new__(cls, code, more):
        return super().__new__(cls, code)
    def __init__(self, code, more):
        super().__init__(code)
class Stateful(Exception):
    def __reduce__(self):
        return Stateful, (), self.state
    def __setstate__(self, state):
        self.state = state
class Errors(ExceptionGroup):
    def __new__(cls, errors, code):
        made = super().__new__(cls, f'{code}', errors)
        made.code = code
        return made
odd, new, stateful = Odd(1, 2), New(1, 2), Stateful()
odd.__cause__, new.__cause__, stateful.__context__ = new, stateful, odd
errors = Errors([odd, new], 5)
new.__context__, stateful.state = errors, ['state']
"""


@pytest.mark.parametrize("is_careful", [False, True])
@pytest.mark.parametrize(
    ("code", "checks"),
    [
        (
            FOLLOWING,
            {
                "last, last.__cause__, last.__suppress_context__": "(KeyError('k'), None, False)",
                "last.__notes__, last.more is shared": "(['a note'], True)",
                "last.__context__.args[1] is shared, last.__context__.__suppress_context__": (
                    "(True, True)"
                ),
                "last.__context__.__cause__, last.__context__.__context__": (
                    "(ZeroDivisionError('division by zero'), ZeroDivisionError('division by zero'))"
                ),
                "last.__context__.__cause__ is last.__context__.__context__": "True",
                "quiet.__context__, quiet.__cause__, quiet.__suppress_context__": (
                    "(ZeroDivisionError('division by zero'), None, True)"
                ),
                "group.exceptions[0] is first, first.__context__ is group": "(True, True)",
                "group.args[1][0] is first, type(group.args[1]) is list": "(True, True)",
                "group.exceptions[1].errno": "2",
                "cycle.__cause__ is other, other.__context__ is cycle, other.args[0] is cycle": (
                    "(True, True, True)"
                ),
                "plain, plain.__cause__, plain.__context__": "(ValueError('plain'), None, None)",
            },
        ),
        (
            ODD,
            {
                "type(odd) is Odd, odd.args, odd.more, odd.__cause__ is new": (
                    "(True, (1,), 2, True)"
                ),
                "type(new) is New, new.args, new.__cause__ is stateful": "(True, (1,), True)",
                "stateful.state, stateful.__context__ is odd": "(['state'], True)",
                "errors.exceptions[0] is odd, errors.exceptions[1] is new": "(True, True)",
                "errors.code, new.__context__ is errors": "(5, True)",
            },
        ),
    ],
    ids=["following", "odd"],
)
def test_exceptions_come_back_with_what_they_follow(
    python: ImageClient, session: str, code: str, checks: Mapping[str, str], is_careful: bool
) -> None:
    python.evaluate(session, code + ("\nopened = open('/dev/null')" if is_careful else ""))
    for check, printed in checks.items():
        assert value(python, session, check) == printed
    snapshot = take(python, session)
    other = fresh_name("other")
    told = put(python, other, snapshot)
    assert {each["fate"] for name, each in told.items() if name != "opened"} == {"restored"}
    for check, printed in checks.items():
        assert value(python, other, check) == printed


def test_a_cause_that_cannot_be_kept_is_said_to_be_missing(
    python: ImageClient, session: str
) -> None:
    python.evaluate(
        session,
        "class Torn(Exception):\n    def __reduce__(self): raise ValueError('torn')\n"
        "error, kept = ValueError(1), [1]\nerror.__cause__, error.more = Torn(), kept",
    )
    snapshot = take(python, session)
    said = variables_of(snapshot)
    assert {name for name, each in said.items() if not each["restorable"]} == {"error"}
    assert "torn" in said["error"]["reason"]
    told = put(python, session, snapshot)
    assert told["error"]["fate"] == "partial"
    assert "torn" in told["error"]["reason"]
    assert value(python, session, "error, error.__cause__, error.more is kept") == (
        "(ValueError(1), None, True)"
    )


def test_an_exception_that_nothing_makes_again_costs_no_other_variable(
    python: ImageClient, session: str
) -> None:
    python.evaluate(
        session,
        "class Group(ExceptionGroup):\n"
        "    def __new__(cls, code, more): return super().__new__(cls, code, [ValueError()])\n"
        "group, kept = Group('a', 2), [1]\ngroup.args = ('a',)",
    )
    told = put(python, session, take(python, session))
    assert (told["group"]["fate"], told["kept"]["fate"]) == ("lost", "restored")


def test_twenty_thousand_exceptions_that_follow_each_other_come_back(
    python: ImageClient, session: str
) -> None:
    python.evaluate(
        session,
        "error = None\nfor n in range(20_000):\n"
        "    newer = ValueError(n)\n    newer.__context__ = error\n    error = newer\ndel newer",
    )
    snapshot = take(python, session)
    put(python, session, snapshot)
    count = "n, each = 0, error\nwhile each: n, each = n + 1, each.__context__\nn"
    assert value(python, session, count) == "20000"
