"""An endpoint that libzmq would misread is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.backend import Backend, CannotStart
from actors.settings import Settings


def test_a_port_beyond_the_last_one_is_refused_instead_of_taken_for_another(
    tmp_path: Path,
) -> None:
    settings = Settings(data_dir=tmp_path, bind=("tcp://127.0.0.1:99999",))
    with pytest.raises(CannotStart, match="ports end at 65535"):
        Backend(settings, None, lambda: settings).start()
