"""A batch as one link can take it: as it was sealed, or decoded, fitted and written anew for an older gateway."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from plexus.domain.errors import ProtocolError
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch
from plexus.protocol.block import Block, count_points
from plexus.protocol.extensions import Features
from plexus.protocol.suiting import fit, needs

NEEDS_NO_AGREEMENT = "json"
"""The codec that every release has."""


@attrs.frozen
class Fitted:
    """A body for the wire with `count` points; `lost` points of the batch have no form that this gateway takes."""

    body: bytes
    count: int
    lost: int = 0


class Fitter:
    """Fits batches, which any of `wire` and `others` sealed, to links that speak `wire` (JSON, which all take)."""

    def __init__(self, wire: Codec, *others: Codec) -> None:
        self._wire = wire
        self._codecs = (wire, *others)

    def fitted(self, batch: Batch, features: Features) -> Fitted:
        """The batch for a link with these features; raises ProtocolError when no codec can read it."""
        if batch.needs <= features:
            return Fitted(batch.body, batch.count)
        _codec, sealed = decoded(batch.body, self._codecs)
        blocks, lost = fit(sealed, features)
        return Fitted(self._wire.encode(blocks), count_points(blocks), lost)


def decoded(body: bytes, codecs: Sequence[Codec]) -> tuple[Codec, list[Block]]:
    """What a sealed body says, and the codec among these that it is of; raises ProtocolError when it is of none.

    A codec knows its own by the first bytes, so that asking one after the other costs nothing.
    """
    refusals = []
    for codec in codecs:
        try:
            return codec, codec.decode(body)
        except ProtocolError as exc:
            refusals.append(f"{codec.name}: {exc}")
    raise ProtocolError(f"no codec reads a body that begins with {body[:4]!r} ({'; '.join(refusals)})", field="body")


def sealed_needs(blocks: Sequence[Block], codec: Codec) -> Features:
    """What a link must have for these blocks as `codec` wrote them."""
    return needs(blocks) if codec.name == NEEDS_NO_AGREEMENT else needs(blocks) | {codec.name}
