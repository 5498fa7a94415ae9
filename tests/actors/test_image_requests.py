"""How evaluations without a session are named to the image."""

from __future__ import annotations

from actors.address import Address
from actors.images.image_requests import without_session
from actors.messages import ClientRequest
from protocol.requests import Evaluate

UNIQUE = "0c9d7c52-55a8-4a0c-8f0e-0d1f1a6c2f11"


def _name(code: str, connection: str = "one", unique_id: str | None = UNIQUE) -> str:
    request = Evaluate(code=code)
    message = ClientRequest(1, connection, unique_id, request)
    name = without_session(message, request, Address("gateway")).request
    assert name is not None
    return name


def test_the_same_request_is_known_again_over_another_connection() -> None:
    assert _name("1 + 1") == _name("1 + 1", connection="two")


def test_another_request_with_the_same_id_is_not_taken_for_the_first() -> None:
    assert _name("1 + 1") != _name("1 + 2")


def test_requests_without_a_unique_id_are_never_taken_for_one_another() -> None:
    assert _name("1 + 1", unique_id=None) != _name("1 + 1", unique_id=None)


def test_a_name_is_short_however_long_the_id_is() -> None:
    assert len(_name("1", unique_id="x" * 1024)) < 100
