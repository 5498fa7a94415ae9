"""The size of a session file: a workspace of many objects and a long history."""

from __future__ import annotations

import itertools
import random
from typing import Final

from tools.bench.asking import Asker, asking, wait_for_images
from tools.bench.bench import Bench
from tools.bench.errors import CannotMeasure
from tools.bench.findings import Finding, Measured, Series, Target
from tools.bench.workspaces import session_with_objects

_TARGET: Final = Target(bound=2.0)
_TEXT: Final = (
    "account balance branch buffer change child client colour count customer default depth"
    " document editor entry event field file filter first folder format group header history image"
    " index input item label layer length level limit line link list message name network node"
    " number object offset order output owner page parent path point price process query range"
    " record report request result root row rule scale scope section selection server session size"
    " slot source stack state status step stream string style symbol table target text thread time"
    " token total tree type unit update user value version view visitor width window word writer"
)
_WORDS: Final = _TEXT.split()


def measure(bench: Bench) -> Measured:
    """Of a new session each round, evaluated on the Python image and exported."""
    data_dir, clients = bench.data_dir("file"), itertools.count(1)
    service = bench.service(data_dir, {"python": bench.image().endpoint})
    with asking(service.endpoint) as asker:
        wait_for_images(asker)
        files = bench.rounds(
            "session file", {"file": lambda: _exported(bench, asker, next(clients))}
        )["file"]
    objects, entries = bench.scale.workspace_objects, bench.scale.file_evaluations
    what = f"session file, {objects} objects and {entries} evaluations"
    sizes = [size / 1e6 for size, _ in files]
    times = [1e3 * seconds for _, seconds in files]
    return Measured(
        findings=[Finding(what=what, unit="MB", values=sizes, target=_TARGET)],
        series=[Series(name="export_session of that", unit="ms", values=times)],
    )


def _exported(bench: Bench, asker: Asker, number: int) -> tuple[int, float]:
    """The bytes of the file, and the seconds until the client has it."""
    session = session_with_objects(asker, f"bench-{number}", bench.scale.workspace_objects)
    source = random.Random(number)  # noqa: S311  no secret
    for _ in range(bench.scale.file_evaluations):
        asker.ask("evaluate", session_id=session, code=_code(source))
    exported = asker.ask("export_session", session_id=session)
    seconds = asker.seconds
    summary = asker.ask("get_context_summary", session_id=session)
    if summary["last_saved"] is None:
        raise CannotMeasure(f"The workspace of {session} is in no snapshot: {summary}")
    return exported["size_bytes"], seconds


def _code(source: random.Random) -> str:
    """A few lines as people write them: about 250 characters, with a line of output and a result.

    The words are drawn at random, so that it is not compressed better than what people write.
    """
    name, other, key, title = source.choices(_WORDS, k=4)
    text = " ".join(source.choices(_WORDS, k=12))
    return (
        f"# {text}\n"
        f"the_{name} = [{{'{key}': n * {source.randrange(1000)}, '{title}': '{other}'}}"
        f" for n in range({source.randrange(2, 9)})]\n"
        f"print('{title} of {other}:', len(the_{name}), the_{name}[-1]['{key}'])\n"
        f"objects[{source.randrange(10)}], the_{name}"
    )
