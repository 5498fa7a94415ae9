"""Every command that a client may send, as a typed request.

A class name is the envelope dialect's `request_type`; in snake case it is the command. Parameters
that are null count as not given. What a client stores in its sections is its own JSON: it is
checked to be an object and then kept as the text that it is (`JsonText`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NewType,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Meta

from protocol.errors import InvalidParameter, MissingParameter, UnknownCommand, excerpt
from protocol.events import Topic
from protocol.ids import IDENTIFIER_FORM, ObjectId, WireClientId, WireImageId, WireSessionId
from protocol.limits import CODE_CHARACTERS, NAME_CHARACTERS

JsonText = NewType("JsonText", bytes)
"""A JSON object as UTF-8 text, checked to be well-formed, finite and bounded in depth."""

SectionName: TypeAlias = Literal[
    "session_state", "workspace_context", "object_registry", "inspector_state", "user_preferences"
]
SECTION_NAMES: tuple[SectionName, ...] = get_args(SectionName)

Scope: TypeAlias = Literal["variables", "objects", "inspector", "history"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_YEAR = 366 * 24 * 3600.0

Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS)]
Code = Annotated[str, Meta(max_length=CODE_CHARACTERS)]
Seconds = Annotated[float, Meta(gt=0, le=_YEAR)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
Depth = Annotated[int, Meta(ge=1, le=10)]
ADDRESS_FORM = "tcp://HOST:PORT, or ipc:// and a path of up to 100 characters"
Address = Annotated[
    str, Meta(pattern=r"\A(?:tcp://[^\s\x00*]{1,200}:[0-9]{1,5}|ipc://[^\x00\n]{1,100})\Z")
]
Base64 = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]*={0,2}\Z")]
ContextId = Annotated[str, Meta(pattern=r"\A(?:[1-9][0-9]{0,8}|auto|auto-before)\Z")]
"""The number of a saved context, or the name of an automatic one."""
PrintString = Annotated[str, Meta(max_length=1000)]


@cache
def _in_snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What all requests have in common."""

    aliases: ClassVar[Mapping[str, str]] = {}
    """Other names for parameters that clients use."""

    json_objects: ClassVar[frozenset[str]] = frozenset()
    """The parameters that are kept as JSON text."""

    @classmethod
    def request_type(cls) -> str:
        """The name in the envelope dialect."""
        return cls.__name__

    @classmethod
    def command(cls) -> str:
        """The name in the command dialect."""
        return _in_snake_case(cls.__name__)


class SessionRequest(Request, frozen=True, kw_only=True):
    """A request to one session."""

    session_id: WireSessionId


class WorkspaceRequest(Request, frozen=True, kw_only=True):
    """A request to a session's workspace, or without a session to the connection's own."""

    aliases: ClassVar[Mapping[str, str]] = {"context": "session_id"}

    session_id: WireSessionId | None = None
    image_id: WireImageId | None = None


class ImageRequest(Request, frozen=True, kw_only=True):
    """A request that is passed to an image: the one named, else the session's, else the default."""

    session_id: WireSessionId | None = None
    image_id: WireImageId | None = None


# --- the service itself


class Ping(Request, frozen=True, kw_only=True):
    """Ask whether the service is there, and what it is."""

    message: PrintString = "pong"


class Heartbeat(Request, frozen=True, kw_only=True):
    """Renew the lease on a session, or on the connection's own workspace."""

    session_id: WireSessionId | None = None


class Subscribe(Request, frozen=True, kw_only=True):
    """Ask for events: of one session, or of those that the connection is attached to."""

    topics: Annotated[list[Topic], Meta(min_length=1, max_length=16)]
    session_id: WireSessionId | None = None
    since: Count | None = None


class Unsubscribe(Request, frozen=True, kw_only=True):
    """Ask for no more events."""

    topics: Annotated[list[Topic], Meta(min_length=1, max_length=16)] | None = None
    session_id: WireSessionId | None = None


# --- code


class Evaluate(WorkspaceRequest, frozen=True, kw_only=True):
    """Run code in a workspace."""

    code: Code
    timeout: Seconds | None = None
    evaluation_mode: Literal["Execute", "Display"] = "Display"
    tool_id: PrintString | None = None
    return_string: bool = True


class Inspect(WorkspaceRequest, frozen=True, kw_only=True):
    """Look into the object that an expression gives, or that has an id."""

    aliases: ClassVar[Mapping[str, str]] = {
        **WorkspaceRequest.aliases,
        "objectId": "object_id",
        "includePrivate": "include_private",
    }

    target: Code | None = None
    object_id: ObjectId | None = None
    depth: Depth = 1
    include_private: bool = False

    def __post_init__(self) -> None:
        """There is something to look into."""
        if self.target is None and self.object_id is None:
            raise MissingParameter("inspect needs `target` or `object_id`.")


class Interrupt(WorkspaceRequest, frozen=True, kw_only=True):
    """End what the workspace is evaluating."""


