"""Memory of a process of our own, kept small: garbage is looked for at our own pace, and free pages go back.

Python looks for garbage whenever enough objects came to be, and a look at all there are holds everybody up for 100 ms
once a thousand devices are connected; one at what came to be in 20 s of load still for 50. Everything that is ours is
freed by its count, closed connections too (see `server`): what refers to itself is little. So what is new is looked
through every ten minutes, everything once an hour, and sooner only when very much came to be and did not go.

Sealing a million points takes and frees some 100 MB in pieces of every size, beside threads that answer questions. Left
alone, glibc keeps an arena for each of these threads and most of those pages: the process grows for hours, to several
times what is in use. Elsewhere (musl, macOS, Windows) there is nothing to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import sys
from collections.abc import Awaitable, Callable, Iterator

ARENAS = 2
M_ARENA_MAX = -8
"""`mallopt(3)`."""


THRESHOLDS = (100_000, 50, 100)
"""When Python looks by itself all the same: so many objects more came to be than went."""

LOOK_S = 600.0
LOOKS_A_ROUND = 6
"""Every one of so many looks is at everything."""


@contextlib.contextmanager
def own_pace() -> Iterator[None]:
    """Until the end, Python looks for garbage seldom by itself, and never at what is there already."""
    before = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


async def collect(sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
    """Look for garbage until cancelled; for a process under `own_pace`."""
    while True:
        for look in range(1, LOOKS_A_ROUND + 1):
            await sleep(LOOK_S)
            gc.collect(2 if look == LOOKS_A_ROUND else 1)


def use_few_arenas() -> None:
    """Let all threads share two arenas from now on; for a process of our own."""
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)


def trim() -> None:
    """Give free pages back: some milliseconds, in which no other thread has to wait for the interpreter."""
    malloc_trim = _function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _function(name: str) -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)
