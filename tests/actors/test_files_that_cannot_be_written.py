"""Session files that cannot be written keep no other session's from being written."""

from pathlib import Path

from storage.file_names import file_name
from tests.support.backend import running_backend
from tests.support.waiting import eventually


def test_many_sessions_whose_files_cannot_be_written_hold_up_nobody_elses(tmp_path: Path) -> None:
    with (
        running_backend(tmp_path, file_after=0.05, max_sessions_per_client=20) as backend,
        backend.client() as client,
    ):
        files = tmp_path / "sessions"
        files.mkdir(exist_ok=True)
        (files / file_name("unlucky")).write_text("a file where a folder should be")
        unlucky = [client.new_session("unlucky") for _ in range(9)]
        lucky = [client.new_session("lucky") for _ in range(6)]

        def written() -> set[str]:
            return {path.stem for path in (files / file_name("lucky")).glob("*.stui")}

        eventually(lambda: written() == set(lucky))
        changed = client.do("update_session_state", session_id=lucky[0], state_data={"n": 1})
        assert changed["revision"] == 2
        for session in unlucky:
            assert client.do("get_session_info", session_id=session)["status"] == "active"


def test_sessions_whose_files_cannot_be_written_do_not_keep_the_backend_from_stopping(
    tmp_path: Path,
) -> None:
    with running_backend(tmp_path, max_sessions_per_client=20) as backend:
        with backend.client() as client:
            files = tmp_path / "sessions"
            files.mkdir(exist_ok=True)
            (files / file_name("unlucky")).write_text("a file where a folder should be")
            unlucky = [client.new_session("unlucky") for _ in range(5)]
        backend.restart()
        with backend.client() as client:
            for session in unlucky:
                assert client.do("restore_session", session_id=session)["revision"] == 1