class BrowseClass(ImageRequest, frozen=True, kw_only=True):
    """Look at a class."""

    class_name: Name
    include_methods: bool = True
    include_instance_vars: bool = True
    include_class_vars: bool = False


class ListClasses(ImageRequest, frozen=True, kw_only=True):
    """List classes whose names match a pattern."""

    pattern: PrintString = "*"
    include_system: bool = True
    limit: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class GetMethod(ImageRequest, frozen=True, kw_only=True):
    """Look at one method."""

    class_name: Name
    method_name: Name
    is_class_method: bool = False


class SystemInfo(ImageRequest, frozen=True, kw_only=True):
    """Ask an image about itself."""

    info_type: Literal["Basic", "Memory", "Packages", "Environment", "All"] = "Basic"


class Debug(Request, frozen=True, kw_only=True):
    """Control a debugger; no image offers one yet."""


# --- sessions


class CreateSession(Request, frozen=True, kw_only=True):
    """Begin a session."""

    json_objects: ClassVar[frozenset[str]] = frozenset({"client_info", "image_metadata"})

    client_id: WireClientId
    client_info: JsonText | None = None
    image_id: WireImageId | None = None
    image_address: PrintString | None = None
    image_metadata: JsonText | None = None
    name: Name | None = None
    timeout: Seconds | None = None


class RestoreSession(SessionRequest, frozen=True, kw_only=True):
    """Come back to a session."""

    client_id: WireClientId | None = None
    image_id: WireImageId | None = None
    since: Count | None = None
    takeover: bool = False


class UpdateSessionState(SessionRequest, frozen=True, kw_only=True):
    """Store sections of the client's own state."""

    aliases: ClassVar[Mapping[str, str]] = {"session_state": "state_data"}
    json_objects: ClassVar[frozenset[str]] = frozenset({"state_data", *SECTION_NAMES})

    state_data: JsonText | None = None
    workspace_context: JsonText | None = None
    object_registry: JsonText | None = None
    inspector_state: JsonText | None = None
    user_preferences: JsonText | None = None
    mode: Literal["replace", "merge"] = "replace"
    expected_revision: Count | None = None

    def __post_init__(self) -> None:
        """An update names what it updates."""
        if not self.sections():
            raise MissingParameter(
                "update_session_state needs `state_data` or a section by name "
                f"({', '.join(SECTION_NAMES[1:])})."
            )

    def sections(self) -> dict[SectionName, JsonText]:
        """The sections that the update names."""
        given: dict[SectionName, JsonText | None] = {
            "session_state": self.state_data,
            "workspace_context": self.workspace_context,
            "object_registry": self.object_registry,
            "inspector_state": self.inspector_state,
            "user_preferences": self.user_preferences,
        }
        return {name: text for name, text in given.items() if text is not None}


class CloseSession(SessionRequest, frozen=True, kw_only=True):
    """End a session; its data stays for the retention."""


class GetSessionInfo(SessionRequest, frozen=True, kw_only=True):
    """Ask about a session without using it."""


class RenameSession(SessionRequest, frozen=True, kw_only=True):
    """Give a session a name for people."""

    name: Name


class DeleteSession(SessionRequest, frozen=True, kw_only=True):
    """Remove a session and its data now."""


class GetSessionHistory(SessionRequest, frozen=True, kw_only=True):
    """Read evaluations: the last ones, or those after number `since`."""

    since: Count | None = None
    limit: Limit = 100


class GetEvaluation(SessionRequest, frozen=True, kw_only=True):
    """Read one evaluation."""

    evaluation: Count


class ListClientSessions(Request, frozen=True, kw_only=True):
    """List a client's sessions: the open ones, or the closed ones too."""

    client_id: WireClientId
    include_closed: bool = False


class GetSessionStatistics(Request, frozen=True, kw_only=True):
    """Count sessions."""


# --- contexts


class SaveContext(SessionRequest, frozen=True, kw_only=True):
    """Keep a named point in time."""

    label: Name | None = None


class LoadContext(SessionRequest, frozen=True, kw_only=True):
    """Go back to a point in time: the one of this id, or the one saved last."""

    context_id: ContextId | None = None


class GetContextSummary(SessionRequest, frozen=True, kw_only=True):
    """Read what a session holds."""


class ClearContext(SessionRequest, frozen=True, kw_only=True):
    """Empty parts of a session."""

    scope: Annotated[list[Scope], Meta(min_length=1, max_length=16)] | None = None


class ListContexts(SessionRequest, frozen=True, kw_only=True):
    """List the kept points in time."""


class ForkSession(SessionRequest, frozen=True, kw_only=True):
    """Make a second session from the present state of one."""

    name: Name | None = None


class ExportSession(SessionRequest, frozen=True, kw_only=True):
    """Get a session as a portable file."""


class ImportSession(Request, frozen=True, kw_only=True):
    """Take in a portable file, as a new session of the client."""

    client_id: WireClientId
    data: Base64
    name: Name | None = None


class GetClientPreferences(Request, frozen=True, kw_only=True):
    """Read what all sessions of a client share."""

    client_id: WireClientId


