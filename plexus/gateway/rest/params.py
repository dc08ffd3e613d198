"""The query parameters that several routes share, with the words that the OpenAPI document has for them."""

from __future__ import annotations

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

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

InWindow = NamedDependency[SkipValidation[Asked]]
"""The type of a handler's `asked`: the window of `last`, `start` and `end`."""


def provide_window(caller: Asking, last: Last = None, start: Start = None, end: End = None) -> Asked:
    """The window that a request asks for; raises QueryError."""
    return parse_window(last, start, end, caller.core.wall_ns())
