"""What the contents of a session become: a new session of a client, or the same one once more."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from protocol.errors import OutcomeUnknown
from protocol.ids import ClientId, SessionId
from protocol.requests import JsonText
from storage.document import Change, Context, Evaluation, RememberedReply, StoredSection
from storage.missing_evaluations import without_gaps
from storage.store import SessionContents
from storage.workspaces import as_of_its_snapshot, in_no_image


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who a session made of another's contents is. `at` is wall-clock, `now` running time."""

    session_id: SessionId
    client_id: ClientId
    name: str | None
    at: float
    now: float


def as_new_session(
    contents: SessionContents, newcomer: Newcomer, reply: RememberedReply | None
) -> Change:
    """The change that creates a session with all that CONTENTS hold.

    No image holds its workspace yet: it is brought back from the snapshot before it is used.
    """
    contents = in_no_image(contents)
    head = msgspec.structs.replace(
        contents.head,
        session_id=newcomer.session_id,
        client_id=newcomer.client_id,
        name=newcomer.name or contents.head.name,
        created_at=newcomer.at,
        last_modified=newcomer.at,
        state="open",
        used_at=newcomer.now,
        ended_at=None,
        ended_reason="",
        section_bytes=_sizes(contents.sections),
    )
    return Change(
        head=head,
        sections=contents.sections,
        history=_history(contents),
        contexts=_kept_from_now(contents.contexts, newcomer.now),
        reply=reply,
    )


def as_same_session(contents: SessionContents, now: float) -> Change:
    """The change that creates the session of CONTENTS where it is not known; NOW is running time.

    It keeps its id, its client and its state; its ages begin anew, by this service's own time.
    """
    contents = as_of_its_snapshot(contents)
    head = msgspec.structs.replace(
        contents.head,
        used_at=now,
        ended_at=None if contents.head.state == "open" else now,
        section_bytes=_sizes(contents.sections),
    )
    return Change(
        head=head,
        sections=contents.sections,
        history=_history(contents),
        contexts=_kept_from_now(contents.contexts, now),
        follows=contents.number,
    )


def _kept_from_now(contexts: list[Context], now: float) -> list[Context]:
    """Contexts whose ages begin anew: the running time of where they were means nothing here."""
    return [
        msgspec.structs.replace(context, head=msgspec.structs.replace(context.head, kept_since=now))
        for context in contexts
    ]


def _sizes(sections: dict[StoredSection, JsonText]) -> dict[StoredSection, int]:
    return {name: len(text) for name, text in sections.items()}


def _history(contents: SessionContents) -> list[Evaluation]:
    """The history without gaps, and without anything that runs: nobody will hear how that ended."""
    return [
        msgspec.structs.replace(
            evaluation,
            state="unknown",
            deadline=None,
            error_code=OutcomeUnknown.error_code,
            error="It was running when this copy of the session was made.",
        )
        if evaluation.state == "running"
        else evaluation
        for evaluation in without_gaps(contents)
    ]
