"""`get_session_info` with sessions on many images beside the same with one image."""

from __future__ import annotations

from typing import Final

from protocol.ids import ImageId
from tools.bench.asking import asking, wait_for_images
from tools.bench.bench import Bench
from tools.bench.contest import contest
from tools.bench.findings import Finding, Measured, Target, quotients
from tools.bench.job import Job
from tools.bench.seed import seed
from tools.bench.silent_images import image_uuid

_TARGET: Final = Target(bound=1.3)


def measure(bench: Bench) -> Measured:
    """As many sessions, all open, on one image and spread over many; all clients ask in turn."""
    scale = bench.scale
    jobs = {_name(count): _job(bench, count) for count in (1, scale.images)}
    result = contest(bench, "info", jobs, scale.together)
    one, many = jobs
    return Measured(
        findings=[
            Finding(
                what=f"get_session_info p50, {scale.image_sessions} sessions on {many}",
                beside=one,
                unit="x",
                values=quotients(result.alone(many), result.alone(one)),
                target=_TARGET,
            )
        ],
        series=result.series(f"info, {scale.image_sessions} sessions", scale.clients),
    )


def _name(images: int) -> str:
    return "1 image" if images == 1 else f"{images} images"


def _job(bench: Bench, images: int) -> Job:
    """A load on a service with so many images that all are connected."""
    scale, data_dir = bench.scale, bench.data_dir("images")
    used = [ImageId(image_uuid(number)) for number in range(images)]
    sessions = seed(data_dir, scale.image_sessions, images=used)
    endpoint = bench.service(data_dir, bench.silent_images(images)).endpoint
    with asking(endpoint) as asker:
        wait_for_images(asker)
        for session_id in sessions:
            asker.ask("restore_session", session_id=session_id)
    return Job(
        endpoint=endpoint,
        kind="info",
        sessions=sessions,
        requests=scale.alone,
        seconds=scale.seconds,
    )
