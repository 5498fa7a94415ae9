"""The kinds of actors that there are, and running actors by their kind."""

from __future__ import annotations

from collections.abc import Iterator

import pykka

import actors.backend  # noqa: F401 - with it come all actors
from actors.address import Ref
from actors.supervised import Supervised

CHILDREN = ("image", "session")
"""The kinds whose parents are not the supervisor, but actors of the tree."""


def _kinds(parent: type[Supervised] = Supervised) -> Iterator[str]:
    for child in parent.__subclasses__():
        if child.__module__.partition(".")[0] == "actors":
            if "kind" in vars(child):
                yield child.kind
            yield from _kinds(child)


OF_THE_TREE = tuple(sorted(set(_kinds()) - set(CHILDREN)))
"""The kinds that the supervisor keeps."""


def running(kind: str) -> list[Ref]:
    """The actors of a kind that are alive in this process."""
    return [
        ref for ref in pykka.ActorRegistry.get_all() if getattr(ref.actor_class, "kind", "") == kind
    ]


def forget_sessions() -> None:
    """Take sessions out of pykka's list that a backend which hung has left: nobody runs them."""
    for ref in running("session"):
        pykka.ActorRegistry.unregister(ref)
