"""What a gateway remembers of a stream, and what it answers to a batch. Pure: a store keeps the state.

Invariants:
- the watermark only rises; everything up to it is stored or was given up by the device (`base`);
- `n` = watermark + 1 is stored, and nothing else is: no gap is filled by a guess;
- a repeat is recognised by name and confirmed by digest, among what is pending and what is committed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import attrs

from plexus.protocol.batch import BatchName

DIGESTS_KEPT = 1_024

Verdict = Literal["store", "duplicate", "gap", "fork"]


@attrs.define
class StreamState:
    """One row a stream: the watermark and the digests of the last 1,024 batches."""

    source_id: str
    watermark: int = 0
    digests: OrderedDict[int, str] = attrs.field(factory=OrderedDict)


def judge(state: StreamState, name: BatchName) -> Verdict:
    """Decide about one batch and, unless it is a repeat or a fork, move the state; the caller keeps the state."""
    if name.base - 1 > state.watermark:
        state.watermark = name.base - 1
    if name.n <= state.watermark:
        return "duplicate" if state.digests.get(name.n) == name.digest else "fork"
    if name.n > state.watermark + 1:
        return "gap"
    state.watermark = name.n
    state.digests[name.n] = name.digest
    while len(state.digests) > DIGESTS_KEPT:
        state.digests.popitem(last=False)
    return "store"
