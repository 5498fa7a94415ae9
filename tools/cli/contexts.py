"""What a session holds, and the way back in time: commands of `stui sessions`."""

from __future__ import annotations

from typing import get_args

import click

from protocol.replies import ContextRecord, ContextSummary, RestoreReport
from protocol.requests import Scope
from tools.cli.asking import Asking, asks
from tools.cli.text import block, one_line, record, shortened, size, table
from tools.client.client import section

_SECTION_CHARACTERS = 200
_TITLES = ("CONTEXT", "KIND", "LABEL", "SAVED", "AFTER", "VARIABLES", "OBJECTS", "SIZE", "DATA")


@click.command()
@click.argument("session")
@asks()
def contexts(asking: Asking, session: str) -> None:
    """List the points in time that a session can go back to."""
    found = asking.client.list_contexts(asking.session_id(session))
    text = table(_TITLES, [_row(each) for each in found]) if found else "there are no contexts yet"
    asking.show({"contexts": found}, text)


@click.command(epilog=block("Example:", "stui sessions save first 'before the refactoring'"))
@click.argument("session")
@click.argument("label", required=False)
@asks()
def save(asking: Asking, session: str, label: str | None) -> None:
    """Keep the present state of a session, under LABEL for people."""
    reply = asking.client.save_context(asking.session_id(session), label=label)
    text = f"saved as context {reply.context_id}"
    asking.show(reply, "\n".join([text, *map(one_line, reply.notes)]))


@click.command()
@click.argument("session")
@click.argument("context", required=False)
@asks()
def load(asking: Asking, session: str, context: str | None) -> None:
    """Go back to CONTEXT, or to the one saved last.

    The present state is saved first: the last line says how to come back to it.
    """
    session_id = asking.session_id(session)
    reply = asking.client.load_context(session_id, context)
    lines = [
        f"{session_id} is as in context {reply.context_id}",
        report_text(reply.restore_report),
        f"back again: stui sessions load {session_id} {reply.saved_as}",
    ]
    asking.show(reply, "\n".join(lines))


@click.command()
@click.argument("session")
@asks()
def summary(asking: Asking, session: str) -> None:
    """Show what a session holds; its image need not run."""
    reply = asking.client.get_context_summary(asking.session_id(session))
    asking.show(reply, _summary_text(reply))


@click.command(
    epilog=block(
        "Examples:",
        "stui sessions clear first",
        "stui sessions clear first --only variables --only objects",
    )
)
@click.argument("session")
@click.option(
    "--only",
    "scope",
    multiple=True,
    type=click.Choice(get_args(Scope)),
    help="What to empty; may be repeated. [default: all]",
)
@asks()
def clear(asking: Asking, session: str, scope: tuple[Scope, ...]) -> None:
    """Empty a session, or parts of it. What it held is saved first."""
    session_id = asking.session_id(session)
    reply = asking.client.clear_context(session_id, list(scope) or None)
    cleared = ", ".join(f"{count} {part}" for part, count in reply.cleared.items()) or "nothing"
    back = f"back again: stui sessions load {session_id} {reply.context_id}"
    asking.show(reply, f"cleared: {cleared}\n{back}")


def report_text(report: RestoreReport) -> str:
    """What came back, for people: a line for each thing that did not."""
    lines = [f"workspace  {report.workspace}", *map(one_line, report.notes)]
    lines.extend(
        one_line(f"inspector {entry.path}: {entry.object_id} is not there")
        for entry in report.inspector
        if not entry.present
    )
    lines.extend(
        one_line(f"variable {fate.name}: {fate.fate}: {fate.reason}")
        for fate in report.variables
        if fate.fate != "restored"
    )
    lines.extend(
        one_line(f"object {fate.object_id} ({fate.print_string}): {fate.fate}: {fate.reason}")
        for fate in report.objects
        if fate.fate != "restored"
    )
    if report.evaluations_lost:
        lost = ", ".join(map(str, report.evaluations_lost))
        lines.append(f"in no snapshot: the effects of evaluation {lost}")
    return "\n".join(lines)


def _row(context: ContextRecord) -> tuple[object, ...]:
    return (
        context.context_id,
        context.kind,
        context.label,
        context.saved_at,
        context.evaluation,
        context.variable_count,
        context.object_count,
        size(context.snapshot_bytes),
        context.integrity,
    )


def _summary_text(summary: ContextSummary) -> str:
    unsaved = ", ".join(map(str, summary.evaluations_unsaved))
    text = record(
        {
            "session": summary.session_id,
            "image": summary.image_id or "",
            "dialect": summary.dialect,
            "last saved": summary.last_saved or "never",
            "data": f"{size(summary.snapshot_bytes)}, {summary.integrity}",
            "not saved": f"the effects of evaluation {unsaved}" if unsaved else "",
            "objects": summary.object_count,
            "evaluations": f"{summary.history_count}, the workspace is as of "
            f"{summary.history_position}",
            "inspector_state": shortened(
                str(section(summary.inspector_state)), _SECTION_CHARACTERS
            ),
        }
    )
    rows = [
        (
            variable.name,
            variable.class_name,
            size(variable.size),
            variable.print_string,
            "" if variable.restorable and not variable.reason else variable.reason,
        )
        for variable in summary.variables
    ]
    if not rows:
        return text
    return f"{text}\n\n{table(('VARIABLE', 'CLASS', 'SIZE', 'VALUE', 'CANNOT COME BACK'), rows)}"
