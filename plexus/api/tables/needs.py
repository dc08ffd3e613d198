"""Libraries that are asked for only when somebody wants what they make."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from plexus.domain.errors import ConfigurationError

EXTRAS = {"matplotlib": "notebook", "rich": "notebook"}
"""The extra that brings a library, where it is not `tables`."""


def need(library: str, what: str) -> Any:
    """The module `library`; ConfigurationError that names the extra when it is not installed. `what` needs it."""
    name = library.partition(".")[0]
    try:
        return import_module(library)
    except ImportError as exc:
        extra = EXTRAS.get(name, "tables")
        reason = f": {exc}" if find_spec(name) is not None else ""
        raise ConfigurationError(
            f"{what} needs {name}, which cannot be imported{reason}; install it with "
            f"pip install 'plexus-python[{extra}]', or read .rows(), which needs nothing"
        ) from exc


@cache
def has(library: str) -> bool:
    """Whether a library is installed; it is not loaded. Looked for once: that takes a quarter of a millisecond."""
    return find_spec(library) is not None
