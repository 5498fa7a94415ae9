"""What is told of many sessions at once: asks those that have an actor, and reads of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeAlias

from actors.address import post
from actors.aside import Aside
from actors.directory.gathering import Gathered, Gatherings
from actors.directory.live_sessions import Live, LiveSessions
from actors.directory.orphans import Sight
from actors.directory.session_admission import Admission
from actors.directory.session_lists import (
    Infos,
    client_sessions,
    image_named,
    image_session_stats,
    image_sessions,
    statistics,
    trash,
)
from actors.directory.session_survey import Survey, Surveyed
from actors.messages import Answer, ClientRequest, Describe, Outcome
from actors.refusals import unreadable
from actors.services import Services
from protocol.ids import ImageId
from protocol.replies import SessionInfo
from protocol.requests import (
    GetImageSessionStats,
    GetSessionStatistics,
    ListClientSessions,
    ListImageSessions,
    ListTrash,
)
from storage.store import StoreError

Overview: TypeAlias = (
    ListClientSessions | GetSessionStatistics | ListImageSessions | GetImageSessionStats | ListTrash
)


class SessionOverview:
    """Serves it for the SessionDirectory, in its thread; `serve` raises `StuiError`, `StoreError`.

    The reply is made when all have answered, of what is stored then, and aside: to read many
    sessions takes long.
    """

    def __init__(
        self, services: Services, live: LiveSessions, admission: Admission, aside: Aside
    ) -> None:
        self._services, self._live = services, live
        self._admission, self._aside = admission, aside
        self._descriptions: Gatherings[SessionInfo] = Gatherings()

    def serve(self, message: ClientRequest, request: Overview) -> None:
        """Answer a request, now or when the sessions have answered."""
        match request:
            case ListClientSessions():
                self._list_of_client(message, request)
            case GetSessionStatistics():
                self._count(message)
            case ListImageSessions():
                self._list_of_image(message, request)
            case GetImageSessionStats():
                self._count_of_image(message, request)
            case ListTrash():
                self._list_trash(message, request)

    def survey(self, message: Survey) -> None:
        """Tell the Janitor what the sessions say that have an actor."""
        try:
            whom = self._live_of_image(message.image_id)
        except StoreError:
            whom = list(self._live)  # the Janitor, which reads the store itself, will say so

        def done(gathered: Gathered[SessionInfo]) -> None:
            post(message.reply_to, Surveyed(message.tag, gathered.answers))

        self._descriptions.begin(whom, Describe, done)

    def described(self, number: int, urn: str, info: SessionInfo | None) -> None:
        """A session has answered."""
        self._descriptions.answered(number, urn, info)

    def ended(self, urn: str) -> None:
        """A session's actor has ended."""
        self._descriptions.ended(urn)

    def _list_of_client(self, message: ClientRequest, request: ListClientSessions) -> None:
        self._admission.check_served(request.client_id)

        def reply(infos: Infos) -> Outcome:
            heads = self._services.reader().heads_of_client(request.client_id)
            return client_sessions(request, heads, infos, Sight.of(self._services))

        self._describe(message, self._live.of_client(request.client_id), reply)

    def _count(self, message: ClientRequest) -> None:
        def reply(infos: Infos) -> Outcome:
            sight, store = Sight.of(self._services), self._services.reader()
            counts = store.counts(sight.now)
            expired = store.heads_expired_before(sight.now, counts.expired) if infos else []
            settings = self._services.settings.current
            return statistics(counts, expired, infos, sight, settings)

        self._describe(message, self._live, reply)

    def _list_of_image(self, message: ClientRequest, request: ListImageSessions) -> None:
        wanted = request.image_id
        image_id = None if wanted is None else self._image_named(wanted)

        def reply(infos: Infos) -> Outcome:
            heads = self._services.reader().heads_of_image(image_id)
            return image_sessions(request, image_id, heads, infos, Sight.of(self._services))

        self._describe(message, self._live_of_image(image_id), reply)

    def _count_of_image(self, message: ClientRequest, request: GetImageSessionStats) -> None:
        image_id = self._image_named(request.image_id)

        def reply(infos: Infos) -> Outcome:
            store = self._services.reader()
            heads = store.heads_of_image(image_id)
            return image_session_stats(image_id, heads, infos, Sight.of(self._services), store)

        self._describe(message, self._live_of_image(image_id), reply)

    def _list_trash(self, message: ClientRequest, request: ListTrash) -> None:
        if request.client_id is not None:
            self._admission.check_served(request.client_id)
        image_id = None if request.image_id is None else self._image_named(request.image_id)
        heads = self._services.reader().heads_trashed()
        retention = self._services.settings.current.trash_retention
        now = self._services.clocks.running_time()
        self._answer(message, trash(request, image_id, heads, now, retention))

    def _describe(
        self, message: ClientRequest, whom: Iterable[Live], reply: Callable[[Infos], Outcome]
    ) -> None:
        """Answer with what is made of the sessions' own words; those that end have none."""

        def made(future: Future[Outcome]) -> None:
            try:
                outcome = future.result()
            except StoreError as problem:
                outcome = unreadable(problem)
            self._answer(message, outcome)

        def done(gathered: Gathered[SessionInfo]) -> None:
            answers = gathered.answers
            self._aside.do(lambda: reply(answers), made)

        self._descriptions.begin(whom, Describe, done)

    def _image_named(self, wanted: str) -> ImageId:
        images = self._services.image_table.current
        return image_named(wanted, images, self._services.reader())

    def _live_of_image(self, image_id: ImageId | None) -> list[Live]:
        heads = self._services.reader().heads_of_image(image_id)
        found = (self._live.get(head.session_id) for head in heads)
        return [live for live in found if live is not None]

    def _answer(self, message: ClientRequest, outcome: Outcome) -> None:
        self._services.gateway.tell(Answer(message.key, outcome))
