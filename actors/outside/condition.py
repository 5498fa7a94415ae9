"""How the service is, as those outside ask: is it alive, is it ready, what is there to say."""

from __future__ import annotations

from typing import Final

from actors.gateway.front_door import FrontDoor
from actors.outside.census import Census
from actors.services import Services
from actors.vital_signs import VitalSigns

_DISK_IS_SLOW: Final = 5.0
"""Seconds of one wait for the disk after which people are told."""


class Condition:
    """For any thread. `draining` is set by the composition root when the service is to end.

    Nothing here waits for the disk, except `census` and `summary`, for a moment.
    """

    def __init__(self, services: Services, door: FrontDoor, signs: VitalSigns) -> None:
        self._services, self._door, self._disk = services, door, services.disk
        self._signs = signs
        self.census = Census(services)
        self.draining = False

    def ailment(self) -> str:
        """Which actor does not answer; empty while all do: the process need not be restarted."""
        return self._signs.ailment()

    def obstacle(self) -> str:
        """Why requests that change something are not served just now; empty where they are."""
        if self.draining:
            return "the service is stopping"
        if not self._door.ready.is_set():
            return "the service is starting"
        if ailment := self.ailment():
            return ailment
        if (waited := self.disk_wait()) >= _DISK_IS_SLOW:
            return f"the disk has not answered for {waited:.0f} s"
        if self._services.store.current is None:
            return "the database is being opened afresh"
        if self._disk.refusing:
            return "the disk refuses changes: nothing is stored, reads go on"
        return ""

    def disk_wait(self) -> float:
        """For how many seconds somebody has been waiting for the disk just now."""
        return self._disk.longest_wait()

    def summary(self) -> str:
        """One line for people."""
        obstacle = self.obstacle()
        count = self.census.sessions().get("open", 0)
        images = self._services.image_table.current.entries
        connected = sum(image.status == "Connected" for image in images)
        line = (
            f"{count} open session{'' if count == 1 else 's'}, "
            f"{connected} of {len(images)} image{'' if len(images) == 1 else 's'} connected"
        )
        return f"Degraded, {obstacle}; {line}" if obstacle else f"Serving {line}"
