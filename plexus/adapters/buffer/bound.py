"""The bound of a buffer, checked where it is set."""

from __future__ import annotations

from plexus.domain.errors import ConfigurationError


def checked_bound(max_points: int) -> int:
    """`max_points` itself; raises ConfigurationError when nothing could be kept under it."""
    if max_points < 1:
        raise ConfigurationError(f"a buffer's bound must be at least 1 point, not {max_points}: set max_buffer_size")
    return max_points
