"""`api.sources`: what sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from plexus.api import calls
from plexus.domain.source import Delivery, Source

if TYPE_CHECKING:
    from plexus.api.asynclink import AsyncLink


class Sources:
    """What sends: `api.sources`."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def list(self, status: str | None = None) -> list[Source]:
        """All sources, or with `status` those that are "online" or "offline"."""
        return await self._link.ask(calls.sources(status))

    async def get(self, source_id: str) -> Source:
        """One source; NotFoundError if it never sent."""
        return await self._link.ask(calls.source(source_id))

    async def delivery(self, source_id: str) -> Delivery:
        """What of this source was lost on the way, by reason, and what came twice and was stored once."""
        return await self._link.ask(calls.delivery(source_id))

    async def register(
        self,
        source_id: str,
        *,
        source_type: str | None = None,
        device_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Make a source known before it sends anything, and return its name; the app is asked.

        ApiError with `status` 409 when it is registered already. Needs the scope `write`.
        """
        return await self._link.ask(calls.register(source_id, source_type, device_type, metadata))

    async def rename(self, source_id: str, new_id: str) -> Source:
        """Give a source another name, with all that is kept of it.

        Its keys follow, and a device that is connected gets the new name. ApiError with `status` 409 when that name is
        taken. Needs the scope `admin`.
        """
        return await self._link.ask(calls.rename(source_id, new_id))

    async def delete(self, source_id: str) -> None:
        """Delete a source for ever, with its points, runs and commands. Needs the scope `admin`.

        A device that goes on sending is a new source.
        """
        return await self._link.ask(calls.delete(source_id))
