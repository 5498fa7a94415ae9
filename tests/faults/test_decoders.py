"""Decoders are made when modules are loaded, because making one is not safe in two threads."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]

LATER = {
    "storage/session_checks.py": "of a type whose decoder is made elsewhere",
    "storage/backup_file.py": "by one thread at a time",
    "actors/images/image_calls.py": "of a type without fields",
    "tools/client/client.py": "of a type without fields",
}
"""Where one is made on the way nevertheless."""


def makes_a_decoder(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="decode"), keywords=keywords):
            return any(keyword.arg == "type" for keyword in keywords)
    return False


def test_no_thread_makes_a_decoder_while_another_may_make_the_same() -> None:
    """msgspec keeps what it knows of a type in the type, and fills it in bit by bit: a second
    thread that finds it half made ends the process with SIGSEGV (seen with 0.22).
    """
    found = {
        module.relative_to(ROOT).as_posix()
        for name in ("actors", "storage", "tools/client")
        for module in (ROOT / name).rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if makes_a_decoder(node)
    }
    assert found == set(LATER)
