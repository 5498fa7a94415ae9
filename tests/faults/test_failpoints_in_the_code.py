"""Compares the table of failpoints with the code, and looks for durable steps that have none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from storage.failpoint_names import FAILPOINTS

ROOT = Path(__file__).parents[2]
MODULES = [path for name in ("storage", "actors") for path in sorted((ROOT / name).rglob("*.py"))]

STEPS = {
    *("fsync", "pwrite", "ftruncate", "rename", "unlink", "rmtree", "write_bytes", "write_text"),
    *("bind", "send_multipart"),
}
"""Methods and functions after which the disk, or somebody else, is not as before."""

LEFT_OUT = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.ExceptHandler)
"""What is looked at by itself, and what cleans up after a step that has failed."""

STATEMENTS = ("COMMIT", "PRAGMA wal_checkpoint")
"""What does so when it is executed by SQLite."""

WITHOUT = {
    "storage/sqlite_reads.py:_snapshot": "ends a transaction that has only read",
    "storage/replacement.py:_sync_files": "is called between two failpoints",
    "storage/replacement.py:finish_replacements": "removes what was not finished",
    "storage/salvage.py:salvaged": "commits to a copy that is read and thrown away",
    "storage/backup.py:_one_at_a_time": "removes what was not finished",
    "storage/mending.py:gives_way": "removes a copy that nothing depends on yet",
}


@dataclass
class Function:
    """One function's own code."""

    name: str
    steps: list[int] = field(default_factory=list)
    hits: list[int] = field(default_factory=list)

    @property
    def is_covered(self) -> bool:
        return bool(self.hits) and min(self.hits) < min(self.steps) <= max(self.steps) < max(
            self.hits
        )


def functions(code: str, where: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef):
            function = Function(f"{where}:{node.name}")
            for inner in own_nodes(node):
                if isinstance(inner, ast.Call):
                    if is_step(inner):
                        function.steps.append(inner.lineno)
                    elif called(inner) == "hit":
                        function.hits.append(inner.lineno)
            yield function


def place(module: Path) -> str:
    return module.relative_to(ROOT).as_posix()


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, LEFT_OUT):
            yield node
            yield from own_nodes(node)


def called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def is_step(call: ast.Call) -> bool:
    match called(call), call.args:
        case "replace", [argument]:  # of a path; that of a text has two, that of a value keywords
            return not call.keywords and not isinstance(argument, ast.Starred)
        case "execute", [ast.Constant(value=str(text)), *_]:
            return text.startswith(STATEMENTS)
        case name, _:
            return name in STEPS and isinstance(call.func, ast.Attribute)


def names_in_the_code() -> dict[str, list[str]]:
    """Where each failpoint is hit, by its name."""
    found: dict[str, list[str]] = {}
    for module in MODULES:
        where = place(module)
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="hit"), args=[ast.Constant(value=str(name))]):
                    found.setdefault(name, []).append(f"{where}:{node.lineno}")
                case ast.ClassDef(body=body):
                    for kind in kinds(body):
                        for moment in ("start", "receive"):
                            found.setdefault(f"{kind}.{moment}", []).append(where)
    return found


def kinds(body: list[ast.stmt]) -> Iterator[str]:
    """The name that a class of actors gives its failpoints."""
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="kind")], value=ast.Constant(value=str(kind))):
                yield kind


def test_every_place_in_the_code_is_in_the_table() -> None:
    unknown = {name: at for name, at in names_in_the_code().items() if name not in FAILPOINTS}
    assert unknown == {}, "storage/failpoint_names.py needs a sentence for each"


def test_every_place_in_the_table_is_in_the_code() -> None:
    assert set(FAILPOINTS) - set(names_in_the_code()) == set()


def test_every_place_is_in_the_code_once() -> None:
    twice = {name: at for name, at in names_in_the_code().items() if len(at) > 1}
    assert twice == {}


def test_a_place_has_a_sentence() -> None:
    assert [name for name, text in FAILPOINTS.items() if not text.endswith(".")] == []


def test_every_durable_step_is_between_two_failpoints() -> None:
    found = [
        each
        for module in MODULES
        for each in functions(module.read_text(encoding="utf-8"), place(module))
        if each.steps
    ]
    bare = {each.name for each in found if not each.is_covered}
    assert bare - set(WITHOUT) == set(), "put a hit() before the first step and after the last"
    assert set(WITHOUT) - bare == set(), "these exceptions are not needed any more"


@pytest.mark.parametrize(
    "code",
    [
        "os.fsync(3)",
        "path.replace(other)",
        "hit('a'); path.rename(other)",
        "path.unlink(missing_ok=True); hit('a')",
        "connection.execute('COMMIT')",
        "hit('a'); socket.send_multipart(frames); socket.bind('a'); hit('b'); os.fsync(3)",
    ],
)
def test_the_rule_finds_steps_that_have_no_failpoints(code: str) -> None:
    assert [each.is_covered for each in written(code) if each.steps] == [False]


@pytest.mark.parametrize(
    "code",
    [
        "hit('a')\n    os.fsync(3)\n    hit('b')",
        "text.replace('a', 'b')",
        "replace(value, a=1)",
        "structs.replace(value, a=1)",
        "connection.execute('SELECT 1')",
    ],
)
def test_the_rule_leaves_the_rest_alone(code: str) -> None:
    assert [each for each in written(code) if each.steps and not each.is_covered] == []


def written(code: str) -> list[Function]:
    return list(functions(f"def function():\n    {code}\n", "here"))
