"""Whether the settings are valid, and fit one another."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from actors.settings import Settings
from storage.failpoints import VARIABLE
from storage.progress import Progress
from tools.doctor.addresses import why_no_address
from tools.doctor.findings import Finding, error, note, ok, warning
from tools.doctor.site import Site


def check(site: Site, progress: Progress) -> Iterator[Finding]:  # noqa: ARG001 - it is quick
    """The file, unknown keys, values that are wrong, and those that contradict one another."""
    if site.config is None:
        yield ok("there is no settings file: defaults, the environment and flags count")
    else:
        yield from _file(site.config)
    for problem in site.wrong:
        yield error(problem, "Correct it; docs/stui.example.toml describes every setting.")
    if os.environ.get(VARIABLE):
        yield warning(
            f"{VARIABLE} is set: a backend with this environment fails on purpose",
            "Unset it; it is for tests.",
        )
    contradicting = list(contradictions(site.settings))
    yield from contradicting
    if not site.wrong and all(each.level != "error" for each in contradicting):
        yield ok(f"the settings are valid; data are in {site.settings.data_dir}")


def _file(config: Path) -> Iterator[Finding]:
    try:
        status = config.stat()
    except OSError:
        return  # what is wrong with it is said with the settings
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield warning(
            f"{config} can be written by others (mode {stat.S_IMODE(status.st_mode):04o})",
            f"They decide where your sessions go: chmod go-w {config}",
        )
    yield ok(f"the settings file is {config}")


def contradictions(settings: Settings) -> Iterator[Finding]:
    """Values of a valid form that make no sense, alone or together."""
    yield from _of_backups(settings)
    yield from _of_times(settings)
    yield from _of_clients(settings)
    yield from _of_endpoints(settings)
    yield from _of_addresses(settings)


def _of_backups(settings: Settings) -> Iterator[Finding]:
    if settings.backup_interval == 0:
        yield warning(
            "backup_interval is 0: no backups are made by themselves",
            "Set it to 3600, or have `stui backup create` run regularly.",
        )
    elif not (settings.backups_hourly or settings.backups_daily or settings.backups_weekly):
        yield warning(
            "backups_hourly, backups_daily and backups_weekly are all 0: only the newest is kept",
            "Keep some generations: a mistake is often seen late.",
        )


def _of_times(settings: Settings) -> Iterator[Finding]:
    for shorter, longer, consequence in (
        ("lease", "default_timeout", "sessions expire while their clients count as attached"),
        ("snapshot_wait", "snapshot_timeout", "answers wait for snapshots that are given up"),
        ("image_ping_interval", "orphan_grace", "images are asked too seldom to be known as gone"),
        ("cleanup_interval", "retention", "what is past its retention is kept longer"),
        ("cleanup_interval", "trash_retention", "what is past its retention is kept longer"),
        ("image_outcome_grace", "replies_retention", "outcomes are forgotten before they are told"),
    ):
        low, high = getattr(settings, shorter), getattr(settings, longer)
        if low > high:
            yield warning(
                f"{shorter} ({low:g} s) is longer than {longer} ({high:g} s): {consequence}",
                f"Make {shorter} shorter, or {longer} longer.",
            )


def _of_clients(settings: Settings) -> Iterator[Finding]:
    if settings.max_pending_per_connection > settings.max_pending:
        yield warning(
            f"max_pending_per_connection ({settings.max_pending_per_connection}) is more than "
            f"max_pending ({settings.max_pending}): one client can keep all others out",
            "Make it a fraction of max_pending.",
        )
    denied = set(settings.denied_clients)
    if "*" in denied or (settings.allowed_clients and set(settings.allowed_clients) <= denied):
        yield warning(
            f"denied_clients ({', '.join(sorted(denied))}) denies everybody",
            "Denied clients win over allowed ones: narrow the patterns.",
        )


def _of_endpoints(settings: Settings) -> Iterator[Finding]:
    """Addresses at which no backend can listen: a start ends with them."""
    where = [("bind", each, each) for each in settings.bind]
    if settings.metrics:
        where.append(("metrics", settings.metrics, f"tcp://{settings.metrics}"))
    for name, address, endpoint in where:
        if why := why_no_address(endpoint):
            yield error(f"nobody can listen at {address} ({name}): {why}", "Correct it.")
    for address in dict.fromkeys(settings.bind):
        if settings.bind.count(address) > 1 and not address.endswith((":0", "*")):
            yield error(f"bind has {address} more than once", "Name it once.")


def _of_addresses(settings: Settings) -> Iterator[Finding]:
    if settings.metrics and any(
        each.endswith("/" + settings.metrics) and not each.endswith(":0") for each in settings.bind
    ):
        yield error(
            f"metrics and bind are the same address, {settings.metrics}",
            "Choose another port for metrics.",
        )
    seen: dict[str, str] = {}
    for name, address in settings.images.items():
        if address in seen:
            yield warning(
                f"the images {seen[address]} and {name} have the same address, {address}",
                "One address is one image: remove a name, or correct the address.",
            )
        seen.setdefault(address, name)
        if address in settings.bind:
            yield error(
                f"the image {name} has the backend's own address, {address}",
                "Give the address that the image printed when it was started.",
            )
    for address in settings.bind:
        if _is_open(address):
            yield note(
                f"{address} can be reached from other machines",
                "Whoever connects can run code in the images: see that the network allows for it.",
            )


def _is_open(address: str) -> bool:
    local = ("tcp://127.", "tcp://localhost:", "tcp://[::1]:")
    return address.startswith("tcp://") and not address.startswith(local)
