"""A batch of a stream that began with another source: nothing new of it is stored, and the stream does not move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plexus.gateway import Gateway
from tests.gateway.test_ingest import STREAM, point, post, stored
from tests.gateway.test_moving import rename
from tests.support.gateway import KEY, Wire, device, http, make_key, running

HELLO: dict[str, Any] = {"ext": {"batch": 1}}


def named(n: int, base: int = 1) -> dict[str, Any]:
    return {"stream": STREAM, "n": n, "base": base, "digest": f"{n:032x}"}


def said(wire: Wire, n: int, base: int = 1) -> tuple[str, int]:
    """Send batch `n`, whose only value is `n`, and hear what becomes of it."""
    wire.telemetry(point(n), batch=named(n, base))
    answer = wire.hear()
    return answer["type"], answer.get("upto", 0)


def posted(gateway: Gateway, source_id: str, n: int, base: int = 1, key: str = KEY) -> tuple[int, str]:
    body = {"source_id": source_id, "points": [point(n)], "batch": named(n, base)}
    status, answer = post(gateway, body, key=key, **{"x-plexus-ext": "batch=1"})
    return status, str(answer.get("type"))


@pytest.fixture(params=["memory", "files"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A gateway in memory, and one over files."""
    with running(data_dir=None if request.param == "memory" else tmp_path / "data") as made:
        yield made


@pytest.mark.parametrize("limited", [True, False])
def test_over_the_socket_it_is_a_fork_and_the_stream_goes_on_where_it_began(either: Gateway, limited: bool) -> None:
    key = make_key(either, "write", source_id="drone-02" if limited else None)
    with device(either, "drone-01", **HELLO) as own, device(either, "drone-02", key=key, **HELLO) as other:
        assert said(own, 1) == ("batch_ack", 1)
        assert said(other, 2) == ("batch_fork", 0)
        assert said(other, 9, base=9) == ("batch_fork", 0)
        assert said(own, 2) == ("batch_ack", 2)
    assert (stored(either, "drone-01"), stored(either, "drone-02")) == ([1, 2], [])


def test_over_http_it_is_a_409_and_the_stream_goes_on_where_it_began(either: Gateway) -> None:
    assert posted(either, "drone-01", 1)[0] == 200
    assert posted(either, "drone-02", 2) == (409, "batch_fork")
    assert posted(either, "drone-02", 9, base=9) == (409, "batch_fork")
    assert posted(either, "drone-01", 2)[0] == 200
    assert (stored(either, "drone-01"), stored(either, "drone-02")) == ([1, 2], [])


def test_a_repeat_is_one_whoever_sends_it_and_is_there_once(either: Gateway) -> None:
    with device(either, "drone-01", **HELLO) as own, device(either, "drone-02", **HELLO) as other:
        assert said(own, 1) == ("batch_ack", 1)
        assert said(other, 1) == ("batch_ack", 1)
    assert posted(either, "drone-02", 1)[0] == 200
    assert (stored(either, "drone-01"), stored(either, "drone-02")) == ([1], [])


def test_a_device_that_is_given_a_suffix_seals_anew_what_began_under_the_name_it_declared(either: Gateway) -> None:
    """As when HTTP, which asks for no install id, was there before the socket."""
    with device(either, "drone-01", install_id="a"):
        pass
    assert posted(either, "drone-01", 1)[0] == 200
    with device(either, "drone-01", install_id="b", **HELLO) as wire:
        assert wire.authenticated["source_id"] == "drone-01_2"
        assert said(wire, 1) == ("batch_ack", 1)
        assert said(wire, 2) == ("batch_fork", 0)
        wire.telemetry(point(2), batch={**named(1), "stream": STREAM[::-1]})
        assert wire.hear()["type"] == "batch_ack"
    assert (stored(either, "drone-01"), stored(either, "drone-01_2")) == ([1], [2])


@pytest.mark.parametrize("restarted", [True, False])
def test_a_renamed_source_goes_on_with_its_stream(tmp_path: Path, restarted: bool) -> None:
    with running(data_dir=tmp_path / "data") as gateway:
        key = make_key(gateway, "write", source_id="drone-01")
        with device(gateway, "drone-01", key=key, install_id="a", **HELLO) as wire:
            assert said(wire, 1) == ("batch_ack", 1)
        assert rename(gateway).status_code == 200
        if not restarted:
            _goes_on(gateway, key)
    if restarted:
        with running(data_dir=tmp_path / "data") as gateway:
            _goes_on(gateway, key)


def _goes_on(gateway: Gateway, key: str) -> None:
    """The device declares the old name still, and is not taken for another; somebody who has that name now is."""
    with device(gateway, "drone-01", key=key, install_id="a", **HELLO) as wire:
        assert [said(wire, n) for n in (1, 2)] == [("batch_ack", 1), ("batch_ack", 2)]
    assert posted(gateway, "drone-01", 3) == (409, "batch_fork")
    assert posted(gateway, "left-arm", 3, key=key)[0] == 200
    assert stored(gateway, "left-arm") == [1, 2, 3]
    with http(gateway) as client:
        assert [one["source_id"] for one in client.get("/v1/sources").json()["devices"]] == ["left-arm"]
