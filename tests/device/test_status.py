"""The status line: each change of state once."""

from __future__ import annotations

import pytest

from plexus.adapters.status.memory import MemoryStatus
from plexus.device.status import MAX_DETAIL_CHARS, StatusLine


@pytest.fixture(name="sink")
def _sink() -> MemoryStatus:
    return MemoryStatus()


@pytest.fixture(name="status")
def _status(sink: MemoryStatus) -> StatusLine:
    return StatusLine(sink)


def test_a_connection_is_told_by_the_name_that_we_have(status: StatusLine, sink: MemoryStatus) -> None:
    status.connected("drone-01", "ws")
    assert sink.lines == ["✓ Connected to gateway as drone-01"]


def test_the_same_connection_is_told_once(status: StatusLine, sink: MemoryStatus) -> None:
    status.connected("drone-01", "ws")
    status.connected("drone-01", "ws")
    assert len(sink.lines) == 1


def test_a_connection_after_a_loss_is_a_reconnection(status: StatusLine, sink: MemoryStatus) -> None:
    status.connected("drone-01", "ws")
    status.disconnected("the connection was cut")
    status.connected("drone-01_2", "ws")
    assert sink.lines == ["✓ Connected to gateway as drone-01", "✓ Reconnected to gateway as drone-01_2"]


def test_only_the_first_points_are_told(status: StatusLine, sink: MemoryStatus) -> None:
    status.delivered("ws", 0)
    status.delivered("http", 3)
    status.delivered("ws", 4)
    assert sink.lines == ["✓ First points landed (via http)"]


def test_a_fall_back_to_http_is_told_until_the_socket_is_back(status: StatusLine, sink: MemoryStatus) -> None:
    status.fell_back("the proxy refuses upgrades")
    status.fell_back("the proxy refuses upgrades")
    status.connected("drone-01", "http")
    status.connected("drone-01", "ws")
    status.fell_back("the connection was cut")
    assert sink.lines == [
        "! No WebSocket, sending over HTTP: the proxy refuses upgrades",
        "✓ Connected to gateway as drone-01 over HTTP",
        "✓ Reconnected to gateway as drone-01",
        "! No WebSocket, sending over HTTP: the connection was cut",
    ]


def test_buffering_says_how_many_and_why_and_when_it_is_over(status: StatusLine, sink: MemoryStatus) -> None:
    status.delivered("ws", 1)
    status.disconnected("gateway:443 refuses connections")
    status.buffering(0)
    status.buffering(1200)
    status.buffering(1300)
    status.delivered("ws", 1300)
    status.delivered("ws", 1)
    status.buffering(1)
    assert sink.lines[1:] == [
        "! Buffering, 1,200 points so far, until the gateway takes them: gateway:443 refuses connections",
        "✓ Sending again (via ws)",
        "! Buffering, 1 point so far, until the gateway takes them: gateway:443 refuses connections",
    ]


def test_a_rejected_key_is_told_until_one_is_accepted(status: StatusLine, sink: MemoryStatus) -> None:
    status.key_rejected("invalid API key")
    status.key_rejected("invalid API key")
    status.connected("drone-01", "ws")
    status.key_rejected("")
    assert sink.lines == [
        "✗ API key rejected (invalid API key): data stays here; set PLEXUS_API_KEY or run `plexus init --force`",
        "✓ Connected to gateway as drone-01",
        "✗ API key rejected: data stays here; set PLEXUS_API_KEY or run `plexus init --force`",
    ]


def test_one_source_too_many_is_told_as_that_until_there_is_room(status: StatusLine, sink: MemoryStatus) -> None:
    status.source_refused("x is one too many; delete one")
    status.source_refused("x is one too many; delete one")
    status.connected("drone-01", "ws")
    status.source_refused("")
    assert sink.lines == [
        "✗ The gateway takes no more sources: x is one too many; delete one; data stays here until it does",
        "✓ Connected to gateway as drone-01",
        "✗ The gateway takes no more sources; data stays here until it does",
    ]


def test_a_frame_that_is_too_large_is_told_once_a_camera(status: StatusLine, sink: MemoryStatus) -> None:
    for camera in ("front", "front", "rear"):
        status.frame_too_large(1_200_000, camera)
    assert [line.split(",")[0:3] for line in sink.lines] == [
        ["! Frame too large: 1", "200", "000 bytes from front"],
        ["! Frame too large: 1", "200", "000 bytes from rear"],
    ]


def test_a_run_that_was_not_announced_is_told_once(status: StatusLine, sink: MemoryStatus) -> None:
    status.run_not_announced("flight-7", "the app is down")
    status.run_not_announced("flight-7", "the app is down")
    assert sink.lines == ["! Run flight-7 not announced: the app is down"]


def test_a_key_in_the_gateways_words_is_not_shown(status: StatusLine, sink: MemoryStatus) -> None:
    status.key_rejected("unknown key plx_canary_0123 for acme")
    assert "unknown key plx_… for acme" in sink.lines[0]
    assert "canary" not in sink.lines[0]


def test_the_gateways_words_cannot_move_the_cursor_or_fill_the_screen(status: StatusLine, sink: MemoryStatus) -> None:
    status.key_rejected("\x1b[2J\r\n[plexus] all is well " + "x" * 5000)
    assert sink.lines[0].isprintable()
    assert len(sink.lines[0]) == MAX_DETAIL_CHARS
