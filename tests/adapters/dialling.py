"""A WebSocket transport that is opened, and what it says when it cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from plexus.adapters.transport.websocket import SocketTransport
from plexus.domain.errors import TransportError
from tests.support.servers import PATIENCE_S


def opened(url: str, timeout: float = PATIENCE_S, **options: Any) -> SocketTransport:
    """An open transport."""
    transport = SocketTransport(url, **options)
    transport.open(timeout)
    return transport


def refused(url: str, timeout: float = PATIENCE_S) -> str:
    """What `open` says when it fails."""
    transport = SocketTransport(url)
    with pytest.raises(TransportError) as caught:
        transport.open(timeout)
    with pytest.raises(TransportError, match="is not open"):
        transport.receive(0.0)
    return str(caught.value)
