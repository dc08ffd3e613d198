"""The codec port: readings to bytes and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from plexus.domain.point import Point


class Codec(Protocol):
    """Encodes the points of a batch.

    Contract: `decode(encode(points))` gives equal points (NaN equal to NaN); `encode` keeps every value the domain
    allows, non-finite numbers included; `decode` raises ProtocolError for bytes it did not write.
    """

    @property
    def name(self) -> str:
        """What it is called on the wire: "json" needs no agreement."""
        ...

    def encode(self, points: Sequence[Point]) -> bytes:
        """The points as one body."""
        ...

    def decode(self, body: bytes) -> list[Point]:
        """The points of a body."""
        ...
