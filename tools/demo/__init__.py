"""`stui demo`: a session that survives what is done to backend and images, step by step.

`story.run` tells it, a chapter a module. Everything is done from outside, as a user would do it:
programs are started as processes, and asked over ZeroMQ.
"""

from tools.demo.story import run

__all__ = ["run"]
