"""Times in ISO 8601, read alike by every Python: 3.10 knows neither a Z nor a fraction of other than 3 or 6 digits."""

from __future__ import annotations

import re
from datetime import datetime

_fraction = re.compile(r"[.,](\d+)")


def parse_iso(text: str) -> datetime:
    """The moment that a text names, aware when it names an offset or Z; ValueError when it names none.

    What is finer than a microsecond is cut off.
    """
    plain = text.strip()
    if plain[-1:] in ("Z", "z"):
        plain = f"{plain[:-1]}+00:00"
    return datetime.fromisoformat(_fraction.sub(lambda found: f".{found[1][:6]:0<6}", plain, count=1))
