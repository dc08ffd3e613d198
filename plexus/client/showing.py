"""The part of `Plexus` that shows video."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

from plexus.client.assembly import on_thread
from plexus.client.held import Held
from plexus.device.pictures import Channels
from plexus.device.taking import Timestamp, take_time
from plexus.device.video import fit_frame
from plexus.domain.video import VideoFrame
from plexus.protocol.video import MAX_JPEG_BYTES

if TYPE_CHECKING:
    from plexus.device.camera import CameraStream


class Showing(Held):
    """`send_video_frame`, `stream_camera`."""

    _cameras: list[CameraStream]

    def send_video_frame(
        self,
        frame: Any,
        camera_id: str = "camera:0",
        quality: int = 85,
        timestamp: Timestamp | None = None,
        *,
        channels: Channels = "rgb",
    ) -> bool:
        """Show one frame live; never waits for the link. One that is not sent yet gives way to the next; returns True.

        `frame`: a JPEG as bytes, an array of uint8, or a Pillow image; see `plexus.device.video.fit_frame`.
        """
        jpeg, width, height = fit_frame(frame, quality, channels=channels)
        if len(jpeg) > MAX_JPEG_BYTES:
            self._status.frame_too_large(len(jpeg), camera_id)
        when = take_time(timestamp, camera_id)
        stamp = self._client.clock.wall_ms(self._client.clock.tick()) if when is None else when / 1e6
        self._client.video.put(VideoFrame(self.source_id, camera_id, jpeg, width, height, round(stamp)))
        return True

    def stream_camera(self, url: str, camera_id: str = "camera:0", fps: float = 15, quality: int = 85) -> CameraStream:
        """Stream a camera through ffmpeg until `.set()` or `.stop()` of what is returned, or `close`.

        Raises ConfigurationError for what is no camera's address, and where ffmpeg is not installed.
        """

        # What starts processes is not loaded by a device without a camera.
        from plexus.adapters.camera.ffmpeg import FfmpegLauncher
        from plexus.device.camera import CameraStream, camera_arguments

        def show(jpeg: bytes) -> None:
            self.send_video_frame(jpeg, camera_id)

        stream = CameraStream(
            FfmpegLauncher(),
            camera_arguments(url, fps, quality),
            show,
            run=on_thread("plexus-camera"),
            now=time.monotonic,
            wait=threading.Event.wait,
            random=random.random,
        )
        self._cameras.append(stream)
        return stream
