"""The packages depend on one another in one direction only, and their names are ours."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"actors", "protocol", "storage", "tools", "stui"}

ALLOWED = {
    "protocol": {"protocol"},
    "storage": {"protocol", "storage"},
    "actors": {"protocol", "storage", "actors"},
    "tools": {"protocol", "tools"},
}
# What starts or administers a backend; a name that ends in a slash is a folder.
STARTS_A_BACKEND = (
    "stui.py",
    "tools/serve.py",
    "tools/config.py",
    "tools/session_files.py",
    "tools/starting.py",
    "tools/backups.py",
    "tools/bench/",
    "tools/cli/failpoints.py",
    "tools/doctor/",
    "tools/faults/",
    "tools/soak/service.py",
)


MODULES = [
    *(path for name in ALLOWED for path in sorted((ROOT / name).rglob("*.py"))),
    *ROOT.glob("stui.py"),
]


def imported(module: Path) -> Iterator[tuple[int, str]]:
    """The line and the top-level name of each absolute import in MODULE, nested ones too."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # A relative import cannot leave its package.
            yield node.lineno, node.module.partition(".")[0]


def allowed(name: str) -> set[str]:
    if name.startswith(STARTS_A_BACKEND):
        return OURS
    return ALLOWED[name.partition("/")[0]]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_only_what_its_package_may(module: Path) -> None:
    name = module.relative_to(ROOT).as_posix()

    wrong = [
        f"{name}:{line} imports {package}"
        for line, package in imported(module)
        if package in OURS - allowed(name)
    ]

    assert wrong == []


def test_the_rule_sees_every_kind_of_import(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "import storage.store as s\n"
        "def later():\n"
        "    from actors import backend\n"
        "    import json, tools.cli\n"
    )

    assert sorted(imported(module)) == [(1, "storage"), (3, "actors"), (4, "json"), (4, "tools")]


@pytest.mark.parametrize("name", sorted(OURS))
def test_no_other_distribution_owns_our_names(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"stui"}
