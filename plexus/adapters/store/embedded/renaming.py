"""Sources' new names in rows of the journal that were written before they had them."""

from __future__ import annotations

from collections.abc import Sequence

from plexus.adapters.store.embedded.manifest import Rename
from plexus.adapters.store.embedded.record import Block, Lost, Record, Step


def renamed(record: Record, seq: int, renames: Sequence[Rename]) -> Record:
    """Row `seq` with the names that its sources have now; changed in place."""
    for rename in renames:
        if rename.seq >= seq:
            for block in record.blocks:
                _in_block(block, rename)
            for step in record.steps:
                in_item(step, rename)
            for lost in record.lost:
                in_item(lost, rename)
    return record


def _in_block(block: Block, rename: Rename) -> None:
    if block.org != rename.org or rename.source_id not in block.seen_ns:
        return
    seen_ns = block.seen_ns.pop(rename.source_id)
    block.seen_ns[rename.new] = max(seen_ns, block.seen_ns.get(rename.new, seen_ns))
    if isinstance(block.source_id, str):
        block.source_id = _name(block.source_id, rename)
    else:
        block.source_id = [_name(source_id, rename) for source_id in block.source_id]


def in_item(item: Step | Lost, rename: Rename) -> None:
    """The source of a stream or a loss."""
    if item.org == rename.org:
        item.source_id = _name(item.source_id, rename)


def _name(source_id: str, rename: Rename) -> str:
    return rename.new if source_id == rename.source_id else source_id
