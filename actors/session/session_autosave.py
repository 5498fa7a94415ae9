"""Keeps the last automatic snapshot of a session's workspace true.

A snapshot is asked for right behind an evaluation, so that it shows the workspace between that one
and the next. Who waits for the evaluation gets to know whether it was taken soon enough to be
stored together with the outcome; otherwise it is stored when it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog

from actors.images.image_table import ImageEntry
from actors.session.commit_log import Done, Failed
from actors.session.session_calls import connected
from actors.session.session_contexts import Moment, Snapshot, snapshot_taken
from actors.session.session_state import SessionState, Step
from actors.session.workspace_job import Alarm, Workplace
from protocol.errors import ImageFailed, SnapshotTooLarge, StuiError
from protocol.image_messages import SnapshotResult
from protocol.limits import SNAPSHOT_BYTES
from storage.failpoints import hit
from storage.store import Damaged, StoreError

log = structlog.get_logger(__name__)

_AGAIN_FIRST: Final = 0.5
_AGAIN_MOST: Final = 30.0
_GRACE: Final = 5.0
"""Seconds that the answer of an image may take beyond the time that it has for the snapshot."""

SNAPSHOT: Final = "snapshot_workspace"
ALARM: Final = "autosave"

Taken = Callable[[Snapshot | StuiError], None]


class Autosave:
    """The snapshots of one session; owned and run by its actor.

    At most one is under way. IDLE tells whether nothing else goes on in the session.
    """

    def __init__(self, place: Workplace, idle: Callable[[], bool]) -> None:
        self._place, self._idle = place, idle
        self._tag: str | None = None
        self._taken: Taken | None = None
        self._again = _AGAIN_FIRST
        self._alarm_is_set = False
        self._last_word: list[Callable[[], object]] = []
        self._is_last = False  # the one under way was asked for as the last word
        self._wanted = False  # something has changed since the one that is under way
        self._too_large_at = 0  # the evaluation after which it was
        self._good = ""  # the digest of a stored snapshot that can be read

    @property
    def is_behind(self) -> bool:
        """Whether something has been done whose effects are in no stored snapshot."""
        if self._wanted:
            return True
        head = self._place.log.latest.head
        saved = head.snapshot.evaluation if head.snapshot is not None else 0
        return saved < head.evaluations

    @property
    def _owes_one(self) -> bool:
        """Whether it is behind, and not because the workspace as it is now was too large."""
        return self.is_behind and self._too_large_at != self._place.log.latest.head.evaluations

    @property
    def under_way(self) -> bool:
        """Whether an image is taking a snapshot."""
        return self._tag is not None

    # --- asking

    def ask(
        self,
        image: ImageEntry,
        evaluation: int,
        taken: Taken | None = None,
        *,
        position: int | None = None,
    ) -> bool:
        """Have a snapshot taken that is as of an evaluation; whether the image was asked.

        It is not while another is under way: that one is let finish, else a session that evaluates
        all the time would never be saved. TAKEN is told the result, once; without it the result is
        stored. POSITION in the history is that of the session, if it is not given.
        """
        if not connected(image) or SNAPSHOT not in image.capabilities:
            return False
        if self._tag is not None:
            self._wanted = True
            return False
        head = self._place.log.latest.head
        settings = self._place.services.settings.current
        parameters: dict[str, Any] = {
            "most_bytes": SNAPSHOT_BYTES,
            "most_seconds": settings.snapshot_timeout,
        }
        if (known := self._known_digest()) is not None:
            parameters["unless"] = known
        about = Snapshot(
            image_id=image.image_id,
            epoch=image.epoch,
            dialect=image.dialect,
            evaluation=evaluation,
            position=head.history_position if position is None else position,
            result=SnapshotResult(digest=""),
        )
        hit("snapshot.ask.before")
        self._tag = self._place.calls.ask(
            image,
            SNAPSHOT,
            parameters,
            lambda outcome: self._answered(outcome, about),
            timeout=settings.snapshot_timeout + _GRACE,
        )
        hit("snapshot.ask.after")
        if self._tag is None:
            return False
        self._taken, self._wanted = taken, False
        return True

    def store_it(self) -> None:
        """Whoever asked waits no longer: store the result when it comes."""
        self._taken = None

    def forget(self) -> None:
        """What is under way is of no interest any more: the workspace is to be another."""
        self._place.calls.forget(self._tag)
        self._tag, self._taken = None, None
        self._end_last_word()

    def doubt(self) -> None:
        """The stored snapshot cannot be read: it is no reason to take none."""
        self._good = ""

    def _known_digest(self) -> str | None:
        """The digest of the stored snapshot, once it is known that it can be read."""
        mark = self._place.log.latest.head.snapshot
        if mark is None:
            return None
        if self._good != mark.digest and self._can_be_read(mark.slot):
            self._good = mark.digest
        return mark.digest if self._good == mark.digest else None

    def _can_be_read(self, slot: int) -> bool:
        place = self._place
        try:
            return place.services.reader().context(place.session_id, slot) is not None
        except Damaged as damage:
            log.warning("snapshot_damaged", session=place.session_id, reason=str(damage))
            return False
        except StoreError:
            return False

    # --- what comes of it

    def _answered(self, outcome: Any, about: Snapshot) -> None:
        hit("snapshot.taken")
        taken, self._tag, self._taken = self._taken, None, None
        result = self._understood(outcome, about)
        if taken is not None:
            taken(result)
        elif isinstance(result, Snapshot):
            self._store(result)
        if isinstance(result, Snapshot):
            self._again = _AGAIN_FIRST
            if self.is_behind:
                self._soon()
        else:
            self._place.services.counting.snapshot_failed(result.error_code)
            if isinstance(result, SnapshotTooLarge):
                self._too_large_at = about.evaluation
                self.catch_up()
            else:
                self._soon()
            self._one_is_over()

    def _understood(self, outcome: Any, about: Snapshot) -> Snapshot | StuiError:
        if not isinstance(outcome, SnapshotResult):
            return outcome if isinstance(outcome, StuiError) else ImageFailed(repr(outcome))
        mark = self._place.log.latest.head.snapshot
        if outcome.unchanged and (mark is None or mark.digest != outcome.digest):
            return ImageFailed("The image says that nothing has changed, and means another state.")
        return about.of(outcome)

    def _store(self, snapshot: Snapshot) -> None:
        place = self._place
        state, clocks = place.log.latest, place.services.clocks
        step = snapshot_taken(state, snapshot, Moment(clocks.wall(), clocks.running_time()))
        step = place.events.recorded(
            "session.context_saved", step, context_id="auto", evaluation=snapshot.evaluation
        )
        hit("snapshot.store.before")
        self.commit_with(step, lambda _: None, self._not_stored)
        hit("snapshot.store.after")

    def commit_with(self, step: Step, done: Done, failed: Failed) -> None:
        """Make a step durable that has a snapshot in it; then that one can be read."""
        mark = step.after.head.snapshot

        def stored(state: SessionState) -> None:
            self._good = "" if mark is None else mark.digest
            done(state)
            self._one_is_over()

        def not_stored(error: StuiError) -> None:
            failed(error)
            self._one_is_over()

        self._place.log.commit(step, stored, not_stored)

    def _not_stored(self, error: StuiError) -> None:
        log.warning("snapshot_not_stored", session=self._place.session_id, reason=error.message)
        self._soon()

    # --- trying again

    def _soon(self) -> None:
        """Try again after a while, ever more rarely."""
        if not self._alarm_is_set:
            self._alarm_is_set = True
            self._place.later(self._again, Alarm(ALARM, ALARM))
            self._again = min(self._again * 2, _AGAIN_MOST)

    def catch_up(self) -> None:
        """Have what is in no snapshot saved soon, if something is."""
        if self._tag is None and self._owes_one:
            self._soon()

    def alarmed(self) -> None:
        """Take the snapshot that could not be taken before, where nothing else is going on."""
        self._alarm_is_set = False
        if self._tag is None and self.is_behind and not (self._idle() and self._save_now()):
            self._soon()

    def image_is_back(self) -> None:
        """The session's image is connected: take the snapshot that it may owe."""
        self._again = _AGAIN_FIRST
        if self._tag is None and self.is_behind and self._idle():
            self._save_now()

    def save_before_the_end(self, over: Callable[[], object]) -> None:
        """Save what is in no snapshot, if that can be done now; OVER is called when it is tried.

        One that is under way is waited for; where it fails, or was of before, another is taken.
        """
        has_ended = self._place.log.latest.head.state != "open"  # and its last job saves it
        if not self.is_behind or not (self._idle() or has_ended):
            over()
            return
        self._last_word.append(over)
        if self._tag is None:
            self._one_is_over()

    def save_before_rest(self) -> bool:
        """Whether a snapshot is being taken that a session should have before it rests."""
        return self._owes_one and self._save_now()

    def _save_now(self) -> bool:
        """Have the workspace saved as it is now; whether that is under way."""
        state, image = self._place.log.latest, self._place.image()
        if image is None or image.epoch != state.knowledge.epoch:
            return False  # the workspace is not there
        return self.ask(image, state.head.evaluations)

    def _one_is_over(self) -> None:
        """A snapshot was stored, or could not be: what is in none yet gets a last one, once."""
        if not self._last_word or self._tag is not None:
            return
        if not self._is_last and self.is_behind and self._idle():
            self._is_last = self._save_now()
        if self._tag is None:
            self._end_last_word()

    def _end_last_word(self) -> None:
        """Nothing more is saved for those who wait for the end."""
        self._is_last = False
        last_word, self._last_word = self._last_word, []
        for over in last_word:
            over()
