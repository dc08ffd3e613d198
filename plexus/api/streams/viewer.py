"""The core of a stream of one source's cameras: live only, so a loss leaves a hole and nothing is fetched. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from plexus.api import requests
from plexus.api.requests import Request
from plexus.api.streams.clocks import Clocks
from plexus.api.streams.mending import Mender
from plexus.api.streams.steps import Complain, Connect, Deliver, HangUp, Pause, Receive, Steps, Tell
from plexus.domain.errors import ProtocolError, TransportClosed, TransportError
from plexus.domain.live import StreamNotice
from plexus.protocol import live


@attrs.frozen
class Viewer:
    """Which cameras, and for how many seconds (None: for good). The time runs from the first connection on."""

    source_id: str
    cameras: Sequence[str]
    timeout_s: float | None
    clocks: Clocks

    def steps(self) -> Steps[None]:
        """Until the time is up. Raises TransportError when the first connection cannot be made, and AuthenticationError
        or ApiError when the server refuses the stream."""
        mender, connected = Mender(self.clocks.random), False
        end = None if self.timeout_s is None else self.clocks.monotonic() + self.timeout_s
        while end is None or not connected or self.clocks.monotonic() < end:
            try:
                yield Connect(self._request(end))
                connected = True
                yield Tell(StreamNotice("connected"))
                yield from self._look(mender)
            except TransportError as exc:
                yield HangUp()
                if not connected:
                    raise
                if isinstance(exc, TransportClosed) and exc.code == live.VIDEO_TIMEOUT:
                    return
                notice = mender.lost(exc)
                yield Tell(notice)
                yield Pause(notice.delay_s)

    def _request(self, end: float | None) -> Request:
        left = None if end is None else max(end - self.clocks.monotonic(), 0.001)
        return requests.video_stream(self.source_id, self.cameras, left)

    def _look(self, mender: Mender) -> Steps[None]:
        while True:
            message = yield Receive()
            try:
                frame = live.parse(message)
            except ProtocolError as exc:
                yield Complain(exc)
                continue
            mender.well()
            if isinstance(frame, live.LivePicture):
                yield Deliver((frame.frame,), keep=False)
            elif isinstance(frame, live.Reconnecting):
                yield Tell(StreamNotice("gateway_reconnecting", "", frame.attempt, frame.delay_s))
            elif isinstance(frame, live.Online):
                yield Tell(StreamNotice("online", _said(frame)))


def _said(frame: live.Online) -> str:
    if not frame.cameras:
        return "no source is online"
    return "; ".join(f"{source}: {', '.join(names) or 'no camera'}" for source, names in frame.cameras.items())
