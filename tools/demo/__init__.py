"""`stui demo`: a session that survives `kill -9` of the backend, step by step.

`story.run` tells it. Everything is done from outside, as a user would do it: programs are started
as processes, and asked over ZeroMQ.
"""

from tools.demo.story import run

__all__ = ["run"]
