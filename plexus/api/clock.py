"""What time it is, for windows that end now. The only clock of the reader that tells the date."""

from __future__ import annotations

import time


def now_ms() -> float:
    """Milliseconds since 1970 UTC."""
    return time.time() * 1000.0
