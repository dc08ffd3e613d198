"""What waits in a spool that was copied with its card: it is the former machine's, and goes under that one's name.

Each batch keeps its name and digest, and its points say whose they are. So it does not matter which of the two machines
delivers it first: the gateway stores it once, under the former name, and takes the other one's for a repeat.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence

import attrs

from plexus.adapters.codec.columnar import ColumnarCodec
from plexus.adapters.codec.json import JsonCodec
from plexus.device.fitting import decoded, sealed_needs
from plexus.domain.errors import PlexusError, ProtocolError
from plexus.ports.buffer import Buffer
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch

AT_A_TIME = 64

log = logging.getLogger("plexus")


def label(buffers: Iterable[Buffer], source_id: str) -> None:
    """Have all that waits in these buffers say that it is of `source_id`.

    What cannot be changed is named in a warning, and goes under the name that the gateway knows this device by.
    """
    wire = JsonCodec()
    codecs: Sequence[Codec] = (wire, ColumnarCodec())
    for buffer in buffers:
        at = 0
        try:
            while batches := buffer.oldest(at, AT_A_TIME):
                buffer.rewrite([labelled(batch, source_id, wire, codecs) for batch in batches if batch.count])
                at += len(batches)
        except PlexusError as exc:
            log.warning("what waits in a copied spool goes under this device's own name: %s", exc)


def labelled(batch: Batch, source_id: str, wire: Codec, codecs: Sequence[Codec]) -> Batch:
    """The batch under its name and digest, as JSON whose points carry their source; itself when no codec reads it."""
    try:
        _codec, blocks = decoded(batch.body, codecs)
        points = json.loads(wire.encode(blocks))
    except ProtocolError as exc:
        log.warning("a batch of %d points in a copied spool cannot be read: %s", batch.count, exc)
        return batch
    body = json.dumps([{**point, "source_id": source_id} for point in points], separators=(",", ":")).encode()
    # The time of another machine's boot cannot be found out here: its stamps stay as they are.
    return attrs.evolve(batch, body=body, needs=sealed_needs(blocks, wire), unsynced=None)
