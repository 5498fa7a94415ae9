"""Named places where the process can be made to fail, for tests and the fault driver.

Code calls `hit("store.commit.before")`; nothing happens unless that name was armed, by `arm` or by
the environment:

    STUI_FAILPOINTS="store.commit.before=kill;file.write.before=raise:ENOSPC*3"

that is `name=action[:argument][*count]`, separated by semicolons; the count is 1 where none is
given. Names are free. The actions:

- `raise[:WHAT]`: raise `OSError` where WHAT is the name of an errno, else `Injected(WHAT)`
- `kill`: end this process with SIGKILL (where there is none, at once and without clean-up)
- `delay:SECONDS`: go on after that time
- `hang`: go on when the name is disarmed

Everything here may be called by any thread.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from typing import Final, Literal, NoReturn, TypeAlias, cast, get_args

Action: TypeAlias = Literal["raise", "kill", "delay", "hang"]

VARIABLE: Final = "STUI_FAILPOINTS"


class Injected(Exception):
    """What an armed `raise` raises, where no errno was named."""


class _Armed:
    def __init__(self, name: str, action: Action, argument: str, times: int) -> None:
        self.name = name
        self.action = action
        self.argument = argument
        self.times = times
        self.disarmed = threading.Event()


_armed: dict[str, _Armed] = {}
_change = threading.Condition()
_hits: dict[str, int] = {}


def hit(name: str) -> None:
    """Fail here if NAME is armed; else this costs a look at an empty dict."""
    if _armed:
        _fail(name)


def arm(name: str, action: Action, argument: str = "", times: int = 1) -> None:
    """Let the next TIMES hits of NAME fail. Raises `ValueError` for what cannot be done."""
    if action not in get_args(Action):
        raise ValueError(f"The failpoint action {action!r} is none of {get_args(Action)}.")
    if action == "delay":
        float(argument)
    if times < 1:
        raise ValueError(f"A failpoint cannot be hit {times} times; 1 is the least.")
    with _change:
        _drop(name)
        _hits[name] = 0
        _armed[name] = _Armed(name, action, argument, times)


def arm_from(text: str) -> None:
    """Arm what TEXT says in the form of the environment variable."""
    for item in filter(None, map(str.strip, text.split(";"))):
        name, separator, rest = item.partition("=")
        rest, _, count = rest.partition("*")
        action, _, argument = rest.partition(":")
        if not (name and separator and (not count or count.isdecimal())):
            raise ValueError(f"{VARIABLE} has {item!r}; it must be name=action[:argument][*count].")
        arm(name, cast(Action, action), argument, int(count or 1))


def disarm(name: str) -> None:
    """Let NAME do nothing again, and let go on what hangs there."""
    with _change:
        _drop(name)


def disarm_all() -> None:
    """Let nothing fail any more, and let go on whatever hangs."""
    with _change:
        for name in list(_armed):
            _drop(name)
        _hits.clear()


def wait_for_hit(name: str, timeout: float, count: int = 1) -> bool:
    """Wait up to TIMEOUT seconds until NAME, since it was armed, was hit COUNT times."""
    with _change:
        return _change.wait_for(lambda: _hits.get(name, 0) >= count, timeout)


def _drop(name: str) -> None:
    if armed := _armed.pop(name, None):
        armed.disarmed.set()


def _fail(name: str) -> None:
    with _change:
        armed = _armed.get(name)
        if armed is None or armed.times == 0:
            return
        armed.times -= 1
        if armed.times == 0 and armed.action != "hang":  # what hangs needs its name to be let go
            _drop(name)
        _hits[name] += 1
        _change.notify_all()
    match armed.action:
        case "raise":
            _raise(armed)
        case "kill":
            _kill()
        case "delay":
            time.sleep(float(armed.argument))
        case "hang":
            armed.disarmed.wait()


def _raise(armed: _Armed) -> NoReturn:
    code = getattr(errno, armed.argument, None) if armed.argument.isupper() else None
    if code is not None:
        raise OSError(code, f"{os.strerror(code)} (failpoint {armed.name})")
    raise Injected(armed.argument or f"failpoint {armed.name}")


def _kill() -> NoReturn:
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)


arm_from(os.environ.get(VARIABLE, ""))
