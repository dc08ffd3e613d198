"""The public surface as a type checker sees it in a user's program. Checked by mypy, never run.

A line that must not check carries `type: ignore` with its code; where it checks after all, mypy's `warn_unused_ignores`
fails the build.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plexus
from plexus import (
    ApiError,
    AuthenticationError,
    CommandDeclarationError,
    CommandParamError,
    ConfigurationError,
    DeliveryError,
    Event,
    Gateway,
    NotFoundError,
    Plexus,
    PlexusAPI,
    PlexusError,
    Point,
    RateLimitedError,
    RetryConfig,
    Run,
    SentCommand,
    WebSocketTransport,
    read_mjpeg_frames,
)
from plexus.api.tables import EventList, FleetMetrics, QueryResult
from plexus.domain.live import LivePoint
from plexus.domain.series import BucketSeries, Series
from plexus.domain.source import Delivery, FleetHealth, Source

if TYPE_CHECKING:
    from typing_extensions import assert_type


def a_device_sends() -> None:
    px = Plexus(source_id="drone-01")
    assert_type(px.send("battery.voltage", 12.4), bool)
    px.send("robot.state", "RUNNING", timestamp=1_746_969_660.0, tags={"axis": "z"})
    px.send("armed", True)
    px.send("pose", {"x": 1.0, "y": [1, 2]})
    px.send("gyro", [0.1, 0.2, 0.3])
    px.send_batch([("a", 1), ("b", 2.5)])
    px.send_batch([("a", 1, 1_746_969_660.0)], tags={"axis": "z"})
    px.event("door", {"open": True})
    assert_type(px.buffer_size(), int)
    assert_type(px.source_id, str)
    px.flush_buffer()
    px.close()
    px.send()  # type: ignore[call-arg]
    px.send(7, 1)  # type: ignore[arg-type]
    px.send("m", 1, tags=["axis"])  # type: ignore[arg-type]


def a_device_is_configured() -> None:
    retry = RetryConfig(max_retries=3, base_delay=1.0, max_delay=30.0, exponential_base=2.0, jitter=True)
    assert_type(retry.get_delay(2), float)
    Plexus(
        api_key="plx_…",
        endpoint="https://app.plexus.company",
        source_id="drone-01",
        timeout=10.0,
        retry_config=retry,
        max_buffer_size=10_000,
        persistent_buffer=True,
        buffer_path="/var/lib/drone/buffer.db",
        transport="http",
        ws_url="wss://gateway.plexus.company",
    )
    Plexus(timeout="soon")  # type: ignore[arg-type]


def a_device_keeps_runs_and_commands() -> None:
    def reboot(name: str, params: Mapping[str, Any]) -> dict[str, bool]:
        return {"rebooting": bool(params)}

    with Plexus(source_id="drone-01") as px:
        assert_type(px, Plexus)
        px.on_command("reboot", reboot, description="Restart the flight computer", params=[{"name": "delay_s"}])
        with px.run("thermal-cycle-001", tags={"chamber": "2"}):
            px.send("chamber.temp", 85.2)
        px.send_video_frame(b"\xff\xd8", camera_id="front", quality=80)


def frames_are_read(pipe: Any) -> None:
    assert_type(read_mjpeg_frames(pipe), Iterator[bytes])


def a_socket_is_driven_by_hand() -> None:
    socket = WebSocketTransport(
        "plx_…", "drone-01", "wss://gateway.plexus.company", agent_version="1.0", platform="python"
    )
    assert_type(socket.wait_authenticated(timeout=5.0), bool)
    assert_type(socket.is_authenticated, bool)
    assert_type(socket.clock_offset_ms, float)
    assert_type(socket.send_points([{"metric": "m", "value": 1}]), bool)


def a_reader_asks() -> None:
    with PlexusAPI() as api:
        assert_type(api.sources.list(), list[Source])
        assert_type(api.sources.get("drone-01"), Source)
        assert_type(api.sources.delivery("drone-01"), Delivery)
        assert_type(api.metrics.names("drone-01"), list[str])
        result = api.metrics.query("drone-01", ["battery.voltage"], last="1h")
        assert_type(result, QueryResult)
        assert_type(result["battery.voltage"], Series | BucketSeries)
        assert_type(api.events.list("drone-01", last="1d"), EventList)
        assert_type(api.fleet.health(), FleetHealth)
        assert_type(api.fleet.metrics("cpu.percent", last="1h"), FleetMetrics)
        assert_type(api.commands.send("drone-01", "reboot", {"delay_s": 3}), SentCommand)
        with api.metrics.stream("drone-01", "battery.voltage") as points:
            for point in points:
                assert_type(point, LivePoint)
        with api.events.stream("drone-01") as events:
            for event in events:
                assert_type(event, Event)
        api.sources.get()  # type: ignore[call-arg]


def a_gateway_runs(data: Path) -> None:
    with Gateway(data_dir=data, port=0) as gateway:
        assert_type(gateway.url, str)
        assert_type(gateway.ws_url, str)


def mistakes_have_classes(error: PlexusError) -> ValueError | PlexusError | None:
    try:
        raise error
    except (ConfigurationError, CommandDeclarationError) as mistake:
        is_a_value_error: ValueError = mistake
        return is_a_value_error
    except (AuthenticationError, RateLimitedError, CommandParamError, DeliveryError) as fault:
        is_of_the_tree: PlexusError = fault
        return is_of_the_tree
    except NotFoundError as missing:
        is_an_answer: ApiError = missing
        assert_type(is_an_answer.status, int)
        return None


def values_are_frozen(point: Point, run: Run) -> None:
    point.metric = "other"  # type: ignore[misc]
    assert_type(run.run_id, str)
    assert_type(plexus.__version__, str)
