"""Bounds on what the wire may carry; one place, so that the docs and the code can agree."""

from __future__ import annotations

from typing import Final

BODY_BYTES: Final = 10 * 1024 * 1024
"""The largest request body that is served; a larger one is answered `message_too_large`."""

SOCKET_BYTES: Final = 64 * 1024 * 1024
"""The largest message that the socket takes at all; beyond it libzmq drops the connection."""

SMALL_BODY_BYTES: Final = 64 * 1024
"""Bodies up to here are decoded where they arrive (2 ms at the worst); larger ones are not."""

DEPTH: Final = 100
"""How deep arrays and maps may be nested in a body."""

ID_CHARACTERS: Final = 1024
"""The longest request id."""

CODE_CHARACTERS: Final = 4 * 1024 * 1024
"""The longest code of one evaluation."""

NAME_CHARACTERS: Final = 200
"""The longest name that a person gives to something."""

PRINT_CHARACTERS: Final = 65_536
"""The longest print string that is kept and passed on."""

SESSION_BYTES: Final = 32 * 1024 * 1024
"""The most that all sections of one session may hold together."""

ABOUT_BYTES: Final = 64 * 1024
"""The longest `client_info` and `image_metadata`: both are written with every change."""

SNAPSHOT_BYTES: Final = 8 * 1024 * 1024
"""The longest snapshot of a workspace, as the image's text."""

OUTPUT_CHARACTERS: Final = 65_536
"""What is kept of the output of one evaluation: the first half and the last."""

EVENT_CHARACTERS: Final = 4096
"""The longest piece of output in one event; longer ones are told in several."""

EVENTS_KEPT: Final = 1000
"""Stored events of a session; the oldest is forgotten first."""
