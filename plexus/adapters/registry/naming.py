"""Which name a device gets when another one holds the name that it declares."""

from __future__ import annotations

from collections.abc import Container, Mapping

from plexus.domain.errors import ConfigurationError
from plexus.domain.names import MAX_SOURCE_ID_BYTES
from plexus.ports.registry import Move

DEVICE_LIMIT = 63
"""The longest name that an SDK lets a device declare: what it was given has to pass that check at its next start."""


def name_for(declared: str, install_id: str, holders: Mapping[str, str]) -> str:
    """The name for an install that has none for `declared`; `holders` has the install of every known name, or ""."""
    return declared if holders.get(declared, "") in ("", install_id) else suffixed(declared, holders)


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


def taken_error(move: Move) -> ConfigurationError:
    """The refusal of a move whose new name is known, or whose source is moving already."""
    if move.new is None:
        return ConfigurationError(
            f"the source {move.source_id!r} is being renamed or deleted already; wait until it is done"
        )
    return ConfigurationError(
        f"the source {move.source_id!r} cannot be called {move.new!r}: that name is known already, or the source is "
        "being renamed or deleted; choose another name, or wait"
    )
