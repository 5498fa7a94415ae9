"""A restore report as a table: what was there, and what became of it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, Final

from tools.cli.text import table
from tools.demo.report import Step
from tools.demo.scene import short_id

_WIDTH: Final = 92


def told(report: dict[str, Any], *, objects: bool) -> str:
    """The table of variables and inspector entries.

    With OBJECTS also those with ids, and the evaluations that are lost.
    """
    rows = [("variable", item["name"], item["fate"], _now(item)) for item in report["variables"]]
    if objects:
        rows += [
            (f"object {short_id(item['object_id'])}", _via(item), item["fate"], _now(item))
            for item in report["objects"]
        ]
    rows += [
        (
            "inspector",
            entry["path"],
            "present" if entry["present"] else "missing",
            f"names {short_id(entry['object_id'])}",
        )
        for entry in report["inspector"]
    ]
    text = table(("WHAT", "NAME", "FATE", "NOW"), rows, _WIDTH)
    lost = ", ".join(map(str, report["evaluations_lost"])) or "none"
    return f"{text}\nevaluations whose effects are lost: {lost}" if objects else text


def check_variables(
    report: dict[str, Any],
    *,
    restored: AbstractSet[str],
    partial: AbstractSet[str] = frozenset(),
    lost: AbstractSet[str] = frozenset(),
) -> None:
    """Check that a report tells of just these variables, and why the lost ones are."""
    found: dict[str, set[str]] = {"restored": set(), "partial": set(), "lost": set()}
    for item in report["variables"]:
        found[item["fate"]].add(item["name"])
        Step.check(
            item["fate"] == "restored" or bool(item.get("reason")),
            f"It is not said why {item['name']} is {item['fate']}.",
        )
    expected = {"restored": restored, "partial": partial, "lost": lost}
    for fate, names in expected.items():
        Step.check(
            found[fate] == names,
            f"{fate} are {sorted(found[fate])}; they must be {sorted(names)}.",
        )


def check_nothing_else_lost(report: dict[str, Any]) -> None:
    """Check that all objects with ids, inspector entries and evaluations are there."""
    gone = [item["object_id"] for item in report["objects"] if item["fate"] != "restored"]
    Step.check(not gone, f"Objects are not there: {', '.join(gone)}.")
    missing = [entry["path"] for entry in report["inspector"] if not entry["present"]]
    Step.check(not missing, f"The inspector misses {', '.join(missing)}.")
    lost = report["evaluations_lost"]
    Step.check(not lost, f"The effects of the evaluations {lost} are lost.")


def _now(item: dict[str, Any]) -> str:
    """What there is now, or why not all of it is there."""
    shown, reason = str(item.get("print_string", "")), str(item.get("reason", ""))
    if item["fate"] != "restored":
        return reason
    return ": ".join(filter(None, (shown, reason)))


def _via(item: dict[str, Any]) -> str:
    """How an object was reached, with short ids."""
    return " ".join(short_id(word) if "-" in word else word for word in item["via"].split())
