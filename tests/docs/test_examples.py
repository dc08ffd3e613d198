"""The examples run, each against a gateway, and stay short."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plexus import Gateway, PlexusAPI
from tests.docs.pages import ROOT
from tests.support.waiting import eventually

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway in memory that the environment names."""
    with Gateway() as made:
        monkeypatch.setenv("PLEXUS_URL", made.url)
        monkeypatch.setenv("PLEXUS_API_KEY", made.api_key)
        monkeypatch.setenv("PLEXUS_QUIET", "1")
        yield made


def test_every_example_is_short_and_has_a_main() -> None:
    for path in EXAMPLES:
        assert len(path.read_text(encoding="utf-8").splitlines()) < 60, path.name
        assert callable(_main(path.stem))


def test_the_device_sends_and_takes_a_command(gateway: Gateway) -> None:
    device = threading.Thread(target=_main("device"), args=(["--seconds", "3"],), name="example-device")
    device.start()
    try:
        with PlexusAPI() as api:
            eventually(
                lambda: api.commands.send("motor-01", "set_speed", {"rpm": 900}) if api.sources.list() else False
            )
            device.join(20.0)
            latest = api.metrics.latest("motor-01")
            assert set(latest) == {"motor.rpm", "motor.temperature"}
            assert len(api.metrics.query("motor-01", "motor.rpm", last="5m")["motor.rpm"]) > 10
    finally:
        device.join(20.0)
    assert not device.is_alive()


@pytest.mark.usefixtures("gateway")
def test_the_reader_shows_what_the_device_sends(capsys: pytest.CaptureFixture[str]) -> None:
    device = threading.Thread(target=_main("device"), args=(["--seconds", "4"],), name="example-device")
    device.start()
    try:
        with PlexusAPI() as api:
            eventually(lambda: bool(api.sources.list()) and "motor.rpm" in api.metrics.names("motor-01"))
        _main("reader")(["--points", "3"])
    finally:
        device.join(20.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "motor-01: online"
    assert lines[1].startswith("motor.rpm = ")
    assert any(line.startswith("minute ") for line in lines)
    assert len([line for line in lines if "  motor.rpm  " in line]) == 3


def test_the_fleet_is_asked_about_as_a_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXUS_QUIET", "1")
    _main("fleet")()
    assert capsys.readouterr().out.splitlines() == [
        "3 of 3 rovers are online",
        "rover-01: lowest 12.11 V in 50 readings",
        "rover-02: lowest 11.41 V in 50 readings",
        "rover-03: lowest 10.31 V in 50 readings",
    ]


def _main(name: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Callable[..., Any] = module.main
    return made
