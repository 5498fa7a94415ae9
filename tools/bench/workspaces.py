"""Workspaces with the same graph of ordinary objects, in both dialects."""

from __future__ import annotations

import inspect
from typing import Final, Literal

from tools.bench import objects
from tools.bench.asking import Asker

Dialect = Literal["Python", "Amber"]

_ITEM: Final = """
Object subclass: #BenchItem slots: {#name. #number. #peers} package: 'Bench'.
BenchItem
    compile: 'name: aName number: aNumber
        name := aName. number := aNumber. peers := OrderedCollection with: self with: aNumber'
    protocol: 'bench'.
BenchItem compile: 'peers ^ peers' protocol: 'bench'
"""
_GROWN: Final = """
objects := OrderedCollection new.
0 to: {count} // 5 - 1 do: [ :index | | name item facts earlier |
    name := 'item ', (index * 2654435761 \\\\ 4294967296) asString, ' of the graph'.
    item := BenchItem new.
    item name: name number: index.
    earlier := index = 0 ifTrue: [ item ] ifFalse: [ objects at: index // 2 * 5 + 1 ].
    facts := Dictionary new.
    facts at: 'name' put: name; at: 'share' put: index / 4; at: 'part of' put: earlier.
    objects add: item; add: item peers; add: facts; add: {{facts. index}}; add: name ].
counter := 0.
nil
"""


def growing(dialect: Dialect, count: int) -> list[str]:
    """Codes that make COUNT objects, as the variable `objects`; `counter` is 0."""
    if dialect == "Amber":
        return [_ITEM, _GROWN.format(count=count)]
    return [
        inspect.getsource(objects),
        f"objects = grown({count})\ncounter = 0\ndel grown",
    ]


def session_with_objects(asker: Asker, client_id: str, count: int) -> str:
    """A new session of a service on its Python image, with COUNT objects in its workspace."""
    made: str = asker.ask("create_session", client_id=client_id)["session_id"]
    for code in growing("Python", count):
        asker.ask("evaluate", session_id=made, code=code, evaluation_mode="Execute")
    return made
