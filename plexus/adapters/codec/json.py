"""The JSON codec: a batch's body is the array of points as every release of the protocol has it.

orjson writes it where it is installed, the standard library otherwise; both say the same. Reading is always the
contract's strict reader, since only batches that must be fitted to an older gateway are ever read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plexus.domain.errors import ProtocolError
from plexus.domain.point import Row
from plexus.protocol import jsontext
from plexus.protocol.points import encode_point, read_point

orjson: Any
try:
    import orjson
except ImportError:
    # The extra `plexus[speed]`; correct without it.
    orjson = None


class JsonCodec:
    """Rows as a JSON array of points. `fast` writes with orjson, which must be installed then."""

    def __init__(self, *, fast: bool = orjson is not None) -> None:
        self._dump = _dump_fast if fast else _dump_plain

    @property
    def name(self) -> str:
        """ "json"."""
        return "json"

    def encode(self, rows: Sequence[Row]) -> bytes:
        """The rows as one array; raises ProtocolError for what JSON cannot say."""
        return self._dump([encode_point(row) for row in rows])

    def decode(self, body: bytes) -> list[Row]:
        """The rows of an array that `encode` wrote; raises ProtocolError for anything else."""
        items = jsontext.loads(body)
        if not isinstance(items, list):
            raise ProtocolError("points must be an array", field="points")
        return [read_point(item) for item in items]


def _dump_fast(items: list[dict[str, Any]]) -> bytes:
    try:
        body: bytes = orjson.dumps(items)
    except (TypeError, ValueError, RecursionError) as exc:
        raise ProtocolError(f"cannot be said in JSON: {exc}") from exc
    return body


def _dump_plain(items: list[dict[str, Any]]) -> bytes:
    try:
        return jsontext.dumps(items).encode()
    except UnicodeEncodeError as exc:
        raise ProtocolError(f"cannot be said in JSON: {exc}") from exc
