"""A real child process in ffmpeg's place: this interpreter with a small script."""

from __future__ import annotations

from plexus.testing.contracts.camera import ERROR, OUTPUT

_WRITE = f"import sys, time, signal; sys.stdout.buffer.write({OUTPUT!r}); sys.stdout.flush(); "


def ending() -> list[str]:
    return ["-c", _WRITE + f"print({ERROR!r}, file=sys.stderr)"]


def endless() -> list[str]:
    return ["-c", _WRITE + "time.sleep(600)"]


def deaf() -> list[str]:
    """Does not end when it is asked to."""
    return ["-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + _WRITE + "time.sleep(600)"]


def chatty(lines: int) -> list[str]:
    """Complains more than a pipe holds before it writes anything."""
    return ["-c", f"import sys; [print('complaint', n, file=sys.stderr) for n in range({lines})]; " + _WRITE]
