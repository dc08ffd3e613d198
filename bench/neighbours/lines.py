"""InfluxDB's line protocol, which VictoriaMetrics takes too, in ready-made bodies over connections that stay open."""

from __future__ import annotations

import http.client
from collections.abc import Sequence

from bench.neighbours.load import CONNECTIONS, TAGS, Load, timed

TAGGED = "".join(f",{name}={value}" for name, value in TAGS.items())


def bodies(load: Load, batch: int) -> list[list[bytes]]:
    """For each connection its batches."""
    return [_of_source(load, load.source(number), batch) for number in range(CONNECTIONS)]


def _of_source(load: Load, source: str, batch: int) -> list[bytes]:
    lines = [
        f"{metric},source={source}{TAGGED if tagged else ''} value={value!r} {ms}"
        for metric, value, ms, tagged in load.points()
    ]
    return ["\n".join(lines[first : first + batch]).encode() for first in range(0, len(lines), batch)]


def write_all(port: int, path: str, batches: Sequence[Sequence[bytes]]) -> float:
    """Seconds until every batch is answered, over one connection for each source."""
    links = [http.client.HTTPConnection("127.0.0.1", port, timeout=120) for _ in batches]

    def post(link: http.client.HTTPConnection, body: bytes) -> None:
        link.request("POST", path, body)
        answer = link.getresponse()
        answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path} answered {answer.status}")

    try:
        return timed(links, batches, post)
    finally:
        for link in links:
            link.close()
