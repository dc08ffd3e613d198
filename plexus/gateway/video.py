"""The video relay: a device's frames to whoever watches, the newest only. Nothing of it is stored.

Invariants:
- a viewer holds at most one frame a camera that it has not taken: a newer one takes its place, and it is counted;
- a frame's text is made once, and only when somebody watches;
- neither a slow viewer nor a frame that cannot be relayed delays or ends the device's socket.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from plexus.domain.errors import ProtocolError
from plexus.gateway.meters import Meters
from plexus.protocol import video

CAMERA_S = 30.0
"""A camera that sent nothing for so long is no longer among those that its source has."""

MAX_CAMERAS = 64
"""Cameras that are known of one source; the one heard of longest ago gives way."""


@attrs.define(eq=False)
class Picture:
    """A frame for viewers, its text made when the first one takes it."""

    relay: video.Relay
    _payload: bytes | None = None

    def payload(self) -> bytes:
        """The `video_frame` message."""
        if self._payload is None:
            self._payload = self.relay.text().encode()
        return self._payload


class Viewer:
    """What one viewer has not seen yet: at most one picture a camera."""

    def __init__(self, cameras: frozenset[str], on_missed: Callable[[], None]) -> None:
        self._cameras = cameras
        self._on_missed = on_missed
        self._waiting: OrderedDict[str, Picture] = OrderedDict()
        self._filled = asyncio.Event()

    def offer(self, picture: Picture) -> None:
        """A new picture; the camera's older one goes."""
        camera_id = picture.relay.camera_id
        if camera_id not in self._cameras:
            return
        if camera_id in self._waiting:
            self._on_missed()
        # It keeps the older one's place in the line, so that a quick camera does not push the others back.
        self._waiting[camera_id] = picture
        self._filled.set()

    async def get(self) -> Picture:
        """The picture of the camera that waits longest."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.popitem(last=False)[1]


class VideoRelay:
    """Between devices and viewers. Used on the gateway's event loop; `monotonic` is seconds."""

    def __init__(self, meters: Meters, monotonic: Callable[[], float], max_bytes: int) -> None:
        self._meters = meters
        self._monotonic = monotonic
        self._max_bytes = max_bytes
        self._viewers: dict[tuple[str, str], list[Viewer]] = {}
        self._cameras: dict[tuple[str, str], OrderedDict[str, float]] = {}

    def take_binary(self, org: str, source_id: str, message: bytes) -> None:
        """A binary frame came from the device that is `source_id`; one that is none is dropped and counted."""
        try:
            relay = video.relay_binary(message, source_id)
        except ProtocolError:
            self._meters.reject("video_malformed")
        else:
            self._relay(org, source_id, relay)

    def take_text(self, org: str, source_id: str, fields: Mapping[str, Any], arrival_ms: float) -> None:
        """A text frame came; `arrival_ms` (milliseconds since 1970 UTC) stamps one without a time."""
        try:
            relay = video.relay_text(fields, source_id, arrival_ms)
        except ProtocolError:
            self._meters.reject("video_malformed")
        else:
            self._relay(org, source_id, relay)

    def watch(self, org: str, source_id: str, cameras: frozenset[str]) -> Viewer:
        """Begin to watch these cameras of a source."""
        viewer = Viewer(cameras, self._meters.missed.labels("video").inc)
        self._viewers.setdefault((org, source_id), []).append(viewer)
        return viewer

    def leave(self, org: str, source_id: str, viewer: Viewer) -> None:
        """The viewer is gone."""
        left = [other for other in self._viewers[org, source_id] if other is not viewer]
        if left:
            self._viewers[org, source_id] = left
        else:
            del self._viewers[org, source_id]

    def cameras(self, org: str, source_id: str) -> list[str]:
        """The cameras of which something was heard in the last 30 s, sorted."""
        oldest = self._monotonic() - CAMERA_S
        known = self._cameras.get((org, source_id))
        return sorted(camera_id for camera_id, heard in known.items() if heard > oldest) if known else []

    def gone(self, org: str, source_id: str) -> None:
        """The device left, and its cameras with it."""
        self._cameras.pop((org, source_id), None)

    def _relay(self, org: str, source_id: str, relay: video.Relay) -> None:
        if relay.size > self._max_bytes:
            self._meters.reject("video_too_large")
            return
        self._heard(org, source_id, relay.camera_id)
        viewers = self._viewers.get((org, source_id))
        if viewers:
            picture = Picture(relay)
            for viewer in viewers:
                viewer.offer(picture)

    def _heard(self, org: str, source_id: str, camera_id: str) -> None:
        known = self._cameras.setdefault((org, source_id), OrderedDict())
        known[camera_id] = self._monotonic()
        known.move_to_end(camera_id)
        if len(known) > MAX_CAMERAS:
            known.popitem(last=False)
