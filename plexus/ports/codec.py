"""The codec port: blocks of points to bytes and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from plexus.protocol.block import Block


class Codec(Protocol):
    """Encodes the points of a batch.

    Contract:
    - `decode(encode(blocks))` gives equal points in the same order, NaN equal to NaN; how they are divided into blocks
      may change, and tags that are empty come back as None;
    - what the domain allows as a value is kept, numbers that are not finite included; a number stays the number that it
      is, exactly, and a boolean stays one;
    - times are kept to the microsecond; what is finer may be cut off;
    - what a codec cannot carry (JSON: such a number inside an object or array) is a ProtocolError naming the metric;
    - `decode` raises ProtocolError for bytes that it did not write, whatever they are: a body says by its first bytes
      which codec it is of.
    """

    @property
    def name(self) -> str:
        """What it is called on the wire: "json" needs no agreement, any other is the name of an extension."""
        ...

    def encode(self, blocks: Sequence[Block]) -> bytes:
        """The blocks as one body."""
        ...

    def decode(self, body: bytes) -> list[Block]:
        """The blocks of a body."""
        ...
