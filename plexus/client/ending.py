"""The end of the process, and what is done before it: every open client is closed, all of them within two seconds.

    the program ends, sys.exit, an exception, Ctrl-C   atexit
    a child of multiprocessing ends                    its own exit functions, since it does not come by atexit
    SIGTERM                                            a handler, see below
    kill -9, os._exit, a power cut                     nobody is told; what is older than 250 ms is on disk or delivered

SIGTERM. The handler is installed by a client that is made in the main thread, and only where nobody handles the signal
(SIG_DFL). It closes every client, takes itself out, and sends the signal again, so that whoever waits for the process
sees that it was ended by SIGTERM. A handler that the program installs, before or afterwards, is left alone: it is the
program's to end in good order, and `sys.exit` in it is enough. The last client that is closed in the main thread takes
the handler out.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import attrs

CLOSE_S = 2.0
GRACE_S = 2.0
"""How long a write that is under way when the time is over is waited for."""


@attrs.frozen(eq=False)
class Ending:
    """How one client ends. `begin(timeout)` asks it to, without waiting; `finish(end)` waits until monotonic `end`."""

    begin: Callable[[float], None]
    finish: Callable[[float], None]


_open: set[Ending] = set()
_terminating = False
_told_multiprocessing = 0
"""The process that has it among its exit functions; a forked one has it not."""


def watch(ending: Ending) -> None:
    """From now on the end of the process is the end of this client."""
    if not _open:
        # Exit functions run last first: those that the program registers from now on may still send.
        atexit.register(close_all)
    _open.add(ending)
    _tell_multiprocessing()
    _handle_sigterm()


def forget(ending: Ending) -> None:
    """It has ended."""
    _open.discard(ending)
    if not _open:
        atexit.unregister(close_all)
        _leave_sigterm()


def close_all(timeout: float = CLOSE_S) -> None:
    """Close every client, all at once; returns after `timeout` seconds and one flush of the disk at the latest."""
    end = time.monotonic() + timeout
    endings = list(_open)
    for ending in endings:
        ending.begin(timeout)
    for ending in endings:
        ending.finish(end)


def _tell_multiprocessing() -> None:
    global _told_multiprocessing
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is None or util is None or process.parent_process() is None or _told_multiprocessing == os.getpid():
        return
    _told_multiprocessing = os.getpid()
    util.Finalize(None, close_all, exitpriority=0)


# --- SIGTERM ------------------------------------------------------------------------------------------------


def _handle_sigterm() -> None:
    import signal

    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # A sub-interpreter may not: its main program handles the signals.
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGTERM, _terminated)


def _leave_sigterm() -> None:
    import signal

    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is _terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminated(number: int, _frame: FrameType | None) -> None:
    global _terminating
    if _terminating:
        return
    _terminating = True
    _close_beside()
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _close_beside() -> None:
    """Close on a thread of its own: this one was interrupted anywhere, and may hold a lock that closing waits for."""
    done = _thread.allocate_lock()
    done.acquire()

    def close() -> None:
        try:
            close_all()
        finally:
            done.release()

    try:
        # Not a threading.Thread, whose start takes locks too.
        _thread.start_new_thread(close, ())
    except RuntimeError:
        # The interpreter is going down and gives no more threads.
        close_all()
    else:
        done.acquire(timeout=CLOSE_S + GRACE_S)
