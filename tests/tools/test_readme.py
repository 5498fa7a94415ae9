"""The README's Python example is run, and its files are there."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs_as_it_is_printed(service: str) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    # The service has a Python image, and the example is in Smalltalk.
    program = example.replace("tcp://127.0.0.1:5555", service).replace("nil foo", "None.foo")
    output = io.StringIO()

    with contextlib.redirect_stdout(output):
        exec(compile(program, "README.md", "exec"), {})  # noqa: S102 - our own text

    seven, error, section = output.getvalue().splitlines()
    assert seven == "7"
    assert "foo" in error
    assert f"    {section}\n" in README


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)

    assert len(links) > 4
    assert [link for link in links if not (ROOT / link).exists()] == []
