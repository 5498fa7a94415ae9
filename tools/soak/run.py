"""One soak: a service and an image in processes of their own, clients, and samples of it all."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.bench.child import Child
from tools.soak.churn import Churn
from tools.soak.image import start_image
from tools.soak.program import Program

_CHURNS: Final = 6
_IMAGE_LIVES: Final = 20.0
"""Seconds after which the image is killed and started anew."""
_TYPES: Final = 12
_WARM_UP: Final = 1 / 3
"""The share of the time after which everything should have reached its level."""


@dataclass(slots=True)
class Soaked:
    """What was seen; `series` are samples by what was sampled, at `times` (seconds)."""

    seed: int
    seconds: float
    warm_up: float
    times: list[float] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    image_lives: int = 1
    more_objects: dict[str, int] = field(default_factory=dict)
    """By how many objects each type grew after the warm-up, those that grew most."""


def soak(directory: Path, seconds: float, seed: int, say: Callable[[str], None]) -> Soaked:
    """Run a soak with all files in DIRECTORY. Raises `CannotRun`."""
    soaked = Soaked(seed, seconds, seconds * _WARM_UP)
    image = start_image(directory)
    try:
        arguments = (str(directory / "data"), f"py={image.endpoint}")
        with Program("tools.soak.service", *arguments) as service:
            endpoint = service.greeting.removeprefix("ready on ")
            churns = [Churn(endpoint, number, seed) for number in range(_CHURNS)]
            for churn in churns:
                churn.start()
            try:
                image = _watch(soaked, service, image, directory, say)
            finally:
                for churn in churns:
                    churn.stop()
            for churn in churns:
                churn.join()
                soaked.requests += churn.done
                soaked.refused += churn.refused
                soaked.faults.extend(churn.faults)
            service.end()
    finally:
        image.end()
    return soaked


def _watch(
    soaked: Soaked, service: Program, image: Child, directory: Path, say: Callable[[str], None]
) -> Child:
    """Sample, and have the image die now and then; the image that is there at the end."""
    began = time.monotonic()
    every = max(0.25, min(5.0, soaked.seconds / 60))
    image_until = began + _IMAGE_LIVES
    types: Counter[str] | None = None
    while (now := time.monotonic() - began) < soaked.seconds:
        sample: dict[str, float] = json.loads(service.tell("sample"))
        soaked.times.append(now)
        for name, value in sample.items():
            soaked.series.setdefault(name, []).append(value)
        say(
            f"{now:6.0f} s  {sample['resident bytes'] / 1e6:6.1f} MB, "
            f"{sample['python objects']:.0f} objects, {sample['threads']:.0f} threads, "
            f"{sample['descriptors']:.0f} descriptors"
        )
        if time.monotonic() > image_until:
            endpoint = image.endpoint
            image.end()
            image = start_image(directory, endpoint)
            soaked.image_lives += 1
            image_until = time.monotonic() + _IMAGE_LIVES
        if types is None and now > soaked.warm_up:
            types = Counter(json.loads(service.tell("types")))
        time.sleep(every)
    grown = Counter(json.loads(service.tell("types"))) - (types or Counter())
    soaked.more_objects = dict(grown.most_common(_TYPES))
    return image
