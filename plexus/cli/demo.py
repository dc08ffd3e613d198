"""`plexus demo`: a gateway, this machine as a device, and a reader that shows its readings, in one command."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import attrs

from plexus.cli import output
from plexus.cli.arguments import command, port, seconds
from plexus.cli.demo_audience import LAST_WORDS_S, Audience
from plexus.cli.demo_device import INTERVAL_S, DemoDevice
from plexus.cli.demo_view import Lines, LiveTable, events_shown
from plexus.cli.extra import need_gateway
from plexus.cli.machine import Machine, load_psutil, source_name

if TYPE_CHECKING:
    from plexus.api import PlexusAPI
    from plexus.api.streams import Stream
    from plexus.cli.arguments import Commands
    from plexus.cli.demo_view import View
    from plexus.client import Plexus
    from plexus.domain.errors import PlexusError
    from plexus.domain.live import LivePoint

TEXT = """\
It starts a gateway on this machine, sends this machine's own cpu, memory, disk, network and (where there are any)
battery and temperature readings through it once a second, and shows them as a reader gets them. The data stay: the next
start says how many readings it found. Ctrl-C ends it in good order, with exit code 0; a second one at once, with 130.

With --no-gateway it uses the gateway that PLEXUS_URL and PLEXUS_API_KEY name, and starts none.

examples:
  plexus demo
  plexus demo --seconds 15 --json | jq -r '[.metric, .value] | @tsv'
  PLEXUS_URL=http://127.0.0.1:8080 PLEXUS_API_KEY=plx_… plexus demo --no-gateway
"""

CONNECT_S = 5.0

ALL_TIME = "3650d"


@attrs.frozen
class Place:
    """The gateway that the demo talks to."""

    url: str
    ws_url: str
    api_key: str = attrs.field(repr=False)
    hint: str


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "demo", run, "try it: this machine's own readings, live", TEXT)
    parser.add_argument("--seconds", type=seconds, metavar="N", help="end by itself after so long")
    parser.add_argument(
        "--every", type=seconds, default=INTERVAL_S, metavar="S", help="look every so often (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a reading")
    parser.add_argument("--data", type=Path, metavar="DIR", help="where to keep data (default: ~/.plexus/demo)")
    parser.add_argument("--port", type=port, default=0, help="the gateway's port (default: a free one)")
    parser.add_argument("--no-gateway", action="store_true", help="use the gateway of PLEXUS_URL, start none")


def run(arguments: argparse.Namespace) -> int:
    """Run it until Ctrl-C, SIGTERM, or the end of its time."""
    need_gateway()
    place = _named_gateway() if arguments.no_gateway else _own_gateway(_home(arguments.data), arguments.port)
    with _signals_noted() as noted, place as where:
        _perform(where, arguments, noted)
    return 0


# --- the gateway --------------------------------------------------------------------------------------------


def _home(data: Path | None) -> Path:
    from plexus.config import home_directory

    return (data.expanduser() if data is not None else home_directory() / "demo").absolute()


@contextlib.contextmanager
def _own_gateway(home: Path, wanted_port: int) -> Iterator[Place]:
    """A gateway for the length of the demo. `home` holds its data, its key, and what the device keeps."""
    from plexus.adapters.keyring.secret import mint
    from plexus.config import load_settings, save_settings
    from plexus.gateway import Gateway

    key = load_settings(environ={"PLEXUS_HOME": str(home)}).api_key
    if key is None:
        # Kept before it is used, so that a start after kill -9 comes in with the same one.
        key = mint()
        save_settings(home, api_key=key)
    with _environment(PLEXUS_HOME=str(home)), Gateway(home / "gateway", port=wanted_port, bootstrap_key=key) as gateway:
        again = f"PLEXUS_HOME={shlex.quote(str(home))} PLEXUS_URL={gateway.url}"
        yield Place(gateway.url, gateway.ws_url, key, f"in another terminal: {again} plexus sources")


@contextlib.contextmanager
def _named_gateway() -> Iterator[Place]:
    from plexus.config import load_settings, require_key

    settings = load_settings()
    yield Place(settings.api_url, settings.gateway_ws_url, require_key(settings), "Ctrl-C ends the demo")


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """With these variables set: the demo's device keeps its id and its spool in the demo's own home."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _signals_noted() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that they cut nothing in two; a second one ends the demo at once."""
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- the device and the reader ------------------------------------------------------------------------------


