"""Tests that take too long for every run; `STUI_LONG_FAULTS=1` has them run too."""

from __future__ import annotations

import os

import pytest

long_running = pytest.mark.skipif(
    not os.environ.get("STUI_LONG_FAULTS"), reason="takes long; STUI_LONG_FAULTS=1 runs it"
)
