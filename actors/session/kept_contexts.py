"""Keeping a moment of a session under a number, so that no more are kept than may be."""

from __future__ import annotations

import msgspec

from actors.session.session_contexts import Moment, context_saved
from actors.session.session_state import SessionState, Step
from actors.session.workspace_job import Workplace
from protocol.replies import ContextKind
from storage.context_choice import surplus
from storage.document import Context


def context_kept(
    place: Workplace,
    state: SessionState,
    latest: Context | None,
    kind: ContextKind,
    label: str = "",
) -> Step:
    """STATE with a context of this moment, and without those that are one too many then.

    It has the workspace of the LATEST snapshot. Raises `StoreError`.
    """
    clocks = place.services.clocks
    at = Moment(clocks.wall(), clocks.running_time())
    step = context_saved(state, latest, kind, label, at)
    settings = place.services.settings.current
    heads = place.services.reader().context_heads(place.session_id)
    made = [context.head for context in step.change.contexts]
    dropped = surplus(
        [*heads, *made], settings.contexts_kept, at.running - settings.context_retention
    )
    if not dropped:
        return step
    return Step(step.after, msgspec.structs.replace(step.change, dropped_contexts=dropped))
