"""Each setting that can change while the service runs takes effect; a wrong one changes nothing."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pykka
import pytest

from actors.session.session import Session
from actors.settings import RELOADABLE, Settings
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FULL, SNAPSHOTS, FakeImage, fake_image, inspected
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import Wire, fresh_client

ELSEWHERE = {
    "backup_interval", "backups_hourly", "backups_daily", "backups_weekly",
    "max_pending_bytes", "max_pending_bytes_per_connection",
    "max_unread_bytes", "max_unread_bytes_per_connection", "max_waiting_jobs", "history_kept",
}  # fmt: skip
"""They have tests of their own, with the backups and with what they bound."""


class Site:
    """A backend whose settings change, one client and one image."""

    def __init__(self, directory: Path, image: FakeImage) -> None:
        self.image = image
        self.settings = Settings(
            data_dir=directory,
            bind=("tcp://127.0.0.1:*",),
            images={"fake": image.endpoint},
            image_ping_interval=0.05,
            cleanup_interval=0.05,
            max_sessions_per_client=100,
            lease=0.05,
        )
        self.problem: ValueError | None = None
        self.backend: RunningBackend
        self.wire: Wire

    def load(self) -> Settings:
        if self.problem is not None:
            raise self.problem
        return self.settings

    def change(self, **values: Any) -> None:
        self.settings = msgspec.structs.replace(self.settings, **values)
        self.backend.reload()
        eventually(lambda: self.published == self.settings)

    @property
    def published(self) -> Settings:
        assert self.backend._backend is not None
        return self.backend._backend._services.settings.current

    def session(self, **how: Any) -> str:
        return str(self.wire.do("create_session", client_id="me", **how)["session_id"])

    def info(self, session: str) -> Any:
        return self.wire.do("get_session_info", session_id=session)

    def is_refused(self, code: str, command: str, **parameters: Any) -> bool:
        reply = self.wire.ask(command, **parameters)
        return bool(reply["status"] == "error" and reply["error_code"] == code)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with fake_image() as image:
        image.capabilities = (*FULL, *SNAPSHOTS)
        place = Site(tmp_path, image)
        given = {name: getattr(place.settings, name) for name in Settings.__struct_fields__}
        del given["data_dir"]
        with running_backend(tmp_path, load=place.load, **given) as backend:
            backend.wait_for_image("fake")
            with backend.client(dealer=True) as wire:
                place.backend, place.wire = backend, wire
                yield place


def allowed_clients(site: Site) -> None:
    site.change(allowed_clients=["friend*"])
    assert site.is_refused("client_not_allowed", "create_session", client_id="me")
    site.wire.do("create_session", client_id="friend_1")


def denied_clients(site: Site) -> None:
    site.change(denied_clients=["m?"])
    assert site.is_refused("client_not_allowed", "create_session", client_id="me")


def max_sessions_per_client(site: Site) -> None:
    site.session()
    site.change(max_sessions_per_client=1)
    assert site.is_refused("session_limit", "create_session", client_id="me")


def default_timeout(site: Site) -> None:
    site.change(default_timeout=50.0)
    assert 0 < site.info(site.session())["time_until_expiry"] <= 50


def strict_expiry(site: Site) -> None:
    session = site.session(timeout=0.1)
    eventually(lambda: site.info(session)["is_expired"])
    site.change(strict_expiry=True)
    assert site.is_refused("session_expired", "restore_session", session_id=session)
    site.change(strict_expiry=False)
    site.wire.do("restore_session", session_id=session)


def retention(site: Site) -> None:
    session = site.session()
    site.wire.do("close_session", session_id=session)
    site.change(retention=0.01)
    eventually(lambda: site.is_refused("session_not_found", "get_session_info", session_id=session))


def replies_retention(site: Site) -> None:
    request_id, client_id = str(uuid.uuid4()), fresh_client()

    def make() -> str:
        site.wire.send_as(request_id, "create_session", client_id=client_id)
        return str(site.wire.receive(request_id)["result"]["session_id"])

    first = make()
    assert make() == first
    site.change(replies_retention=0.01)
    eventually(lambda: make() != first)


def lease(site: Site) -> None:
    session = site.session()
    site.change(lease=77.0)
    assert site.wire.do("heartbeat", session_id=session)["lease"] == 77


def connection_lease(site: Site) -> None:
    site.change(connection_lease=77.0)
    assert site.wire.do("heartbeat")["lease"] == 77


def passivate_after(site: Site) -> None:
    site.change(passivate_after=0.01, lease=0.01)
    site.session()
    eventually(lambda: not pykka.ActorRegistry.get_by_class(Session))


def file_after(site: Site) -> None:
    site.change(file_after=0.01)
    session = site.session()
    eventually((site.settings.data_dir / "sessions" / "me" / f"{session}.stui").exists)


def contexts_kept(site: Site) -> None:
    session = site.session()
    for _ in range(3):
        site.wire.do("save_context", session_id=session)
    site.change(contexts_kept=1)
    site.wire.do("save_context", session_id=session)
    assert _saved(site, session) == 1


def context_retention(site: Site) -> None:
    session = site.session()
    for _ in range(3):
        site.wire.do("save_context", session_id=session)
    site.change(context_retention=0.0001)
    site.wire.do("save_context", session_id=session)
    assert _saved(site, session) == 1


def _saved(site: Site, session: str) -> int:
    contexts = site.wire.do("list_contexts", session_id=session)["contexts"]
    return sum(context["kind"] == "saved" for context in contexts)


def snapshot_wait(site: Site) -> None:
    session = site.session()
    site.image.holding = {"snapshot_workspace"}
    site.change(snapshot_wait=3600.0)
    waiting = site.wire.send("evaluate", session_id=session, code="1")
    site.image.fail(site.image.wait_for("snapshot_workspace"), "snapshot_given_up", "busy")
    site.wire.receive(waiting)  # it did wait, and the answer of the image has ended that
    site.change(snapshot_wait=0.0)
    reply = site.wire.do("evaluate", session_id=session, code="2")
    assert reply["context_saved"] is False


def snapshot_timeout(site: Site) -> None:
    session = site.session()
    site.change(snapshot_timeout=3.0)
    site.wire.do("evaluate", session_id=session, code="1")
    asked = site.image.wait_for("snapshot_workspace")
    assert asked.parameters["most_seconds"] == 3


def autosave(site: Site) -> None:
    session = site.session()
    site.change(autosave=False)
    site.wire.do("evaluate", session_id=session, code="1")
    site.wire.do("evaluate", session_id=session, code="2")
    assert site.image.asked_for("snapshot_workspace") == []


def max_objects(site: Site) -> None:
    session = site.session()
    site.image.holding = {"inspect"}
    site.change(max_objects=16)
    for number in range(17):
        waiting = site.wire.send("inspect", session_id=session, target=f"object {number}")
        asked = site.image.wait_for("inspect", number + 1)
        site.image.reply(asked, inspected("an object", object_id=f"object-{number}"))
        site.wire.receive(waiting)
    released = site.image.wait_for("release_objects")
    assert released.parameters["object_ids"][0] == "object-0"


def trash_retention(site: Site) -> None:
    session = site.session(image_id="fake")
    site.image.close()
    site.change(orphan_grace=0.01, orphan_retention=0.01)
    eventually(lambda: site.wire.do("list_trash")["sessions"])
    site.change(trash_retention=0.01)
    eventually(lambda: site.is_refused("session_not_found", "get_session_info", session_id=session))


def orphan_grace(site: Site) -> None:
    session = site.session(image_id="fake")
    site.image.close()
    site.change(orphan_grace=0.01)
    eventually(lambda: site.info(session)["status"] == "orphaned")


def orphan_retention(site: Site) -> None:
    session = site.session(image_id="fake")
    site.image.close()
    site.change(orphan_grace=0.01, orphan_retention=0.01)
    eventually(
        lambda: [each["session_id"] for each in site.wire.do("list_trash")["sessions"]] == [session]
    )


def max_pending(site: Site) -> None:
    site.image.holding = {"evaluate"}
    site.wire.send("evaluate", session_id=site.session(), code="for ever")
    site.image.wait_for("evaluate")
    site.change(max_pending=1)
    with site.backend.client() as other:
        assert other.ask("ping")["error_code"] == "overloaded"


def max_pending_per_connection(site: Site) -> None:
    site.image.holding = {"evaluate"}
    site.wire.send("evaluate", session_id=site.session(), code="for ever")
    site.image.wait_for("evaluate")
    site.change(max_pending_per_connection=1)
    assert site.is_refused("overloaded", "ping")
    with site.backend.client() as other:
        other.do("ping")


CHECKS: list[Callable[[Site], None]] = [
    allowed_clients, denied_clients, max_sessions_per_client, default_timeout, strict_expiry,
    retention, replies_retention, lease, connection_lease, passivate_after, file_after,
    contexts_kept, context_retention, snapshot_wait, snapshot_timeout, autosave, max_objects,
    trash_retention, orphan_grace, orphan_retention, max_pending, max_pending_per_connection,
]  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_setting_that_changes_takes_effect(site: Site, check: Callable[[Site], None]) -> None:
    check(site)


def test_there_is_such_a_test_for_every_setting_that_can_change() -> None:
    assert {check.__name__ for check in CHECKS} | ELSEWHERE == RELOADABLE


def test_settings_that_are_wrong_change_nothing_and_the_log_says_why(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.change(lease=0.06)
    before = site.published
    site.problem = ValueError("lease: is -1: Expected `float` > 0.")
    read = threading.Event()
    assert site.backend._backend is not None

    site.backend._backend.reload(read.set)

    assert read.wait(DEADLINE)
    assert site.published is before
    logged = capsys.readouterr().out
    assert "settings_not_reloaded" in logged
    assert "lease: is -1" in logged
