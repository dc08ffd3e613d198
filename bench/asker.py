"""Readers who ask for large answers all the time: a process of its own, until it is killed.

Arguments: the gateway's address, a key, a source. Prints `ready` once every reader has had an answer.
"""

from __future__ import annotations

import sys
import threading

import httpx

READERS, ROWS = 4, 100_000


def _ask(url: str, key: str, source: str, answered: threading.Semaphore) -> None:
    with httpx.Client(base_url=url, headers={"x-api-key": key}, timeout=120, trust_env=False) as client:
        while True:
            query = {"interval": "raw", "last": "1d", "limit": str(ROWS)}
            client.get(f"/v1/sources/{source}/metrics/query", params=query).raise_for_status()
            answered.release()


def main() -> None:
    """Ask until killed."""
    answered = threading.Semaphore(0)
    for _ in range(READERS):
        threading.Thread(target=_ask, args=(*sys.argv[1:4], answered), daemon=True).start()
    for _ in range(READERS):
        answered.acquire()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
