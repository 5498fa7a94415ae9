"""Bounds and access lists: how much is taken, and from whom."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.settings import Settings
from tests.support.backend import RunningBackend, running_backend
from tests.support.images import FakeImage, evaluated
from tests.support.waiting import eventually
from tests.support.wire import Wire


class ConfigFile:
    """A settings file, and how often it was read."""

    def __init__(self, path: Path, base: Settings) -> None:
        self.path, self.reads, self._base = path, 0, base
        self.write("")

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")

    def load(self) -> Settings:
        self.reads += 1
        try:
            given = tomllib.loads(self.path.read_text(encoding="utf-8"))
        except OSError as problem:
            raise ValueError(str(problem)) from None
        if unknown := given.keys() - set(Settings.__struct_fields__):
            message = f"there are no settings {unknown}"
            raise ValueError(message)
        return Settings(data_dir=self._base.data_dir, bind=self._base.bind, **given)


@pytest.fixture
def config(tmp_path: Path) -> ConfigFile:
    (tmp_path / "etc").mkdir()
    base = Settings(data_dir=tmp_path / "data", bind=("tcp://127.0.0.1:*",))
    return ConfigFile(tmp_path / "etc" / "stui.toml", base)


@pytest.fixture
def backend(config: ConfigFile, tmp_path: Path) -> Iterator[RunningBackend]:
    with running_backend(tmp_path / "data", config=config.path, load=config.load) as running:
        yield running


def is_refused(client: Wire, client_id: str) -> bool:
    reply = client.ask("create_session", client_id=client_id, timeout=1)
    return bool(reply["status"] == "error" and reply["error_code"] == "client_not_allowed")


def test_the_lists_of_clients_take_effect_while_the_backend_runs(
    client: Wire, config: ConfigFile
) -> None:
    session = client.new_session("evil_one")
    at_rest = client.new_session("evil_two")
    client.do("close_session", session_id=at_rest)
    config.write('denied_clients = ["evil*"]\n')
    eventually(lambda: is_refused(client, "evil_three"))
    assert not is_refused(client, "good")
    assert client.fail("create_session", client_id="evil_one").code == "client_not_allowed"
    for command in ("restore_session", "get_session_info", "close_session"):
        assert client.fail(command, session_id=session).code == "client_not_allowed"
        assert client.fail(command, session_id=at_rest).code == "client_not_allowed"
    config.write('allowed_clients = ["good?"]\n')
    eventually(lambda: is_refused(client, "other"))
    assert not is_refused(client, "good1")
    config.write("")
    eventually(lambda: not is_refused(client, "other"))
    assert client.do("restore_session", session_id=session)["client_id"] == "evil_one"


@pytest.mark.parametrize(
    "nonsense", ["denied_clients = [", 'no_such_setting = "x"\n', "\x00\x01\x02"]
)
def test_a_settings_file_that_is_wrong_changes_nothing(
    client: Wire, config: ConfigFile, nonsense: str
) -> None:
    config.write('denied_clients = ["evil"]\n')
    eventually(lambda: is_refused(client, "evil"))
    reads = config.reads
    config.write(nonsense)
    eventually(lambda: config.reads > reads)
    assert is_refused(client, "evil")
    assert not is_refused(client, "good")
    config.write('denied_clients = ["good"]\n')
    eventually(lambda: is_refused(client, "good"))


def test_a_settings_file_that_is_replaced_or_gone_for_a_moment_is_read(
    client: Wire, config: ConfigFile
) -> None:
    new = config.path.with_suffix(".new")
    new.write_text('denied_clients = ["evil"]\n', encoding="utf-8")
    new.replace(config.path)
    eventually(lambda: is_refused(client, "evil"))
    config.path.unlink()
    config.write('denied_clients = ["worse"]\n')
    eventually(lambda: is_refused(client, "worse"))


def test_reload_reads_the_settings_at_once(
    backend: RunningBackend, client: Wire, config: ConfigFile
) -> None:
    reads = config.reads
    backend.reload()
    eventually(lambda: config.reads > reads)
    client.do("ping")


def test_a_limit_that_is_changed_counts_from_then_on(client: Wire, config: ConfigFile) -> None:
    config.write("max_sessions_per_client = 1\ncleanup_interval = 7\n")
    eventually(lambda: client.do("get_session_statistics")["max_sessions_per_client"] == 1)
    client.new_session("lonely")
    assert client.fail("create_session", client_id="lonely").code == "session_limit"
    assert client.do("get_session_statistics")["cleanup_interval"] == 300


def test_too_many_requests_of_one_connection_are_refused_and_others_are_served(
    tmp_path: Path, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    with (
        running_backend(
            tmp_path / "busy", images={"fake": image.endpoint}, max_pending_per_connection=4
        ) as running,
        running.client(dealer=True) as greedy,
        running.client() as other,
    ):
        running.wait_for_image("fake")
        sent = [greedy.send("evaluate", code=str(number)) for number in range(4)]
        failure = greedy.fail("ping", message="one too many")
        assert failure.code == "overloaded"
        assert failure.reply["id"] == "ping-5"
        assert other.do("ping")["status"] == "ready"
        for number, request in enumerate(sent):
            image.reply(image.wait_for("evaluate", number + 1), evaluated(str(number)))
            assert greedy.result(request)["result"] == str(number)
        assert greedy.do("ping")["status"] == "ready"


def test_too_many_requests_in_all_are_refused_and_nothing_is_done(
    tmp_path: Path, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    with (
        running_backend(
            tmp_path / "full", images={"fake": image.endpoint}, max_pending=3
        ) as running,
        running.client(dealer=True) as one,
        running.client(dealer=True) as two,
    ):
        running.wait_for_image("fake")
        for client in (one, two, one):
            client.send("evaluate", code="1")
        image.wait_for("evaluate", 3)
        assert two.fail("create_session", client_id="late").code == "overloaded"
        image.holding = set()
        image.reply(image.asked_for("evaluate")[0], evaluated("1"))
        eventually(lambda: two.ask("ping")["status"] == "success")
        assert two.do("list_client_sessions", client_id="late")["session_count"] == 0


def test_a_client_that_vanishes_leaves_the_others_served_and_its_outcome_in_the_history(
    tmp_path: Path, image: FakeImage
) -> None:
    image.holding = {"evaluate"}
    with (
        running_backend(tmp_path / "gone", images={"fake": image.endpoint}) as running,
        running.client() as other,
    ):
        running.wait_for_image("fake")
        with running.client(dealer=True) as vanishing:
            session = vanishing.new_session()
            vanishing.send("evaluate", session_id=session, code="long")
            for _ in range(50):
                vanishing.send("ping")
            evaluation = image.wait_for("evaluate")
        image.reply(evaluation, evaluated("done"))

        def outcome() -> str:
            history = other.do("get_session_history", session_id=session)["history"]
            state: str = history[0]["state"]
            return state

        eventually(lambda: outcome() == "finished")
        record = other.do("get_evaluation", session_id=session, evaluation=1)
        assert record["result"] == "done"
