"""The query parameters that several routes share, with the words that the OpenAPI document has for them."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import unquote

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

from plexus.domain.errors import QueryError
from plexus.domain.names import GATEWAY_SOURCE_ID_RULE, MAX_SOURCE_ID_BYTES
from plexus.gateway.rest.caller import Asking
from plexus.gateway.rest.windows import Asked, parse_window

Last = Annotated[
    str | None,
    QueryParameter(
        description="The window that ends now: a number and m, h or d. It wins over start and end. Without any: 1h.",
        schema_extra={"pattern": "^[0-9]{1,9}[mhd]$", "examples": ["30m", "6h", "7d"]},
    ),
]
Start = Annotated[
    str | None,
    QueryParameter(
        description="Where the window begins: ISO 8601 with an offset.",
        schema_extra={"format": "date-time", "examples": ["2026-05-01T12:00:00Z"]},
    ),
]
End = Annotated[
    str | None,
    QueryParameter(
        description="Where the window ends, not included: ISO 8601 with an offset. Without it: now.",
        schema_extra={"format": "date-time", "examples": ["2026-05-01T14:00:00+02:00"]},
    ),
]

NAMES = {"items": {"type": "string", "pattern": "^[^,]+(,[^,]+)*$"}}
"""The schema of a list of names with commas between them."""
NAME = {"items": {"type": "string", "minLength": 1}}
"""The schema of a list of names."""

SOURCE_ID = {"pattern": GATEWAY_SOURCE_ID_RULE, "maxLength": MAX_SOURCE_ID_BYTES}
"""The schema of a source's name."""


def counting(description: str, least: int, most: int) -> QueryParameter:
    """A parameter that is a whole number. It is text to the framework, which would take "null" for a number left out;
    `whole_number` reads it.
    """
    return QueryParameter(description=description, schema_extra={"type": "integer", "minimum": least, "maximum": most})


def whole_number(text: str | None, field: str, least: int, most: int) -> int | None:
    """The number that a parameter says; raises QueryError naming it."""
    if text is None:
        return None
    digits = text.removeprefix("-")
    number = int(text) if digits.isascii() and digits.isdigit() and len(digits) < 20 else least - 1
    if not least <= number <= most:
        raise QueryError(f"{field}={text[:64]!r} must be a whole number from {least} to {most}")
    return number


InWindow = NamedDependency[SkipValidation[Asked]]
"""The type of a handler's `asked`: the window of `last`, `start` and `end`."""


def provide_window(caller: Asking, last: Last = None, start: Start = None, end: End = None) -> Asked:
    """The window that a request asks for; raises QueryError."""
    return parse_window(last, start, end, caller.core.wall_ns())


def written(request: Request[Any, Any, Any], before: str) -> str:
    """What comes after `before` in the url as it was written: the framework folds slashes, and a name may hold them."""
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    text = unquote(raw.partition(b"?")[0].decode("latin-1"), errors="replace")
    return text.partition(before)[2]
