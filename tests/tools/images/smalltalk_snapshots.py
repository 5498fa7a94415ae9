"""What the tests of the Smalltalk image's snapshots have in common."""

from tests.tools.images.graphs import FORMAT, packed
from tests.tools.images.image_client import ImageClient, Message, fresh_name

CLASSES = (
    "Object subclass: #Node slots: {#next. #value} package: 'Snapshots'",
    "Node subclass: #Leaf slots: {#colour} package: 'Snapshots'",
    "Array subclass: #Stack slots: {#top} package: 'Snapshots'",
    "Set subclass: #Flock slots: {#bell} package: 'Snapshots'",
    "Dictionary subclass: #Index slots: {#kind} package: 'Snapshots'",
    "HashedCollection subclass: #Bunch slots: {} package: 'Snapshots'",
    "Error subclass: #Trouble slots: {#cause} package: 'Snapshots'",
    """{Node. Leaf. Stack. Flock. Index. Trouble} do: [ :class | class slots do: [ :slot |
        class compile: slot, ' ^ ', slot protocol: 'accessing'.
        class compile: slot, ': a ', slot, ' := a' protocol: 'accessing' ] ]""",
)


def define_classes(client: ImageClient) -> None:
    """Node, Leaf, Stack, Flock, Index, Bunch and Trouble, with accessors."""
    for code in CLASSES:
        run(client, "classes", code)


def run(client: ImageClient, session: str, code: str) -> None:
    """Evaluate code without registering its result."""
    client.evaluate(session, code, mode="Execute")


def shown(client: ImageClient, session: str, code: str) -> str:
    """What code prints; registers nothing."""
    result: str = client.evaluate(session, code, mode="Execute")["result"]
    return result


def snapshot(client: ImageClient, session: str, **more: object) -> Message:
    return client.do("snapshot_workspace", session=session, **more)


def restore(client: ImageClient, session: str, data: str) -> Message:
    return client.do("restore_workspace", session=session, format=FORMAT, data=data)


def take_in(client: ImageClient, session: str, document: object) -> dict[str, Message]:
    """Restore a document; what became of its variables."""
    return by_name(restore(client, session, packed(document)))


def by_name(result: Message) -> dict[str, Message]:
    return {each["name"]: each for each in result["variables"]}


def copied(client: ImageClient, session: str) -> tuple[str, dict[str, Message]]:
    """A new session with what a snapshot keeps of this one; what became of its variables."""
    other = fresh_name("session")
    return other, by_name(restore(client, other, snapshot(client, session)["data"]))
