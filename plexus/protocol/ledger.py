"""What a gateway remembers of a stream, and what it answers to a batch. Pure: a store keeps the state.

Invariants:
- the watermark only rises; everything up to it is stored or was given up by the device (`base`);
- `n` = watermark + 1 is stored, and nothing else is: no gap is filled by a guess;
- a repeat is recognised by name and confirmed by digest, among what is pending and what is committed;
- a stream is its first source's: from another one, which a renamed source is not, only a repeat is known, whose answer
  changes nothing; all else is a fork, which its device seals anew under a stream of its own;
- a group is judged on drafts, and the states move when it is stored: a group that failed leaves no trace;
- a stream that was let go of stays known as such: every batch of it is a fork, which its device answers by sealing the
  batch anew under a new stream. What begins where `base` says is only a stream that was never heard of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from plexus.protocol.batch import MAX_N, BatchName
from plexus.protocol.hashing import blake2b

DIGESTS_KEPT = 1_024
PRINT_BYTES = 16
_UNKNOWN = bytes(PRINT_BYTES)

SILENT_NS = 400 * 86_400 * 10**9
"""A stream that nobody heard of for so long is let go of (nanoseconds)."""

UNSET_CLOCK_NS = 1_577_836_800 * 10**9
"""Times before 2020 are those of a clock that was not set: they say nothing about how long a stream is silent."""

LET_GO = MAX_N + 1
"""The watermark of a stream that was let go of: no batch is above it, and no print says that one is a repeat."""

Verdict = Literal["store", "duplicate", "gap", "fork"]


def print_of(digest: str) -> bytes:
    """A batch's digest, whatever its length, in the 16 bytes that are kept of it."""
    return blake2b(digest.encode(), digest_size=PRINT_BYTES).digest()


@attrs.define
class StreamState:
    """One row a stream.

    Attributes:
        source_id: the source of the stream's first commit, by its present name: it is renamed here too.
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

    @property
    def was_let_go(self) -> bool:
        """Whether this is what is left of a stream after its silence."""
        return self.watermark == LET_GO

    def let_go(self) -> None:
        """Forget all of the stream but that there was one."""
        self.watermark = LET_GO
        self.prints.clear()


def is_silent(seen_ns: int, before_ns: int) -> bool:
    """Whether a stream that was heard of last at `seen_ns` (ns since 1970 UTC) was not since `before_ns`."""
    return UNSET_CLOCK_NS < seen_ns < before_ns


def refusal_of_silent(org: str, source_id: str, name: BatchName) -> str:
    """What a store has in its log about a batch of a stream that was let go of."""
    return (
        f"batch {name.n} of stream {name.stream} from {source_id} ({org}) is refused: nothing came in this stream for "
        f"{SILENT_NS // (86_400 * 10**9)} days, and it was let go of, so that nobody can tell whether the batch is "
        "stored already. Its device sends the same points under a new stream: none is lost, and a batch that was "
        "stored without the device hearing of it is there twice"
    )


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

    def judge(self, name: BatchName, source_id: str | None = None) -> Verdict:
        """Decide about one batch; those of the group that were judged before count for it.

        `source_id` is who sends it; None is the stream's own source, for a peer that has one.
        """
        if source_id not in (None, self.state.source_id):
            return self._of_another(name)
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

    def _of_another(self, name: BatchName) -> Verdict:
        if name.n > self.watermark or self._kept_print(name.n) != print_of(name.digest):
            return "fork"
        return "duplicate"

    def _kept_print(self, n: int) -> bytes:
        if self.watermark - n >= DIGESTS_KEPT:
            return _UNKNOWN
        return self.prints.get(n) or self.state.kept_print(n)
