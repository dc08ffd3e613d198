"""Status lines on stderr, `[plexus] …`, unless PLEXUS_QUIET=1."""

from __future__ import annotations

import os
import sys
import threading

PREFIX = "[plexus] "
_LOUD = frozenset({"", "0", "false", "no", "off"})
_PLAIN = str.maketrans({"✓": "+", "✗": "x", "…": "..."})


class StderrStatus:
    """Writes to whatever `sys.stderr` is at the call; PLEXUS_QUIET is read at the call as well."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        """Show one line, if there is anybody to show it to."""
        stream = sys.stderr
        # A program without a console (pythonw, some services) has none.
        if stream is None or os.environ.get("PLEXUS_QUIET", "").strip().lower() not in _LOUD:
            return
        line = f"{PREFIX}{text}\n"
        try:
            with self._lock:
                try:
                    stream.write(line)
                except UnicodeEncodeError:
                    # A terminal that knows no tick gets a plus.
                    stream.write(line.translate(_PLAIN).encode("ascii", "backslashreplace").decode())
                stream.flush()
        except Exception:  # noqa: BLE001, S110 - somebody put any object there, closed or broken: the device goes on
            pass
