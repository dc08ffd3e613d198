"""Modules that are loaded late, by a thread, so that a program that never needs them does not wait for them.

    with loading():
        from plexus.adapters.transport.connection import Connection

A fork in the middle of that would leave the child with a module that nobody finishes, and whoever needs it there would
wait for ever: Python keeps a lock for each module, and the thread that holds it is not in the child. So a fork waits
until what is being loaded is there.
"""

from __future__ import annotations

import logging  # noqa: F401 - first: hooks of a fork run in the reverse order, and what is loaded may ask for its lock
import os
import threading
from contextlib import AbstractContextManager

WAIT_S = 10.0
"""How long a fork waits at most: a module that takes longer, or that forks by itself, must not hold up the program."""

_lock = threading.RLock()
_held: list[bool] = []


def loading() -> AbstractContextManager[bool]:
    """Hold this while something is loaded."""
    return _lock


def _before_fork() -> None:
    _held.append(_lock.acquire(timeout=WAIT_S))


def _after_fork_in_parent() -> None:
    if _held.pop():
        _lock.release()


def _after_fork_in_child() -> None:
    global _lock
    # It was held by the thread that forked, which is the child's only one, or by one that is not there any more.
    _held.clear()
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
