"""Parts of a Python image's snapshots that are shown best without a socket."""

import itertools
from collections.abc import Iterator

import pytest

from tools.images.python_image.commands import SnapshotWorkspace
from tools.images.python_image.object_ids import ObjectIds
from tools.images.python_image.snapshots.payload import DamagedError, inflate, seal, unseal
from tools.images.python_image.snapshots.picture import picture_of
from tools.images.python_image.snapshots.short_prints import short_print
from tools.images.python_image.snapshots.taking import QUICK_BYTES, take_quickly
from tools.images.python_image.workspace import Workspace


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    made = Workspace("parts", "epoch", itertools.count(1))
    yield made
    made.close()


def is_taken_quickly(workspace: Workspace, code: str) -> bool:
    exec(code, workspace.namespace)  # noqa: S102 - what an image is for
    picture = picture_of(workspace.module, workspace.module_name, {})
    return take_quickly(picture, SnapshotWorkspace(session="parts")) is not None


class TestQuickSnapshots:
    @pytest.mark.parametrize(
        "code",
        [
            "x = [1, 'a', {2.0: (None, True)}, {1}, b'a', 10**50]",
            "class A:\n    b = 1\n    def c(self): return self\nx = A(); x.y = [x]",
            "class A:\n    __slots__ = ('b',)\nx = A(); x.b = 1",
            "import math, os.path\nfrom collections import deque\nx = deque('ab')",
            "n = 0\ndef f(a=n): return lambda: a\ng = f()",
        ],
    )
    def test_what_runs_no_code_is_taken_at_once(self, workspace: Workspace, code: str) -> None:
        assert is_taken_quickly(workspace, code)

    @pytest.mark.parametrize(
        "code",
        [
            "def __reduce__(self): return A, ()",
            "def __reduce_ex__(self, protocol): return A, ()",
            "def __getstate__(self): return {}",
            "def __getnewargs__(self): return ()",
            "def __getattr__(self, name): return None",
            "def __getattribute__(self, name): return None",
            "__class__ = property(lambda self: int)",
            "__dict__ = property(lambda self: {})",
            "def __repr__(self): return 'a'",
        ],
    )
    def test_what_may_run_code_is_not(self, workspace: Workspace, code: str) -> None:
        assert not is_taken_quickly(workspace, f"class A:\n    {code}\nx = A()")

    @pytest.mark.parametrize(
        "code",
        [
            "class M(type): pass\nclass A(metaclass=M): pass",
            "class A(list): pass\nx = A()",
            "import threading\nx = threading.Lock()",
            f"x = list(range({QUICK_BYTES}))",
            f"x = 'a' * {QUICK_BYTES}",
            "x = []\nfor _ in range(10_000): x = [x]",
            "for i in range(600): globals()[f'x{i}'] = i",
        ],
    )
    def test_what_is_odd_or_large_is_not(self, workspace: Workspace, code: str) -> None:
        assert not is_taken_quickly(workspace, code)

    def test_what_was_large_is_seldom_tried_again(self, workspace: Workspace) -> None:
        assert workspace.may_be_small()
        workspace.was_small(is_small=False)
        tries = [workspace.may_be_small() for _ in range(20)]
        assert tries.index(True) == 16
        workspace.was_small(is_small=True)
        assert workspace.may_be_small()


class TestSealing:
    def test_what_was_sealed_is_found_again(self) -> None:
        assert unseal(seal(b"contents")) == b"contents"

    def test_more_than_the_limit_is_refused(self) -> None:
        with pytest.raises(DamagedError, match="base64"):
            unseal("ü")
        with pytest.raises(DamagedError, match="decompressed"):
            inflate(b"no zlib", 10)


class TestObjectIds:
    def test_restored_ids_replace_the_others_and_collide_with_no_new_one(self) -> None:
        ids = ObjectIds("epoch", itertools.count(1))
        ids.add("gone")
        first, second = ["first"], ["second"]
        ids.replace({"epoch-2": first, "old-7": first})
        with pytest.raises(KeyError):
            ids.get("epoch-1")
        assert ids.add(first) == "old-7"
        assert ids.add(second) == "epoch-3"
        assert ids.release("old-7")
        assert ids.get("epoch-2") is first
        assert ids.all() == {"epoch-2": first, "epoch-3": second}


class TestShortPrints:
    def test_a_bush_costs_no_more_than_it_shows(self) -> None:
        bush: list[object] = []
        for _ in range(50):
            bush = [bush] * 50
        assert short_print(bush).startswith("[[[[[[[[[[")

    @pytest.mark.parametrize(
        ("value", "printed"),
        [
            ((1,), "(1,)"),
            ({}, "{}"),
            (set(), "set()"),
            (frozenset({1}), "frozenset({1})"),
            ("\ud800", "'\\ud800'"),
            ([[], ()], "[[], ()]"),
        ],
    )
    def test_builtin_collections_print_as_ever(self, value: object, printed: str) -> None:
        assert short_print(value) == printed
