"""What an export is made of, beside questions (see plexus.api.steps): downloads to disk, and work on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, Union

import attrs

from plexus.api.requests import Request
from plexus.api.steps import Ask, Steps

T = TypeVar("T")

CUTS_FORGIVEN = 4
"""So often a download that broke off in the middle is begun again; a link tries again by itself what did not begin."""

CHUNK_BYTES = 262_144


@attrs.frozen
class Fetch:
    """Write the answer's body to `target`, durably. `told` hears how many bytes came, negative when they are void."""

    request: Request
    target: Path
    told: Callable[[int], None]


@attrs.frozen
class Work:
    """Do this where it holds nobody up, and give back what it returns."""

    do: Callable[[], Any]


Step = Union[Ask, Fetch, Work]
ExportSteps = Steps[Step, T]


class Tally:
    """What one try of a download brought."""

    def __init__(self, told: Callable[[int], None]) -> None:
        self._told = told
        self._bytes = 0
        self._begun = False

    def begun(self) -> None:
        """The server answers."""
        self._begun = True

    def came(self, chunk: bytes) -> None:
        """A piece came, and is written."""
        self._bytes += len(chunk)
        self._told(len(chunk))

    def void(self) -> bool:
        """The try is void; whether it had begun. What does not even begin, the link has tried often enough."""
        if self._bytes:
            self._told(-self._bytes)
        return self._begun
