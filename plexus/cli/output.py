"""How the command line speaks: tables and JSON on stdout, everything else on stderr, colours for a person only."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TextIO

from plexus.domain.values import Value, is_non_finite
from plexus.protocol import jsontext
from plexus.protocol.points import non_finite_name

BOLD, GREEN, DIM, RED, YELLOW = "1", "32", "2", "31", "33"


def colourful(stream: TextIO) -> bool:
    """Whether a person looks at `stream` and has nothing against colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def draws(stream: TextIO | None = None) -> bool:
    """Whether blocks of Unicode can be shown: to a person, in an encoding that has them."""
    shown_on = stream or sys.stdout
    if not shown_on.isatty() or os.environ.get("TERM") == "dumb":
        return False
    return (getattr(shown_on, "encoding", None) or "").lower().replace("-", "") == "utf8"


def paint(text: str, code: str, stream: TextIO | None = None) -> str:
    """`text` in a colour where `stream` (stdout if none is named) shows colours."""
    return f"\x1b[{code}m{text}\x1b[0m" if colourful(stream or sys.stdout) else text


def say(text: str) -> None:
    """One line for the person at the terminal, on stderr, out of the way of what is piped on."""
    print(text, file=sys.stderr, flush=True)


def line(text: str) -> None:
    """One line of the command's result, handed on at once."""
    # In one piece: between a text and the end of its line, Ctrl-C could come.
    print(f"{text}\n", end="", flush=True)


def json_line(value: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    line(jsontext.dumps(plain(value)))


def plain(value: Any) -> Any:
    """The same for JSON, which has no NaN: "NaN", "Infinity" and "-Infinity" as text."""
    if is_non_finite(value):
        return non_finite_name(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def shown(value: Value | None) -> str:
    """A value for a person: short numbers, and nothing that could steer the terminal."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return clean(value)
    return clean(jsontext.dumps(plain(value)))


def clean(text: str) -> str:
    """Text of a device without control characters: they are written out, so that they cannot steer the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def moment(ms: float | None) -> str:
    """A time in UTC to the millisecond; "never" for None."""
    if ms is None:
        return "never"
    try:
        when = datetime.fromtimestamp(ms / 1000.0, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return f"{ms:.0f} ms"
    return when.strftime("%Y-%m-%d %H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns that line up, with a heading in bold; for a person, and plain enough for awk."""
    kept = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *kept, strict=True)]
    line(paint(_row(headings, widths), BOLD))
    for row in kept:
        line(_row(row, widths))


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
