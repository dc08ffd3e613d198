"""What of an entry stands in no column of its own, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from plexus.domain.errors import ProtocolError, StoreError
from plexus.ports.commandbook import CommandEntry, Step
from plexus.protocol import jsontext

COLUMNS = ("org", "source_id", "run_id", "state", "asked_ms")


def pack(entry: CommandEntry) -> str:
    """The body; raises StoreError for what JSON cannot say."""
    fields = attrs.asdict(entry, recurse=False)
    for column in COLUMNS:
        del fields[column]
    fields["params"] = dict(entry.params)
    fields["steps"] = [attrs.astuple(step) for step in entry.steps]
    try:
        return jsontext.dumps(fields)
    except ProtocolError as exc:
        raise StoreError(f"the command {entry.command!r} ({entry.run_id}) cannot be kept: it {exc}") from exc


def unpack(columns: Sequence[Any], body: str) -> CommandEntry:
    """The entry of these columns and this body."""
    fields = jsontext.loads(body)
    fields["steps"] = tuple(Step(*step) for step in fields["steps"])
    return CommandEntry(**dict(zip(COLUMNS, columns, strict=True)), **fields)
