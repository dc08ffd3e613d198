"""Which name a device gets when another one holds the name that it declares."""

from __future__ import annotations

from collections.abc import Container

from plexus.domain.names import MAX_SOURCE_ID_BYTES

DEVICE_LIMIT = 63
"""The longest name that an SDK lets a device declare: what it was given has to pass that check at its next start."""


def suffixed(declared: str, known: Container[str]) -> str:
    """`declared` with the lowest suffix from `_2` on that makes a name nobody knows, its stem cut where it must be."""
    limit = DEVICE_LIMIT if len(declared) <= DEVICE_LIMIT else MAX_SOURCE_ID_BYTES
    number = 2
    while True:
        suffix = f"_{number}"
        name = declared[: limit - len(suffix)] + suffix
        if name not in known:
            return name
        number += 1
