"""How many sessions there are, counted rarely enough to be asked often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actors.services import Services
from storage.store import StoreError

_COUNT_EVERY: Final = 10.0
"""Seconds for which a count is good: it walks over an index of all sessions."""


class Census:
    """Sessions by state. For any thread; two that count at once get the same."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._counted_at = float("-inf")
        self._counts: Mapping[str, int] = {}

    def sessions(self) -> Mapping[str, int]:
        """Stored sessions by state, at most some seconds old; empty where they were never read."""
        now = self._services.clocks.monotonic()
        if now - self._counted_at >= _COUNT_EVERY:
            self._counted_at = now
            try:
                self._counts = self._count()
            except StoreError:
                return self._counts  # being opened afresh, or damaged, which is told elsewhere
        return self._counts

    def _count(self) -> Mapping[str, int]:
        services = self._services
        now, grace = services.clocks.running_time(), services.settings.current.orphan_grace
        counts, images = services.reader().counts(now), services.image_table.current
        orphaned = sum(
            count
            for image_id, count in counts.by_image.items()
            if images.is_orphaning(image_id, now, grace)
        )
        return {
            "open": counts.total - orphaned,
            "orphaned": orphaned,
            "expired": counts.expired,
            "closed": counts.closed,
            "trashed": counts.trashed,
        }
