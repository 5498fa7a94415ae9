"""Jobs that make a copy of the session: another session, or a file.

The copy is read aside: it may be large, and holds up nobody but this session's own work.
"""

from __future__ import annotations

import base64
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from actors.aside import Aside
from actors.messages import ClientRequest, Key, MakeSession
from actors.services import Services
from actors.session.open_session import read_or_error
from actors.session.saved_first import SavedFirst
from actors.session.session_autosave import Autosave
from actors.session.workspace_job import Workplace
from protocol.errors import LimitExceeded, SessionRestarted, StuiError
from protocol.ids import SessionId
from protocol.limits import SOCKET_BYTES
from protocol.replies import SessionExported
from storage.file_names import file_name
from storage.session_form import encode_session
from storage.store import Damaged, SessionContents, StoreError


class ForkJob(SavedFirst):
    """Hands the whole session to its directory, which makes another one of it."""

    replaces: bool = False

    def __init__(
        self, place: Workplace, keys: list[Key], autosave: Autosave, message: ClientRequest
    ) -> None:
        super().__init__(place, keys, autosave)
        self._message = message

    def go_on(self) -> None:
        """Read the session; the directory answers the client."""
        services, session_id = self.place.services, self.place.session_id
        aside = Aside(self.place.owner, services.aside)
        read = partial(_contents, services, session_id)
        aside.do(lambda: read_or_error(session_id, read), self._hand_over)

    def _hand_over(self, future: Future[SessionContents | StuiError]) -> None:
        contents = future.result()
        if isinstance(contents, StuiError):
            self.end(contents)
            return
        if self.over:
            return
        notes = [*self.notes, *_lacking(self.place.services, contents)]
        for key in self.keys:  # those who asked for the same meanwhile get the same
            wish = MakeSession(replace(self._message, key=key), contents, notes)
            if not self.place.services.sessions.tell(wish):
                self.end(SessionRestarted("What makes sessions is being started again; ask again."))
                return
        self.end(None)


class ExportJob(SavedFirst):
    """Gives the session as its portable file."""

    replaces: bool = False

    def go_on(self) -> None:
        """Answer with the file's bytes."""
        services, session_id = self.place.services, self.place.session_id
        aside = Aside(self.place.owner, services.aside)

        def read() -> SessionExported:
            contents = _contents(services, session_id)
            return _file(contents, [*self.notes, *_lacking(services, contents)])

        aside.do(lambda: read_or_error(session_id, read), lambda future: self.end(future.result()))


def _file(contents: SessionContents, notes: list[str]) -> SessionExported:
    try:
        data = encode_session(contents)
    except ValueError as error:
        raise LimitExceeded(f"The session is too large for a file: {error}.") from None
    if len(data) * 4 // 3 > SOCKET_BYTES // 2:
        raise LimitExceeded(
            f"The file has {len(data)} bytes, too many for a message; copy it out of the data "
            "directory."
        )
    head = contents.head
    return SessionExported(
        session_id=head.session_id,
        file_name=f"{file_name(head.session_id)}.stui",
        data=base64.b64encode(data).decode("ascii"),
        size_bytes=len(data),
        revision=head.revision,
        notes=notes,
    )


def _lacking(services: Services, contents: SessionContents) -> list[str]:
    """Which contexts a copy has not, and why, for people."""
    return [
        f"{'an automatic snapshot' if number <= 0 else f'the context {number}'} is left out: "
        + _why(services, contents.head.session_id, number)
        for number in contents.left_out
    ]


def _why(services: Services, session_id: SessionId, number: int) -> str:
    try:
        services.reader().context(session_id, number)
    except Damaged:
        return "it is damaged"
    except StoreError:
        return "it cannot be read"
    return "there is no room for it"


def _contents(services: Services, session_id: SessionId) -> SessionContents:
    contents = services.reader().contents(session_id)
    if contents is None:
        raise SessionRestarted("The session is not there now; ask again.")
    return contents
