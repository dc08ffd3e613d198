"""`api.video`: what cameras show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from plexus.domain.live import StreamNotice
from plexus.domain.video import VideoFrame

if TYPE_CHECKING:
    from plexus.api.link import Link
    from plexus.api.streams import Stream


class Video:
    """What cameras show: `api.video`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def stream(
        self,
        source_id: str,
        camera_id: str | Sequence[str] | None = None,
        *,
        timeout: float | None = None,
        queue: int = 16,
        on_notice: Callable[[StreamNotice], None] | None = None,
    ) -> Stream[VideoFrame]:
        """Frames of these cameras as they come, for `timeout` seconds: a context manager that iterates.

        Without a `camera_id` it is the camera called "default". At most `queue` frames wait for the consumer, the
        oldest go, and `stream.missed` counts them; what comes while the connection is away is not seen. When the time
        is up the iteration ends. `on_notice` is told how the connection is doing, and which cameras send ("online").
        Raises QueryError for what cannot be asked.
        """
        from plexus.api.streams import Stream, plans

        plan = plans.video(source_id, camera_id, timeout=timeout, queue=queue)
        return Stream(self._link, plan, on_notice)
