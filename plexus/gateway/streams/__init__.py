"""The live streams (protocol page, section 7): committed points of one source, and its cameras, as they come.

    /v1/sources/{id}/metrics/stream?metrics=a,b   /v1/sources/{id}/events/stream   /v1/sources/{id}/logs/stream
    /v1/sources/{id}/video/stream?camera_id=front

What holds between the modules:
- a `Channel` a source (`channels`) takes what was committed off the bus, keeps the newest of it for who comes back,
  makes each frame once and offers it to every `Reader`, in slices, so that nothing else waits for a fan-out;
- a `Reader` (`reading`) writes a frame at once when its socket takes it, else queues it: bounded, the oldest go, and
  the reader is told how many it missed. It never delays the channel;
- a cursor (`cursors`) is a place in the store's order of commits. Who comes back with one is brought from there to what
  the channel keeps, by the store's replay if it was away for longer, and joins the channel in one step: nothing twice,
  nothing missed;
- a source that is not there, or another organisation's, is silent.
"""

from __future__ import annotations

from plexus.gateway.streams.handling import StreamHandler

__all__ = ["StreamHandler"]
