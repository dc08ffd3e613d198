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
    from plexus.api import AsyncPlexusAPI, PlexusAPI
    from plexus.api.answers import Identity
    from plexus.api.tables import FleetMetrics, QueryResult
    from plexus.client import Plexus, RetryConfig, Stats, WebSocketTransport, read_mjpeg_frames
    from plexus.client.logs import LogHandler
    from plexus.device.commandruns import CommandRun
    from plexus.domain.asked import CommandStatus, SentCommand, SourceCommands
    from plexus.domain.errors import (
        ApiError,
        AuthenticationError,
        CommandDeclarationError,
        CommandParamError,
        ConfigurationError,
        DataLossError,
        DeliveryError,
        ExportError,
        NotFoundError,
        PlexusError,
        RateLimitedError,
        RefusalError,
    )
    from plexus.domain.event import Event
    from plexus.domain.live import LivePoint, StreamNotice
    from plexus.domain.loss import Loss
    from plexus.domain.metricinfo import MetricInfo
    from plexus.domain.point import Point
    from plexus.domain.run import Run
    from plexus.domain.series import BucketSeries, Series
    from plexus.domain.source import Delivery, FleetHealth, Removal, Source
    from plexus.domain.video import VideoFrame
    from plexus.gateway import Gateway

_HOMES = {
    "ApiError": "plexus.domain.errors",
    "AsyncPlexusAPI": "plexus.api",
    "AuthenticationError": "plexus.domain.errors",
    "BucketSeries": "plexus.domain.series",
    "CommandDeclarationError": "plexus.domain.errors",
    "CommandParamError": "plexus.domain.errors",
    "CommandRun": "plexus.device.commandruns",
    "CommandStatus": "plexus.domain.asked",
    "ConfigurationError": "plexus.domain.errors",
    "DataLossError": "plexus.domain.errors",
    "Delivery": "plexus.domain.source",
    "DeliveryError": "plexus.domain.errors",
    "Event": "plexus.domain.event",
    "ExportError": "plexus.domain.errors",
    "FleetHealth": "plexus.domain.source",
    "FleetMetrics": "plexus.api.tables",
    "Gateway": "plexus.gateway",
    "Identity": "plexus.api.answers",
    "LivePoint": "plexus.domain.live",
    "LogHandler": "plexus.client.logs",
    "Loss": "plexus.domain.loss",
    "MetricInfo": "plexus.domain.metricinfo",
    "NotFoundError": "plexus.domain.errors",
    "Plexus": "plexus.client",
    "PlexusAPI": "plexus.api",
    "PlexusError": "plexus.domain.errors",
    "Point": "plexus.domain.point",
    "QueryResult": "plexus.api.tables",
    "RateLimitedError": "plexus.domain.errors",
    "RefusalError": "plexus.domain.errors",
    "Removal": "plexus.domain.source",
    "RetryConfig": "plexus.client",
    "Run": "plexus.domain.run",
    "SentCommand": "plexus.domain.asked",
    "Series": "plexus.domain.series",
    "Source": "plexus.domain.source",
    "SourceCommands": "plexus.domain.asked",
    "Stats": "plexus.client",
    "StreamNotice": "plexus.domain.live",
    "VideoFrame": "plexus.domain.video",
    "WebSocketTransport": "plexus.client",
    "read_mjpeg_frames": "plexus.client",
}

__all__ = [
    "ApiError",
    "AsyncPlexusAPI",
    "AuthenticationError",
    "BucketSeries",
    "CommandDeclarationError",
    "CommandParamError",
    "CommandRun",
    "CommandStatus",
    "ConfigurationError",
    "DataLossError",
    "Delivery",
    "DeliveryError",
    "Event",
    "ExportError",
    "FleetHealth",
    "FleetMetrics",
    "Gateway",
    "Identity",
    "LivePoint",
    "LogHandler",
    "Loss",
    "MetricInfo",
    "NotFoundError",
    "Plexus",
    "PlexusAPI",
    "PlexusError",
    "Point",
    "QueryResult",
    "RateLimitedError",
    "RefusalError",
    "Removal",
    "RetryConfig",
    "Run",
    "SentCommand",
    "Series",
    "Source",
    "SourceCommands",
    "Stats",
    "StreamNotice",
    "VideoFrame",
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
