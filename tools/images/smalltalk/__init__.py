"""The Smalltalk image: Amber Smalltalk on Node.js behind a ZeroMQ socket.

The image is written in JavaScript; `run` starts it. The main thread (`main.js`) has the socket and
the signals, the object memory (`object_memory.js`) has a thread of its own. It needs POSIX signals
and locks, and was only ever run on Linux.

Environment: STUI_NODE_MODULES, the folder with the npm packages; STUI_SMALLTALK_HEAP, how many MiB
of objects it may hold (2048).
"""

from tools.images.smalltalk.launcher import run

__all__ = ["run"]
