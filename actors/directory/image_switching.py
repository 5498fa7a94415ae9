"""`switch_image_context`: asks the sessions that are to move, and tells what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import UNSET

from actors.address import Ref
from actors.directory.gathering import Gathered, Gatherings
from actors.directory.live_sessions import Live
from actors.messages import ClientRequest, Outcome, Switched, SwitchImage
from protocol.errors import SessionRestarted
from protocol.ids import ImageId, SessionId
from protocol.replies import ImageContextSwitched, SwitchedSession
from protocol.requests import SwitchImageContext

Finish = Callable[[ClientRequest, Outcome], None]


class ImageSwitching:
    """Moves sessions for the SessionDirectory, in its thread."""

    def __init__(self, owner: Ref, answer: Finish) -> None:
        self._owner, self._answer = owner, answer
        self._gatherings: Gatherings[Switched] = Gatherings()

    def begin(
        self,
        message: ClientRequest,
        request: SwitchImageContext,
        from_image_id: ImageId | None,
        to_image_id: ImageId,
        whom: Iterable[Live],
    ) -> None:
        """Ask sessions to move: the one that the request names, or those of its connection."""
        connection = message.connection if request.session_id is None else None

        def question(number: int) -> SwitchImage:
            return SwitchImage(
                reply_to=self._owner,
                tag=number,
                message=message,
                connection=connection,
                from_image_id=from_image_id,
                to_image_id=to_image_id,
                preserve_context=request.preserve_context,
            )

        def done(gathered: Gathered[Switched]) -> None:
            self._answer(message, _outcome(gathered, request, to_image_id))

        self._gatherings.begin(whom, question, done)

    def switched(self, message: Switched) -> None:
        """A session has answered."""
        self._gatherings.answered(message.tag, message.ref.actor_urn, message)

    def ended(self, urn: str) -> None:
        """A session's actor has ended."""
        self._gatherings.ended(urn)


def _outcome(gathered: Gathered[Switched], request: SwitchImageContext, to: ImageId) -> Outcome:
    """What became of the sessions that the request meant, and of no others.

    Of those whose actors ended it is not known whether they were meant: without a name in the
    request only those are told that belong to a client whose other sessions were.
    """
    meant = [
        (live, answer)
        for live, answer in gathered.answered
        if answer.report is not None or answer.error is not None
    ]
    named = request.session_id is not None
    clients = {live.client_id for live, _ in meant}
    ended = [live.session_id for live in gathered.ended if named or live.client_id in clients]
    if gathered.ended and not meant:
        return SessionRestarted("A session's actor ended while it was asked to move; ask again.")
    sessions = [_switched(live.session_id, answer, to) for live, answer in meant]
    sessions.extend(
        SwitchedSession(
            session_id=session_id,
            image_id=to,
            error="The session's actor ended while it was asked to move; ask again.",
        )
        for session_id in ended
    )
    return ImageContextSwitched(sessions=sessions)


def _switched(session_id: SessionId, answer: Switched, to: ImageId) -> SwitchedSession:
    return SwitchedSession(
        session_id=session_id,
        image_id=to,
        restore_report=UNSET if answer.report is None else answer.report,
        error=UNSET if answer.error is None else answer.error.message,
    )
