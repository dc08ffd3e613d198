"""Hardware observability: `Plexus` sends from a device, `PlexusAPI` reads what was sent.

    from plexus import Plexus
    px = Plexus(source_id="drone-01")
    px.send("battery.voltage", 12.4)

Names are imported when they are first used, so a device never loads what only readers and gateways need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from plexus._version import __version__

if TYPE_CHECKING:
    from plexus.api import PlexusAPI
    from plexus.client import Plexus, RetryConfig, Stats, WebSocketTransport, read_mjpeg_frames
    from plexus.client.logs import LogHandler
    from plexus.device.commandruns import CommandRun
    from plexus.domain.errors import (
        ApiError,
        AuthenticationError,
        CommandDeclarationError,
        CommandParamError,
        ConfigurationError,
        DataLossError,
        DeliveryError,
        NotFoundError,
        PlexusError,
        RateLimitedError,
    )
    from plexus.domain.event import Event
    from plexus.domain.live import LivePoint
    from plexus.domain.loss import Loss
    from plexus.domain.point import Point
    from plexus.domain.run import Run
    from plexus.domain.series import BucketSeries, QueryResult, Series
    from plexus.domain.source import Delivery, Source
    from plexus.gateway import Gateway

_HOMES = {
    "ApiError": "plexus.domain.errors",
    "AuthenticationError": "plexus.domain.errors",
    "BucketSeries": "plexus.domain.series",
    "CommandDeclarationError": "plexus.domain.errors",
    "CommandParamError": "plexus.domain.errors",
    "CommandRun": "plexus.device.commandruns",
    "ConfigurationError": "plexus.domain.errors",
    "DataLossError": "plexus.domain.errors",
    "Delivery": "plexus.domain.source",
    "DeliveryError": "plexus.domain.errors",
    "Event": "plexus.domain.event",
    "Gateway": "plexus.gateway",
    "LivePoint": "plexus.domain.live",
    "LogHandler": "plexus.client.logs",
    "Loss": "plexus.domain.loss",
    "NotFoundError": "plexus.domain.errors",
    "Plexus": "plexus.client",
    "PlexusAPI": "plexus.api",
    "PlexusError": "plexus.domain.errors",
    "Point": "plexus.domain.point",
    "QueryResult": "plexus.domain.series",
    "RateLimitedError": "plexus.domain.errors",
    "RetryConfig": "plexus.client",
    "Run": "plexus.domain.run",
    "Series": "plexus.domain.series",
    "Source": "plexus.domain.source",
    "Stats": "plexus.client",
    "WebSocketTransport": "plexus.client",
    "read_mjpeg_frames": "plexus.client",
}

__all__ = [
    "ApiError",
    "AuthenticationError",
    "BucketSeries",
    "CommandDeclarationError",
    "CommandParamError",
    "CommandRun",
    "ConfigurationError",
    "DataLossError",
    "Delivery",
    "DeliveryError",
    "Event",
    "Gateway",
    "LivePoint",
    "LogHandler",
    "Loss",
    "NotFoundError",
    "Plexus",
    "PlexusAPI",
    "PlexusError",
    "Point",
    "QueryResult",
    "RateLimitedError",
    "RetryConfig",
    "Run",
    "Series",
    "Source",
    "Stats",
    "WebSocketTransport",
    "__version__",
    "read_mjpeg_frames",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'plexus' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
