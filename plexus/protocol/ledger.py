"""What a gateway remembers of a stream, and what it answers to a batch. Pure: a store keeps the state.

Invariants:
- the watermark only rises; everything up to it is stored or was given up by the device (`base`);
- `n` = watermark + 1 is stored, and nothing else is: no gap is filled by a guess;
- a repeat is recognised by name and confirmed by digest, among what is pending and what is committed;
- a group is judged on drafts, and the states move when it is stored: a group that failed leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from plexus.protocol.batch import BatchName
from plexus.protocol.hashing import blake2b

DIGESTS_KEPT = 1_024
PRINT_BYTES = 16
_UNKNOWN = bytes(PRINT_BYTES)

Verdict = Literal["store", "duplicate", "gap", "fork"]


def print_of(digest: str) -> bytes:
    """A batch's digest, whatever its length, in the 16 bytes that are kept of it."""
    return blake2b(digest.encode(), digest_size=PRINT_BYTES).digest()


@attrs.define
class StreamState:
    """One row a stream.

    Attributes:
        source_id: the source of the stream's first commit; it stays, also when the source is renamed.
        watermark: the highest `n` that is stored or given up.
        prints: 16 bytes a batch for up to the last 1,024, oldest first, the last one for the watermark; zeros stand
            for a batch that was given up. As bytes because there may be thousands of streams.
    """

    source_id: str
    watermark: int = 0
    prints: bytearray = attrs.field(factory=bytearray)

    def kept_print(self, n: int) -> bytes:
        """What is kept of batch `n`; zeros, which no batch has, when it was given up, is too old or unknown."""
        end = len(self.prints) - (self.watermark - n) * PRINT_BYTES
        return bytes(self.prints[end - PRINT_BYTES : end]) if PRINT_BYTES <= end <= len(self.prints) else _UNKNOWN

    def advance(self, watermark: int, prints: Mapping[int, bytes]) -> None:
        """Raise the watermark, and keep the prints of the batches that were stored on the way."""
        if watermark - self.watermark >= DIGESTS_KEPT:
            self.prints.clear()
        for n in range(max(self.watermark, watermark - DIGESTS_KEPT) + 1, watermark + 1):
            self.prints += prints.get(n, _UNKNOWN)
        del self.prints[: -DIGESTS_KEPT * PRINT_BYTES]
        self.watermark = watermark


class Draft:
    """A stream as it will be once the group that is being judged is stored: `state` moves with `settle` only."""

    def __init__(self, state: StreamState) -> None:
        self.state = state
        self.watermark = state.watermark
        self.prints: dict[int, bytes] = {}

    @property
    def moved(self) -> bool:
        """Whether there is anything to settle."""
        return self.watermark != self.state.watermark

    def judge(self, name: BatchName) -> Verdict:
        """Decide about one batch; those of the group that were judged before count for it."""
        self.watermark = max(self.watermark, name.base - 1)
        if name.n <= self.watermark:
            return "duplicate" if self._kept_print(name.n) == print_of(name.digest) else "fork"
        if name.n > self.watermark + 1:
            return "gap"
        self.watermark = name.n
        self.prints[name.n] = print_of(name.digest)
        return "store"

    def settle(self) -> StreamState:
        """The group is stored: move the state."""
        self.state.advance(self.watermark, self.prints)
        return self.state

    def _kept_print(self, n: int) -> bytes:
        if self.watermark - n >= DIGESTS_KEPT:
            return _UNKNOWN
        return self.prints.get(n) or self.state.kept_print(n)
