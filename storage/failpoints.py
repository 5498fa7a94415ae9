"""Named places where the process can be made to fail, for tests and the fault driver.

Code calls `hit("store.commit.before")`; nothing happens unless that name was armed, by `arm` or by
the environment:

    STUI_FAILPOINTS="store.commit.before=kill@7;file.write.before=raise:ENOSPC*3"

that is `name=action[:argument][*count][@first]`, separated by semicolons: the hits that fail begin
with number `first` and are `count` many; both are 1 where they are not given. `failpoint_names` has
the names; `stui failpoints` lists them. The actions:

- `raise[:WHAT]`: raise `OSError` where WHAT is the name of an errno, else `Injected(WHAT)`
- `kill`: end this process with SIGKILL (where there is none, at once and without clean-up)
- `delay:SECONDS`: go on after that time
- `hang`: go on when the name is disarmed

Everything here may be called by any thread.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
import time
from typing import Final, Literal, NoReturn, TypeAlias, cast, get_args

from storage.failpoint_names import FAILPOINTS

Action: TypeAlias = Literal["raise", "kill", "delay", "hang"]

VARIABLE: Final = "STUI_FAILPOINTS"

_FORM: Final = re.compile(
    r"(?P<name>[^=]+)=(?P<action>[a-z]+)(:(?P<argument>[^*@]*))?"
    r"(\*(?P<times>[0-9]+))?(@(?P<first>[0-9]+))?"
)


class Injected(Exception):
    """What an armed `raise` raises, where no errno was named."""


class _Armed:
    def __init__(self, name: str, action: Action, argument: str, times: int, spared: int) -> None:
        self.name = name
        self.action = action
        self.argument = argument
        self.times = times
        self.spared = spared
        self.disarmed = threading.Event()


_armed: dict[str, _Armed] = {}
_change = threading.Condition()
_hits: dict[str, int] = {}


def hit(name: str) -> None:
    """Fail here if NAME is armed; else this costs a look at an empty dict."""
    if _armed:
        _fail(name)


def arm(name: str, action: Action, argument: str = "", times: int = 1, first: int = 1) -> None:
    """Let TIMES hits of NAME fail, from the FIRST on. Raises `ValueError` for what cannot be done.

    Tests may use names of their own.
    """
    if action not in get_args(Action):
        raise ValueError(f"The failpoint action {action!r} is none of {get_args(Action)}.")
    if action == "delay":
        float(argument)
    if times < 1 or first < 1:
        raise ValueError(
            f"{times} hits from number {first} on cannot fail; 1 is the least of both."
        )
    with _change:
        _drop(name)
        _hits[name] = 0
        _armed[name] = _Armed(name, action, argument, times, first - 1)


def arm_from(text: str) -> None:
    """Arm what TEXT says in the form of the environment variable."""
    for item in filter(None, map(str.strip, text.split(";"))):
        found = _FORM.fullmatch(item)
        if not found:
            raise ValueError(
                f"{VARIABLE} has {item!r}; it must be name=action[:argument][*count][@first]."
            )
        name, action, argument = found["name"], cast(Action, found["action"]), found["argument"]
        if name not in FAILPOINTS:
            raise ValueError(f"There is no failpoint {name!r}: `stui failpoints` lists them.")
        arm(name, action, argument or "", int(found["times"] or 1), int(found["first"] or 1))


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
    """Wait up to TIMEOUT seconds until NAME, since it was armed, has failed COUNT times."""
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
        if armed.spared:
            armed.spared -= 1
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
