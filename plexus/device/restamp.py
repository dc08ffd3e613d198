"""Putting right what was stamped before the clock was told the time.

It happens once, before a batch is sent for the first time: afterwards its content must not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat

import attrs

from plexus.device.fitting import decoded, sealed_needs
from plexus.domain.names import MAX_TAGS
from plexus.domain.point import milliseconds_of
from plexus.ports.clock import Clock
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch, Unsynced, digest_of
from plexus.protocol.block import Block, Tags
from plexus.protocol.suiting import span_ns

UNCERTAIN = {"clock": "uncertain"}
"""The tag of points whose time nobody can find out any more: they are of a boot that ended before it was told one."""

_BITS = [tuple(byte >> bit & 1 == 1 for bit in range(8)) for byte in range(256)]


def restamped(batch: Batch, clock: Clock, codecs: Sequence[Codec]) -> Batch:
    """The batch under its name with its made stamps put right by `clock`; itself when they need nothing.

    Those of this boot are moved to the time as it is known now. Those of another boot stay and are tagged, where a
    point has room for a tag. Where no time was ever told nothing is known better, and all stays as it is.
    Raises ProtocolError when none of `codecs` reads it.
    """
    unsynced = batch.unsynced
    if unsynced is None:
        return batch
    if not clock.synced or not batch.count:
        return attrs.evolve(batch, unsynced=None)
    codec, blocks = decoded(batch.body, codecs)
    if unsynced.boot_id == clock.boot_id:
        # Whole microseconds, as stamps are made: finer digits no JSON link would carry.
        shift_ns = round((clock.wall_ms(0) - unsynced.zero_ms) * 1e3) * 1_000
        blocks = [_shifted(block, made, shift_ns) for block, made in _with_made(blocks, unsynced)]
    else:
        blocks = [_tagged(block, made) for block, made in _with_made(blocks, unsynced)]
    body = codec.encode(blocks)
    first_ns, last_ns = span_ns(blocks)
    return attrs.evolve(
        batch,
        body=body,
        digest=digest_of(body),
        needs=sealed_needs(blocks, codec),
        first_ms=milliseconds_of(first_ns),
        last_ms=milliseconds_of(last_ns),
        unsynced=None,
    )


def mask_of(made: Sequence[bool]) -> bytes | None:
    """`Unsynced.made` for a batch whose points have a made stamp or not; None: all of them have one."""
    if all(made):
        return None
    bits = sum(1 << number for number, is_made in enumerate(made) if is_made)
    return bits.to_bytes((len(made) + 7) // 8, "little")


def _with_made(blocks: Sequence[Block], unsynced: Unsynced) -> list[tuple[Block, Sequence[bool] | None]]:
    """Each block, and which of its points have a made stamp (None: all of them)."""
    if unsynced.made is None:
        return [(block, None) for block in blocks]
    made = [bit for byte in unsynced.made for bit in _BITS[byte]]
    parts: list[tuple[Block, Sequence[bool] | None]] = []
    at = 0
    for block in blocks:
        parts.append((block, made[at : at + len(block)]))
        at += len(block)
    return parts


def _shifted(block: Block, made: Sequence[bool] | None, shift_ns: int) -> Block:
    times = block.t_ns
    if made is None and isinstance(times, range):
        return attrs.evolve(block, t_ns=range(times.start + shift_ns, times.stop + shift_ns, times.step))
    shifts = repeat(shift_ns) if made is None else [shift_ns if is_made else 0 for is_made in made]
    return attrs.evolve(block, t_ns=list(map(int.__add__, times, shifts)))


def _tagged(block: Block, made: Sequence[bool] | None) -> Block:
    if made is None and (block.tags is None or isinstance(block.tags, Mapping)):
        return attrs.evolve(block, tags=_with_mark(block.tags))
    marked = [
        _with_mark(tags) if is_made else tags
        for tags, is_made in zip(block.tag_list(), made or [True] * len(block), strict=True)
    ]
    return attrs.evolve(block, tags=marked)


def _with_mark(tags: Tags | None) -> Tags | None:
    if tags is None:
        return UNCERTAIN
    if len(tags) >= MAX_TAGS or not UNCERTAIN.keys().isdisjoint(tags):
        return tags
    return {**tags, **UNCERTAIN}