def _perform(place: Place, arguments: argparse.Namespace, noted: threading.Event) -> None:
    from plexus.api import PlexusAPI
    from plexus.client import Plexus

    with PlexusAPI(place.api_key, place.url) as api:
        # Said at once when the gateway is not there or does not take the key, before a device begins to wait for it.
        api.fleet.health()
        errors: list[PlexusError] = []
        with Plexus(api_key=place.api_key, source_id=source_name(), ws_url=place.ws_url, on_error=errors.append) as px:
            source_id = _settled_name(px, errors)
            _welcome(api, source_id, place)
            device = DemoDevice(px, Machine(load_psutil()), arguments.every)
            with (
                _view(api, source_id, place, as_json=arguments.json) as view,
                _audience(api, px, view) as (audience, stream),
                device,
            ):
                audience.watch(stream, lambda: noted.is_set() or device.failure is not None, arguments.seconds)
                device.stop()
                px.flush_buffer(timeout=LAST_WORDS_S)
                audience.see_the_last(stream, device.samples)
            if device.failure is not None:
                raise device.failure
            _farewell(device, px.buffer_size())


def _settled_name(px: Plexus, errors: list[PlexusError]) -> str:
    """The name that the gateway gave this machine, which another of the same name may have made `…_2`.

    Raises the AuthenticationError of a gateway that lets the device not in: no waiting helps.
    """
    from plexus.domain.errors import AuthenticationError

    end = time.monotonic() + CONNECT_S
    while not px.stats().link and time.monotonic() < end:
        for error in errors:
            if isinstance(error, AuthenticationError):
                raise error
        time.sleep(0.01)
    return px.source_id


def _welcome(api: PlexusAPI, source_id: str, place: Place) -> None:
    from plexus.domain.errors import NotFoundError

    try:
        everything = api.metrics.query(source_id, last=ALL_TIME, interval="1d")
    except NotFoundError:
        found = 0
    else:
        found = sum(sum(getattr(series, "count", ())) for series in everything.series.values())
    output.say(f"gateway at {place.url}; this machine is the source {source_id}")
    output.say(f"found {found} readings of former runs" if found else "this is the first run: no former readings")


@contextlib.contextmanager
def _view(api: PlexusAPI, source_id: str, place: Place, *, as_json: bool) -> Iterator[View]:
    if as_json or not sys.stdout.isatty():
        yield Lines(as_json=as_json)
        return
    table = LiveTable(f"{source_id} at {place.url}", place.hint)
    with events_shown(api, source_id, table), table.drawn():
        yield table


@contextlib.contextmanager
def _audience(api: PlexusAPI, px: Plexus, view: View) -> Iterator[tuple[Audience, Stream[LivePoint]]]:
    # The gateway's clock, on which readings are stamped; half a second is less than the demo takes to start again.
    since_ms = time.time() * 1000.0 + (px.stats().clock_offset_ms or 0.0) - 500.0
    audience = Audience(api, px.source_id, view, since_ms)
    with api.metrics.stream(px.source_id, on_notice=audience.notice) as stream:
        yield audience, stream


def _farewell(device: DemoDevice, waiting: int) -> None:
    if waiting:
        output.say(f"sent {device.readings} readings; {waiting} wait on this machine for the gateway to come back")
    else:
        output.say(f"sent {device.readings} readings; they stay: start again, and they are found")
