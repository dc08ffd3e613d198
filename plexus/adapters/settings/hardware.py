"""Which machine this is, so that a card that was copied into another one is noticed.

Only where the machine says so itself and the program may read it: the serial number in the device tree (Raspberry Pi,
Jetson and the like), or the DMI's product or board (readable by root alone). A container may be started on another
machine every day and is still the same device, so it has no hardware of its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from plexus.protocol.hashing import blake2b

_NAMED_BY: Mapping[str, str] = {
    "device-tree": "proc/device-tree/serial-number",
    "dmi-product": "sys/class/dmi/id/product_uuid",
    "dmi-board": "sys/class/dmi/id/board_serial",
}
_CONTAINER_FILES = (".dockerenv", "run/.containerenv")
_CONTAINER_VARIABLES = ("container", "KUBERNETES_SERVICE_HOST")
_SHORTEST = 6
"""Characters of a serial number; "0", "None" and "N/A" are what makers write who have none."""


def hardware_id(root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> str | None:
    """A hash of what names this machine, with the kind of name in front; None where nothing does."""
    env = os.environ if environ is None else environ
    if any(env.get(name) for name in _CONTAINER_VARIABLES) or any((root / name).exists() for name in _CONTAINER_FILES):
        return None
    for kind, place in _NAMED_BY.items():
        try:
            name = (root / place).read_bytes().strip(b"\0 \r\n\t").lower()
        except OSError:
            continue
        # One character over and over is the maker's blank form.
        if len(name) >= _SHORTEST and len(set(name) - set(b"-")) > 1:
            return f"{kind}:{blake2b(b'plexus hardware ' + name, digest_size=16).hexdigest()}"
    return None


def is_another_machine(kept: object, here: str | None) -> bool:
    """Whether both are known, name the same kind of thing, and differ."""
    if not isinstance(kept, str) or here is None:
        return False
    return kept != here and kept.partition(":")[0] == here.partition(":")[0]
