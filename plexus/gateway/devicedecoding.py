"""How one device's messages are decoded: within its limits, under its key, and once, whoever looked at one first."""

from __future__ import annotations

import asyncio

import attrs

from plexus.domain.errors import ProtocolError
from plexus.gateway import decoding
from plexus.gateway.core import Core
from plexus.ports.keyring import KeyInfo
from plexus.protocol import frames


class TelemetryDecoder:
    """The decoder of a `GatewaySession`. What was decoded before the session asks is kept until it does.

    `key` is the device's, once it is let in; points over a quota become faults from then on.
    """

    def __init__(self, core: Core) -> None:
        self.key: KeyInfo | None = None
        self._core = core
        self._kept: tuple[str | bytes, frames.Frame | ProtocolError] | None = None

    def __call__(self, message: str | bytes, envelope: frames.Envelope) -> frames.Frame:
        """The frame that a message is; raises ProtocolError."""
        kept, self._kept = self._kept, None
        if kept is None or kept[0] is not message:
            frame = self._parse(message, envelope)
        elif isinstance(kept[1], ProtocolError):
            raise kept[1]
        else:
            frame = kept[1]
        return self._admitted(frame) if isinstance(frame, frames.Telemetry) else frame

    def telemetry(self, message: str | bytes, envelope: frames.Envelope) -> frames.Telemetry | None:
        """The telemetry that a message is; None for anything else, also for what breaks the protocol."""
        try:
            frame = self._parse(message, envelope)
        except ProtocolError:
            return None
        return self._admitted(frame) if isinstance(frame, frames.Telemetry) else None

    async def aside(self, message: str | bytes, envelope: frames.Envelope) -> None:
        """Decode a large message in a thread, so that no other connection waits for it."""
        try:
            self._kept = message, await asyncio.to_thread(self._parse, message, envelope)
        except ProtocolError as exc:
            self._kept = message, exc

    def _admitted(self, frame: frames.Telemetry) -> frames.Telemetry:
        if self.key is None:
            return frame
        decoded = self._core.intake.admit(self.key, frame.decoded)
        return frame if decoded is frame.decoded else attrs.evolve(frame, decoded=decoded)

    def _parse(self, message: str | bytes, envelope: frames.Envelope) -> frames.Frame:
        limit = self._core.limits.message_points
        frame = decoding.parse(message, envelope, limit)
        if isinstance(frame, frames.Telemetry) and frame.decoded.total > limit:
            raise ProtocolError(f"points must be at most {limit} a message", field="points")
        return frame
