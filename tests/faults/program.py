"""A device as a process of its own, that says what it has sent: it runs until it is killed, or its input ends.

    python -m tests.faults.program '{"source_id": …, "ws_url": …, "api_key": …, "metric": …, "rate": 500}'

To its standard output it writes a record a `send`, after it has returned: kind, index, monotonic nanoseconds. Kind `s`:
this index was sent. Kind `f`: `flush(durable=True)` said that everything up to this index is safe.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import threading
import time
from typing import Any

RECORD = struct.Struct("<cqq")
SENT, FLUSHED = b"s", b"f"
FLUSH_EVERY = 100


def main(order: dict[str, Any]) -> None:
    """Send until the input ends; then deliver everything and close."""
    from plexus import Plexus

    over = threading.Event()
    px = Plexus(
        api_key=order["api_key"],
        source_id=order["source_id"],
        ws_url=order["ws_url"],
        timeout=2.0,
        max_buffer_size=1_000_000,
        durability=order.get("durability"),
    )
    threading.Thread(target=_until_the_input_ends, args=(over,), daemon=True).start()
    step, due, index = 1 / order["rate"], time.monotonic(), 0
    while not over.wait(max(0.0, due - time.monotonic())):
        due += step
        index += 1
        # A metric for each thousand: a query for raw values gives ten thousand rows at most.
        px.send(f"{order['metric']}.{index // 1000}", index)
        _say(SENT, index)
        if order.get("flushes") and index % FLUSH_EVERY == 0 and px.flush(1.0, durable=True):
            _say(FLUSHED, index)
    delivered = px.flush(60.0)
    px.close(10.0)
    os._exit(0 if delivered else 3)


def _until_the_input_ends(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


def _say(kind: bytes, index: int) -> None:
    os.write(1, RECORD.pack(kind, index, time.monotonic_ns()))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
