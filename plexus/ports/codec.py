"""The codec port: rows to bytes and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from plexus.domain.point import Row


class Codec(Protocol):
    """Encodes the rows of a batch.

    Contract:
    - `decode(encode(rows))` gives equal rows, NaN equal to NaN; tags that are empty come back as None;
    - what the domain allows as a value is kept, numbers that are not finite included;
    - what a codec cannot carry (JSON: such a number inside an object or array) is a ProtocolError naming the metric;
    - `decode` raises ProtocolError for bytes that are no rows, whatever they are.
    """

    @property
    def name(self) -> str:
        """What it is called on the wire: "json" needs no agreement."""
        ...

    def encode(self, rows: Sequence[Row]) -> bytes:
        """The rows as one body."""
        ...

    def decode(self, body: bytes) -> list[Row]:
        """The rows of a body."""
        ...
