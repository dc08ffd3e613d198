"""Live streams (protocol page, section 7) that lose nothing: context managers that iterate.

    with api.metrics.stream("drone-01", ["battery.voltage"], since="15m") as stream:
        for point in stream:
            print(point.timestamp_ms, point.value)

How it is put together:
- a *core* (`follower`, `viewer`, `watcher`) is a generator without I/O: it says what to do next (`steps`), is sent what
  came of it, and so decides about losses, cursors, gaps and what is delivered;
- a *shell* carries the steps out: `threads` for `PlexusAPI`, a thread a source; `tasks` for `AsyncPlexusAPI`, a task a
  source. Both fill a `shelf`, a bounded queue, from which `Stream` and `AsyncStream` take;
- `seams` joins what is stored and what comes live; `kinds` says what points and events are; `plans` checks what was
  asked for; `mending` knows what the end of a connection means.
"""

from __future__ import annotations

from plexus.api.streams.awaited import AsyncStream
from plexus.api.streams.blocking import Stream
from plexus.api.streams.plans import Since, WhenFull

__all__ = ["AsyncStream", "Since", "Stream", "WhenFull"]
