"""A long wait is many short ones, since a signal that comes when one begins is heard when it ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from plexus import Plexus
from plexus.device.patience import PIECE_S, patiently


class Waits:
    """Waits that go by at once on a clock of their own; over after `pieces` of them, if ever."""

    def __init__(self, pieces: int | None = None) -> None:
        self.now = 1_000.0
        self.lengths: list[float] = []
        self._pieces = pieces

    def wait(self, seconds: float) -> None:
        self.lengths.append(seconds)
        self.now += seconds

    def is_over(self) -> bool:
        return len(self.lengths) == self._pieces

    def run(self, timeout: float | None) -> list[float]:
        patiently(self.wait, self.is_over, timeout, lambda: self.now)
        return self.lengths


def test_no_piece_is_long_and_all_of_them_are_the_time_out() -> None:
    lengths = Waits().run(60.2)
    assert max(lengths) <= PIECE_S
    assert sum(lengths) == pytest.approx(60.2)


def test_without_a_time_out_it_waits_until_it_is_over() -> None:
    assert Waits(1_000).run(None) == [PIECE_S] * 1_000


def test_what_is_over_is_not_waited_for() -> None:
    assert Waits(0).run(60.0) == []


def test_no_time_is_no_wait() -> None:
    assert Waits().run(0.0) == []


@pytest.mark.parametrize(
    "ask", [lambda px: px.close(60.0), lambda px: px.flush(60.0), lambda px: px.flush()], ids=["close", "flush", "ever"]
)
def test_a_client_waits_in_pieces(
    ask: Callable[[Plexus], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[float | None] = []
    somebody_waits = threading.Event()
    join, wait = threading.Thread.join, threading.Event.wait

    def noted(timeout: float | None) -> None:
        if threading.current_thread() is threading.main_thread():
            lengths.append(timeout)
            somebody_waits.set()

    def joining(thread: threading.Thread, timeout: float | None = None) -> None:
        noted(timeout)
        join(thread, timeout)

    def waiting(event: threading.Event, timeout: float | None = None) -> bool:
        noted(timeout)
        return wait(event, timeout)

    def end() -> None:
        wait(somebody_waits)
        px.close(0.1)

    # Somebody who listens and says nothing: the client has hope for as long as it is given.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        px = Plexus(api_key="plx_key", source_id="drone-01", ws_url=url, buffer_path=str(tmp_path / "spool"))
        px.send("m", 1.0)
        closer = threading.Thread(target=end)
        closer.start()
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "join", joining)
            patched.setattr(threading.Event, "wait", waiting)
            ask(px)
        closer.join()
    assert lengths
    assert all(length is not None and length <= PIECE_S for length in lengths)
