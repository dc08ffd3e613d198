"""A consumer of a live stream under measurement: reads so many points, and says how long each was on its way.

Each point's value is the time at which it was sent (seconds since 1970). Prints `ready`, then one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from typing import Any

from plexus import AsyncPlexusAPI, PlexusAPI


def blocking(url: str, key: str, source_id: str, count: int) -> list[float]:
    """`PlexusAPI`."""
    with PlexusAPI(key, url) as api, api.metrics.stream(source_id) as stream:
        print("ready", flush=True)
        latencies = []
        for point in stream:
            latencies.append(time.time() - point.value)  # type: ignore[operator]
            if len(latencies) == count:
                break
        return latencies


def awaited(url: str, key: str, source_id: str, count: int) -> list[float]:
    """`AsyncPlexusAPI`."""

    async def follow() -> list[float]:
        async with AsyncPlexusAPI(key, url) as api, api.metrics.stream(source_id) as stream:
            print("ready", flush=True)
            latencies = []
            async for point in stream:
                latencies.append(time.time() - point.value)  # type: ignore[operator]
                if len(latencies) == count:
                    break
            return latencies

    return asyncio.run(follow())


def by_hand(url: str, key: str, source_id: str, count: int) -> list[float]:
    """What one writes without a client: websockets and json, no reconnect, no types."""
    from websockets.sync.client import connect

    address = f"ws{url[4:]}/v1/sources/{source_id}/metrics/stream"
    with connect(address, compression=None, max_size=None, proxy=None) as socket:
        socket.send(json.dumps({"type": "auth", "api_key": key}))
        print("ready", flush=True)
        latencies: list[float] = []
        while len(latencies) < count:
            frame: dict[str, Any] = json.loads(socket.recv())
            now = time.time()
            latencies.extend(now - point["value"] for point in frame.get("points", ()))
        return latencies


def main() -> None:
    """Run one of them: NAME URL KEY SOURCE COUNT."""
    name, url, key, source_id, count = sys.argv[1:]
    follow = {"blocking": blocking, "awaited": awaited, "by_hand": by_hand}[name]
    latencies = follow(url, key, source_id, int(count))
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = sorted(int(seconds * 1e6) for seconds in latencies)
    print(json.dumps({"latencies_us": found, "cpu_s": used.ru_utime + used.ru_stime}))


main()
