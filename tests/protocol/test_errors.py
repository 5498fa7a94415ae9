"""Every error knows its code, survives a process border and shows values shortly."""

from __future__ import annotations

import pickle

import pytest

from protocol import errors
from protocol.errors import BY_CODE, EvaluationError, StuiError, excerpt

ENVELOPE_CODES = {
    "InvalidRequest",
    "EvaluationError",
    "ObjectNotFound",
    "ClassNotFound",
    "MethodNotFound",
    "PermissionDenied",
    "Timeout",
    "InternalError",
    "UnsupportedOperation",
}
FAMILIES = {errors.StuiError, errors.InvalidRequest, errors.SessionError, errors.ImageError}
CLASSES = {
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, StuiError) and kind not in FAMILIES
}


def test_each_error_has_a_code_of_its_own_and_is_found_by_it() -> None:
    assert {kind.error_code: kind for kind in CLASSES} == dict(BY_CODE)
    assert len(BY_CODE) == len(CLASSES) >= 30


@pytest.mark.parametrize(("code", "kind"), BY_CODE.items())
def test_each_error_has_a_type_and_code_that_clients_know(code: str, kind: type[StuiError]) -> None:
    assert kind.error_type in {"SessionNotFound", "SessionError", "RuntimeError", "Error"}
    assert kind.envelope_code in ENVELOPE_CODES
    assert kind.__doc__


@pytest.mark.parametrize("kind", sorted(CLASSES, key=repr))
def test_an_error_crosses_a_process_border_with_its_details(kind: type[StuiError]) -> None:
    error = kind("what was wrong", stack=["a", "b"], position=7)

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # of our own making

    assert type(copy) is kind
    assert (copy.message, copy.details) == (error.message, error.details)
    assert str(copy) == "what was wrong"


def test_details_may_be_named_as_an_image_likes() -> None:
    details = {"class": "ZeroDivide", "message": "division by zero", "self": "3", "stack": []}

    assert EvaluationError("ZeroDivide: division by zero", **details).details == details


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x", "'x'"),
        ("it's", '"it\'s"'),
        ("a\nb\0", "'a\\nb\\x00'"),
        ("\ud800", "'\\ud800'"),
        (b"\xff", "b'\\xff'"),
        ([1, None], "[1, None]"),
    ],
)
def test_an_excerpt_is_printable(value: object, shown: str) -> None:
    assert excerpt(value) == shown


@pytest.mark.parametrize(
    "value", ["x" * 10**7, b"x" * 10**7, list(range(10**5)), {"a": "b" * 1000}, 10**200]
)
def test_an_excerpt_is_short_and_shows_that_more_follows(value: object) -> None:
    assert len(excerpt(value)) == 80
    assert excerpt(value).endswith("…")


def test_an_excerpt_of_what_python_will_not_print_says_so() -> None:
    assert excerpt(10**5000) == "<int too long to print>"
