"""The JSON of values that are no numbers, as files keep it: written and read many at once.

Nearly all of them are text, or true and false. Those are made a thousand in one call, for a tenth of what a call each
would take, in which nobody else gets the interpreter. Whatever else is among a thousand sends them the slow way.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Union

import msgspec

from plexus.adapters.store.embedded.values import unpack_all
from plexus.domain.values import Value

TOGETHER = 1_000

_PLAIN_TYPES = {str, bool}
_lines = msgspec.json.Encoder().encode_lines
_plain = msgspec.json.Decoder(list[Union[str, bool]])


def written(packed: Sequence[bytes]) -> list[str]:
    """The JSON of each value that `values.pack` made bytes of."""
    texts: list[str] = []
    for begin in range(0, len(packed), TOGETHER):
        texts += _written(unpack_all(packed[begin : begin + TOGETHER]))
    return texts


def read(texts: Sequence[str]) -> list[Value]:
    """The values again; no two of them share an object."""
    values: list[Value] = []
    for begin in range(0, len(texts), TOGETHER):
        values += _read(texts[begin : begin + TOGETHER])
    return values


def _read(texts: Sequence[str]) -> Sequence[Value]:
    try:
        return _plain.decode(f"[{','.join(texts)}]")
    except (msgspec.MsgspecError, UnicodeError):
        return [json.loads(text) for text in texts]


def _written(values: Sequence[Any]) -> Sequence[str]:
    if _PLAIN_TYPES.issuperset(map(type, values)):
        # A newline within a text is written as an escape.
        return _lines(values).decode().split("\n")[:-1]
    return [json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values]
