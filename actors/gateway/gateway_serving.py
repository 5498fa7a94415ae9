"""Who serves which request."""

from __future__ import annotations

from collections.abc import Callable

from actors.address import post
from actors.gateway.gateway_replies import Replies
from actors.gateway.gateway_routes import SERVED, Routes, image_owner, restarting
from actors.gateway.gateway_subscribing import SubscriptionDesk
from actors.gateway.pending import Pending
from actors.images.image_requests import passed_on, without_session
from actors.messages import ClientRequest, ImageCall, RenewConnection
from actors.refusals import as_error, no_session
from actors.services import Services
from protocol.dialects import VERSION
from protocol.errors import Internal, NotSupported, StuiError
from protocol.ids import SessionId
from protocol.replies import Beat, Pong
from protocol.requests import (
    CleanupImageSessions,
    ConnectImage,
    CreateSession,
    Debug,
    DisconnectImage,
    Evaluate,
    GetClientPreferences,
    GetImageConnectionStatus,
    GetImageSessionStats,
    GetSessionInfo,
    GetSessionStatistics,
    Heartbeat,
    ImageRequest,
    ImportSession,
    Inspect,
    Interrupt,
    ListClientSessions,
    ListImages,
    ListImageSessions,
    ListTrash,
    Ping,
    Request,
    RestoreSession,
    SetClientPreferences,
    Subscribe,
    SwitchImageContext,
    Unsubscribe,
    UpdateSessionState,
)
from storage.store import StoreError


class Serving:
    """Gives each request to whoever answers it. For the Gateway's thread alone."""

    def __init__(
        self,
        services: Services,
        routes: Routes,
        desk: SubscriptionDesk,
        replies: Replies,
        nobody_waits: Callable[[], bool],
    ) -> None:
        self._services, self._routes, self._desk, self._replies = services, routes, desk, replies
        self._nobody_waits = nobody_waits

    def serve(self, entry: Pending, message: ClientRequest) -> None:
        """Have a request answered, with what is wrong with it where nobody can serve it."""
        try:
            self._serve(entry, message)
        except (StuiError, StoreError) as problem:
            named: SessionId | None = getattr(message.request, "session_id", None)
            self._replies.answer(message.key, as_error(named, problem))

    def _serve(self, entry: Pending, message: ClientRequest) -> None:
        request, services = message.request, self._services
        session_id: SessionId | None = getattr(request, "session_id", None)
        match request:
            case Ping(message=text):
                self._replies.answer(message.key, self._pong(text))
            case Debug():
                raise NotSupported("No image offers a debugger yet.")
            case ImageRequest():
                call = passed_on(request, message.key, services.gateway)
                self._call_image(entry, self._image_for(request), call)
            case RestoreSession(session_id=restored):
                # The directory knows whether the client may open one more.
                self._routes.by_directory(entry, message, restored)
            case Subscribe():
                self._desk.subscribe(entry, message, request)
            case Unsubscribe():
                self._desk.unsubscribe(entry, message, request)
            case (
                CreateSession()
                | ListClientSessions()
                | GetSessionStatistics()
                | ImportSession()
                | GetClientPreferences()
                | SetClientPreferences()
                | ListImageSessions()
                | GetImageSessionStats()
                | ListTrash()
                | SwitchImageContext()
            ):
                self._routes.to(services.sessions, entry, message)
            case CleanupImageSessions():
                self._routes.to(services.janitor, entry, message)
            case _ if session_id is not None:
                quick = self._is_quick(request)
                self._routes.to_session(entry, message, session_id, quick=quick)
            case Heartbeat():
                self._renew(message)
            case Evaluate() | Inspect() | Interrupt():
                call = without_session(message, request, services.gateway)
                self._call_image(entry, request.image_id, call)
            case ListImages() | GetImageConnectionStatus() | ConnectImage() | DisconnectImage():
                self._routes.to(services.images, entry, message)
            case _:
                raise Internal(f"{request.command()} has nobody to serve it.")

    def _is_quick(self, request: Request) -> bool:
        """Whether a session may handle a request in this thread.

        That is so for what it answers from memory, and, while nobody else waits here, for a
        replacement, which costs a look at the remembered requests.
        """
        if isinstance(request, UpdateSessionState):
            return request.mode == "replace" and self._nobody_waits()
        return isinstance(request, (GetSessionInfo, Heartbeat))

    def _call_image(self, entry: Pending, image_id: str | None, call: ImageCall) -> None:
        image = self._services.image_table.current.find(image_id)
        if image.ref is None or not post(image.ref, call):
            raise restarting()
        entry.owner = image_owner(image.ref)

    def _renew(self, message: ClientRequest) -> None:
        """Keep the workspaces of a connection that works without a session."""
        for image in self._services.image_table.current.entries:
            if image.ref is not None:
                post(image.ref, RenewConnection(message.connection))
        lease = int(self._services.settings.current.connection_lease)
        self._replies.answer(message.key, Beat(lease=lease))

    def _image_for(self, request: ImageRequest) -> str | None:
        """The image that a request means: the one named, else the session's, else the default."""
        if request.image_id is None and request.session_id is not None:
            head = self._services.reader().head(request.session_id)
            if head is None:
                raise no_session(request.session_id)
            return head.image_id
        return request.image_id

    def _pong(self, text: str) -> Pong:
        return Pong(
            message=text,
            uptime=int(self._services.clocks.uptime()),
            server="stui",
            protocol_version=VERSION,
            capabilities=sorted(SERVED),
        )
