"""The C library's heap, kept small: what many threads freed in turn goes back to the system.

Sealing a million points takes and frees some 100 MB in pieces of every size, beside threads that answer questions. Left
alone, glibc keeps an arena for each of these threads and most of those pages: the process grows for hours, to several
times what is in use. Elsewhere (musl, macOS, Windows) there is nothing to do.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

ARENAS = 2
M_ARENA_MAX = -8
"""`mallopt(3)`."""


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
