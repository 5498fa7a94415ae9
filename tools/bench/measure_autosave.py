"""Evaluations a second with auto-save beside those without, in a workspace of many objects."""

from __future__ import annotations

from functools import partial
from typing import Final

from tools.bench.asking import asking, wait_for_images
from tools.bench.bench import Bench
from tools.bench.findings import Finding, Measured, Series, Target, percentages
from tools.bench.job import Job
from tools.bench.workspaces import session_with_objects

_TARGET: Final = Target(bound=70.0, at_least=True)
_SAVED: Final = '"context_saved":true'
_CODES: Final = {
    "changes a variable": "counter = counter + 1",
    "changes nothing": "1+1",
    "shows a new object": "objects[-1] + '!'",
}
"""The image keeps what an evaluation shows, so that the last one changes the workspace too."""
_SETTINGS: Final = {"on": {"STUI_AUTOSAVE": "true"}, "off": {"STUI_AUTOSAVE": "false"}}


def measure(bench: Bench) -> Measured:
    """One client that waits for each reply; two services, each with an image of its own."""
    scale, loader = bench.scale, bench.loader()
    jobs: dict[tuple[str, str], Job] = {}
    for switch, settings in _SETTINGS.items():
        images = {"python": bench.image().endpoint}
        endpoint = bench.service(bench.data_dir("autosave"), images, settings).endpoint
        with asking(endpoint) as asker:
            wait_for_images(asker)
            for number, (what, code) in enumerate(_CODES.items()):
                session = session_with_objects(asker, f"bench-{number}", scale.workspace_objects)
                jobs[what, switch] = Job(
                    endpoint=endpoint,
                    kind="evaluate",
                    sessions=[session],
                    requests=scale.evaluations,
                    seconds=scale.seconds,
                    code=code,
                    noted=_SAVED,
                )
    results = bench.rounds(
        "auto-save",
        {
            f"{what}, auto-save {switch}": partial(loader.run, job)
            for (what, switch), job in jobs.items()
        },
    )
    rates = {name: [run.rate for run in runs] for name, runs in results.items()}
    findings = [
        Finding(
            what=f"evaluations a second with auto-save ({what})",
            beside="without auto-save",
            unit="%",
            values=percentages(rates[f"{what}, auto-save on"], rates[f"{what}, auto-save off"]),
            target=_TARGET,
        )
        for what in _CODES
    ]
    saved = [
        Series(
            name=f"replies with context_saved: {what}",
            unit="%",
            values=[100 * run.noted for run in results[f"{what}, auto-save on"]],
        )
        for what in _CODES
    ]
    series = [
        Series(name=f"evaluations: {name}", unit="/s", values=values)
        for name, values in rates.items()
    ]
    return Measured(findings=findings, series=[*series, *saved])
