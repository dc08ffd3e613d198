"""The columnar codec (extension `columnar`): a batch as typed columns, a tenth of the size of JSON and faster.

The form itself is `plexus.protocol.columnar`, which the gateway reads too. Correct with the standard library alone;
zstandard (extra `plexus[speed]`) packs it smaller and faster where it is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plexus.domain.errors import ProtocolError
from plexus.domain.names import MAX_TAGS, metric_fault
from plexus.domain.values import inner_fault
from plexus.protocol import columnar
from plexus.protocol.block import Block
from plexus.protocol.columnar import Section

MAX_POINTS = 10_000_000
"""Points that a body of our own may hold: far more than a sealer puts into one."""


class ColumnarCodec:
    """Blocks as columns. `packing` is one of `columnar.PLAIN`, `ZLIB` and `ZSTD` (which must be installed then)."""

    def __init__(self, *, packing: int = columnar.BEST) -> None:
        self._packing = packing

    @property
    def name(self) -> str:
        """ "columnar"."""
        return "columnar"

    def encode(self, blocks: Sequence[Block]) -> bytes:
        """The blocks as one body; raises ProtocolError for what cannot be carried, naming the metric."""
        return columnar.write_body(blocks, self._packing)

    def decode(self, body: bytes) -> list[Block]:
        """The blocks of a body that `encode` wrote; raises ProtocolError for anything else."""
        return [_block(section) for section in columnar.read_body(body, MAX_POINTS)]


def _block(section: Section) -> Block:
    _check(section)
    metrics, values = section.metrics, section.values
    return Block(
        metrics[0] if len(metrics) == 1 else section.spread(metrics),
        section.t_ns,
        values,
        _one_or_all(section, section.events),
        _one_or_all(section, [tags or None for tags in section.tags]),
        _one_or_all(section, section.run_ids),
    )


def _one_or_all(section: Section, entries: Sequence[Any]) -> Any:
    return entries[0] if all(entry == entries[0] for entry in entries) else section.spread(entries)


def _check(section: Section) -> None:
    """Refuse what `encode` never wrote and what would break its reader."""
    faults = [metric_fault(metric) for metric in section.metrics]
    faults += ["tags must be an object of strings" for tags in section.tags if not _are_tags(tags)]
    faults += ["run_id must be a string" for run in section.run_ids if not isinstance(run, (str, type(None)))]
    if isinstance(section.values, list):
        faults += [
            "value must not be null" if value is None else inner_fault(value)
            for value in section.values
            if not isinstance(value, (float, int, str))
        ]
    fault = next((text for text in faults if text is not None), None)
    if fault is not None:
        raise ProtocolError(f"not an encoded point: {fault}")


def _are_tags(tags: Any) -> bool:
    if tags is None:
        return True
    return isinstance(tags, Mapping) and len(tags) <= MAX_TAGS and all(isinstance(text, str) for text in tags.values())