class SetClientPreferences(Request, frozen=True, kw_only=True):
    """Store what all sessions of a client share."""

    json_objects: ClassVar[frozenset[str]] = frozenset({"preferences"})

    client_id: WireClientId
    preferences: JsonText


# --- images


class ListImages(Request, frozen=True, kw_only=True):
    """List the images and how they are."""


class ConnectImage(Request, frozen=True, kw_only=True):
    """Add an image."""

    address: Address
    name: Name | None = None


class DisconnectImage(Request, frozen=True, kw_only=True):
    """Remove an image."""

    image_id: WireImageId


class GetImageConnectionStatus(Request, frozen=True, kw_only=True):
    """Ask how an image is."""

    image_id: WireImageId


class ListTrash(Request, frozen=True, kw_only=True):
    """List the sessions in the trash: all, a client's, or an image's."""

    client_id: WireClientId | None = None
    image_id: WireImageId | None = None


class ListImageSessions(Request, frozen=True, kw_only=True):
    """List the sessions on an image."""

    aliases: ClassVar[Mapping[str, str]] = {"include_disconnected": "include_orphaned"}

    image_id: WireImageId | None = None
    include_orphaned: bool = True


class CleanupImageSessions(Request, frozen=True, kw_only=True):
    """Remove sessions of an image that nobody needs."""

    image_id: WireImageId
    cleanup_orphaned: bool | None = None
    cleanup_expired: bool | None = None
    max_age_hours: Annotated[float, Meta(ge=0)] | None = None
    preserve_active: bool = True
    force: bool = False
    dry_run: bool = False


class GetImageSessionStats(Request, frozen=True, kw_only=True):
    """Count the sessions on an image."""

    image_id: WireImageId


class SwitchImageContext(Request, frozen=True, kw_only=True):
    """Move sessions to another image."""

    to_image_id: WireImageId
    from_image_id: WireImageId | None = None
    preserve_context: bool = True
    session_id: WireSessionId | None = None


def _concrete(kind: type[Request]) -> list[type[Request]]:
    below = [leaf for child in kind.__subclasses__() for leaf in _concrete(child)]
    return below or [kind]


BY_COMMAND: Mapping[str, type[Request]] = {kind.command(): kind for kind in _concrete(Request)}
BY_REQUEST_TYPE: Mapping[str, type[Request]] = {
    kind.request_type(): kind for kind in BY_COMMAND.values()
}


def parse(kind: type[Request], parameters: Mapping[str, Any]) -> Request:
    """The request of KIND with PARAMETERS, which are plain values.

    Raises `MissingParameter` or `InvalidParameter`, which name the parameter, its value and what
    would be right.
    """
    given = _by_own_names(kind, parameters)
    for name in kind.json_objects & given.keys():
        if not isinstance(given[name], dict):
            raise InvalidParameter(
                f"`{name}` of {kind.command()} is {excerpt(given[name])}: Expected an object."
            )
        given[name] = msgspec.json.encode(given[name])
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise _explained(kind, given, str(error)) from None


def unknown(name: object) -> UnknownCommand:
    """The error for a command or request type that does not exist."""
    return UnknownCommand(
        f"There is no command {excerpt(name)}; docs/protocol.md lists them, `ping` is one."
    )


def _by_own_names(kind: type[Request], parameters: Mapping[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in parameters.items():
        own_name = kind.aliases.get(name, name)
        if value is None:
            continue
        if own_name in given and given[own_name] != value:
            other = next(n for n in parameters if kind.aliases.get(n, n) == own_name)
            raise InvalidParameter(
                f"`{other}` and `{name}` of {kind.command()} are one parameter, but have the "
                f"values {excerpt(parameters[other])} and {excerpt(value)}: Expected one of them."
            )
        given[own_name] = value
    return given


def _explained(
    kind: type[Request], given: Mapping[str, Any], complaint: str
) -> InvalidParameter | MissingParameter:
    if missing := re.match(r"Object missing required field `(\w+)`", complaint):
        return MissingParameter(f"{kind.command()} needs the parameter `{missing[1]}`.")
    expected, _, path = complaint.partition(" - at `$")
    name = re.sub(r"[\[.].*", "", path.strip("`.")) or "?"
    expected = expected.replace(" | null", "")
    if choices := _choices(get_type_hints(kind).get(name)):
        expected = f"Expected {' or '.join(repr(choice) for choice in choices)}"
    elif "matching regex" in expected:
        expected = f"Expected {_FORMS.get(name, IDENTIFIER_FORM)}"
    return InvalidParameter(
        f"`{name}` of {kind.command()} is {excerpt(given.get(name))}: {expected}."
    )


_FORMS: Mapping[str, str] = {
    "address": ADDRESS_FORM,
    "context_id": "the number of a context as a string, 'auto' or 'auto-before'",
    "data": "base64",
}


def _choices(hint: Any) -> tuple[str, ...]:
    """The values that HINT allows, where it lists them: alone, as an option or in a list."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next(filter(None, map(_choices, get_args(hint))), ())
