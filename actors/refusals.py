"""The refusals that several actors give, each worded once."""

from __future__ import annotations

from protocol.errors import (
    ClientNotAllowed,
    InvalidParameter,
    OutcomeUnknown,
    SessionDamaged,
    SessionNotFound,
    StorageUnavailable,
    StuiError,
    excerpt,
)
from protocol.ids import ClientId, SessionId
from storage.store import Damaged, StoreError


def no_session(session_id: SessionId) -> SessionNotFound:
    """For a session that is not there, or not this client's: one answer for both."""
    return SessionNotFound(f"There is no session {excerpt(session_id)}.")


def damaged(session_id: SessionId, damage: StoreError) -> SessionDamaged:
    """For a session that cannot be read back."""
    return SessionDamaged(f"The session {excerpt(session_id)} cannot be read: {_clause(damage)}.")


def not_served(client_id: ClientId) -> ClientNotAllowed:
    """For a client that the lists of allowed and denied clients exclude."""
    return ClientNotAllowed(f"The client {client_id} is not served here.")


def no_evaluation(number: int, last: int) -> InvalidParameter:
    """For an evaluation that a session does not have, or does not have any more."""
    if 1 <= number <= last:
        return InvalidParameter(
            f"The session has evaluation {number} no longer: it has had {last}, and the oldest are "
            "forgotten."
        )
    return InvalidParameter(f"The session has no evaluation {number}; it has 1 to {last}.")


def forgotten(number: int) -> OutcomeUnknown:
    """For a request that comes again after its evaluation has left the history."""
    return OutcomeUnknown(
        f"The code was taken on as evaluation {number}, which is forgotten: the history keeps the "
        "newest ones. It is not run again.",
        evaluation=number,
    )


def as_error(session_id: SessionId | None, problem: StuiError | StoreError) -> StuiError:
    """What a client is told of a failure while something was read or done, for a session if any."""
    match problem:
        case StuiError():
            return problem
        case Damaged() if session_id is not None:
            return damaged(session_id, problem)
        case _:
            return unreadable(problem)


def unreadable(problem: StoreError) -> StorageUnavailable:
    """For what the store cannot tell now."""
    return StorageUnavailable(f"The store cannot be read: {_clause(problem)}.")


def _clause(problem: StoreError) -> str:
    """What is wrong, without the full stop that some say it with."""
    return str(problem).removesuffix(".")
