"""A batch as one link can take it: as it was sealed, or decoded, fitted and written anew for an older gateway."""

from __future__ import annotations

import attrs

from plexus.domain.errors import ProtocolError
from plexus.domain.point import Row
from plexus.ports.codec import Codec
from plexus.protocol.batch import Batch
from plexus.protocol.extensions import Features
from plexus.protocol.points import fit


@attrs.frozen
class Fitted:
    """A body for the wire with `count` points; `lost` points of the batch have no form that this gateway takes."""

    body: bytes
    count: int
    lost: int = 0


class Fitter:
    """Fits batches that `codec` sealed to links that speak `wire` (JSON, which every release takes)."""

    def __init__(self, codec: Codec, wire: Codec) -> None:
        self._codec = codec
        self._wire = wire
        self._as_sealed = codec.name == wire.name

    def fitted(self, batch: Batch, features: Features) -> Fitted:
        """The batch for a link with these features; raises ProtocolError when neither codec can read it."""
        if self._as_sealed and batch.needs <= features:
            return Fitted(batch.body, batch.count)
        rows, lost = fit(self._decode(batch.body), features)
        return Fitted(self._wire.encode(rows), len(rows), lost)

    def _decode(self, body: bytes) -> list[Row]:
        try:
            return self._codec.decode(body)
        except ProtocolError:
            # An earlier process may have sealed it with the wire's own codec.
            return self._wire.decode(body)
