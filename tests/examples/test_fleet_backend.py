"""The fleet page's server as a process of its own: real devices, a real gateway, browsers that read and that do not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import httpx
import pytest

from examples.fleet_backend.fleet import Fleet
from plexus import AsyncPlexusAPI, Gateway, Plexus
from plexus.adapters.buffer.memory import MemoryBuffer
from tests.docs.pages import ROOT
from tests.examples.pages import following

EVIL = "<img src=x onerror=alert(1)>"
LIMIT_S = 40.0
DEAF_ASKS = 2_000
"""Some 8 MB of answers: more than what the sockets of both ends hold."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway in memory."""
    with Gateway() as made:
        yield made


@attrs.define(eq=False)
class Backend:
    """A running server: its address, and what it has said so far."""

    process: subprocess.Popen[str]
    url: str
    said: list[str]
    listener: threading.Thread

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        return url.host, url.port or 0


@pytest.fixture
def px(gateway: Gateway) -> Iterator[Plexus]:
    """A device that has sent something: what comes of sources that are there is live from the beginning."""
    with device(gateway, "drone-01") as made:
        made.send("battery.voltage", 12.4)
        assert made.flush(timeout=LIMIT_S)
        yield made


@pytest.fixture
def backend(gateway: Gateway, px: Plexus) -> Iterator[Backend]:
    """The server on a free port, as a person starts it."""
    with running(gateway) as made:
        yield made


def test_the_page_and_its_script_are_served_and_nothing_else_may_run(backend: Backend) -> None:
    with httpx.Client(base_url=backend.url, trust_env=False) as browser:
        page = browser.get("/")
        script = browser.get("/fleet.js")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert '<script type="module" src="fleet.js">' in page.text
        assert (page.text.count("<script"), page.text.count("<style"), page.text.count("style=")) == (1, 0, 0)
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        for answer in (page, script):
            assert answer.headers["content-security-policy"].startswith("default-src 'self';")
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert browser.get("/app.py").status_code == 404
        assert browser.get("/%2e%2e%2fapp.py").status_code == 404
        assert browser.get("/", headers={"host": "localhost"}).status_code == 200
        assert browser.get("/", headers={"host": "elsewhere.example:80"}).status_code == 421
        assert browser.get("/live", headers={"host": "elsewhere.example:80"}).status_code == 421


def test_a_browser_sees_what_a_device_sends_as_it_comes(px: Plexus, backend: Backend) -> None:
    with looking(backend) as browser:
        px.send("battery.voltage", 12.3)
        px.send("robot.state", EVIL)
        cards = browser.until(lambda cards: value(cards, "drone-01", "robot.state") == EVIL)
        assert value(cards, "drone-01", "battery.voltage") == "12.3"
        assert cards["drone-01"]["online"] is True
        assert cards["drone-01"]["metrics"]["battery.voltage"]["curve"][-1] == 12.3


def test_the_page_shows_what_a_device_sends_and_says_when_the_server_is_gone(px: Plexus, backend: Backend) -> None:
    with following(f"{backend.url}/live") as documents:
        px.send("robot.state", EVIL)
        shows = next(page["fleet"].texts() for page in documents if EVIL in page["fleet"].texts())
        assert {"drone-01", "online", "battery.voltage", "12.4", "robot.state"} <= set(shows)
        stopped(backend)
        assert "is lost" in next(page["trouble"].text for page in documents if page["trouble"].text)


def test_a_device_that_comes_later_gets_a_card_too(gateway: Gateway, backend: Backend) -> None:
    with looking(backend) as browser, device(gateway, "drone-02") as other:
        other.send("battery.voltage", 11.0)
        browser.until(lambda cards: value(cards, "drone-02", "battery.voltage") == "11")


def test_what_was_measured_long_before_is_there_from_the_beginning(gateway: Gateway, px: Plexus) -> None:
    px.send("odometer.km", 81_234, timestamp=1_746_969_660)  # older than what the live stream begins with
    assert px.flush(timeout=LIMIT_S)
    with running(gateway) as backend, looking(backend) as browser:
        browser.until(lambda cards: value(cards, "drone-01", "odometer.km") == "81,234")


def test_ten_browsers_are_one_stream_of_the_gateway(gateway: Gateway, px: Plexus, backend: Backend) -> None:
    with contextlib.ExitStack() as stack:
        browsers = [stack.enter_context(looking(backend)) for _ in range(10)]
        px.send("battery.voltage", 12.3)
        for browser in browsers:
            browser.until(lambda cards: value(cards, "drone-01", "battery.voltage") == "12.3")
        assert streams(gateway) == 1


def test_browsers_that_do_not_read_hold_nobody_up_and_are_cut_off_at_the_end(px: Plexus, backend: Backend) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(deaf(backend))
        browser = stack.enter_context(looking(backend))
        for number in range(2_000):
            px.send(f"rpm.{number % 20}", number)
        browser.until(lambda cards: value(cards, "drone-01", "rpm.19") == "1,999")
        assert "Application shutdown complete." in stopped(backend)


def test_an_open_page_is_sent_to_its_end_when_the_server_stops(backend: Backend) -> None:
    with looking(backend) as browser:
        browser.until(lambda cards: "drone-01" in cards)
        said = stopped(backend)
        assert browser.rest() == []
    assert "Application shutdown complete." in said
    assert "ERROR" not in said
    assert "Traceback" not in said


def test_a_browser_that_is_slow_gets_the_newest_of_everything_in_one_picture(gateway: Gateway, px: Plexus) -> None:
    async def look() -> tuple[dict[str, Any] | None, list[Any]]:
        async with AsyncPlexusAPI(gateway.api_key, gateway.url) as api, Fleet(api, pace_s=0.01) as fleet:
            slow, quick = fleet.pictures(), fleet.pictures()
            await slow.__anext__()
            for number in range(1_000):
                px.send(f"rpm.{number % 10}", number)
            async for picture in quick:
                if picture and value(picture["sources"], "drone-01", "rpm.9") == "999":
                    break
            late = await slow.__anext__()
            fleet.end()
            return late, [picture async for picture in slow]

    late, rest = asyncio.run(asyncio.wait_for(look(), LIMIT_S))
    assert late is not None
    metrics = late["sources"]["drone-01"]["metrics"]
    assert [metrics[f"rpm.{number}"]["value"] for number in range(10)] == [str(990 + number) for number in range(10)]
    assert rest == []


@pytest.mark.usefixtures("px")
def test_a_fleet_that_is_left_ends_all_that_it_began(gateway: Gateway) -> None:
    async def look() -> set[str]:
        async with AsyncPlexusAPI(gateway.api_key, gateway.url) as api:
            async with Fleet(api, pace_s=0.01) as fleet:
                async for picture in fleet.pictures():
                    if picture is None:  # nothing is new: all of it naps
                        break
                began = {task.get_name() for task in asyncio.all_tasks()}
            return began - {task.get_name() for task in asyncio.all_tasks()}

    assert asyncio.run(asyncio.wait_for(look(), LIMIT_S)) >= {"_look", "_follow"}


def test_a_fault_of_its_own_is_logged_and_the_page_says_that_it_is_old(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def look() -> bool:
        async with Fleet(broken, pace_s=0.01) as fleet:
            async for picture in fleet.pictures():
                if picture and picture["stale"]:
                    return True
        return False

    broken: Any = object()  # no client at all
    assert asyncio.run(asyncio.wait_for(look(), LIMIT_S))
    assert {record.getMessage() for record in caplog.records if record.name == "fleet_backend"} == {
        "_look has failed; start this server again",
        "_follow has failed; start this server again",
    }


def test_the_server_outlives_the_gateway_and_says_so_meanwhile(gateway: Gateway, backend: Backend) -> None:
    with looking(backend) as browser:
        browser.until(lambda cards: "drone-01" in cards and browser.stale is False)
        gateway.close()
        cards = browser.until(lambda _cards: browser.stale is True)
        assert value(cards, "drone-01", "battery.voltage") == "12.4"


def test_the_key_is_in_nothing_that_a_browser_gets_and_in_no_line_of_the_log(
    gateway: Gateway, backend: Backend
) -> None:
    with looking(backend) as browser:
        browser.until(lambda cards: value(cards, "drone-01", "battery.voltage") == "12.4")
        got = "".join(browser.lines)
    with httpx.Client(base_url=backend.url, trust_env=False) as other:
        answers = [other.get(path) for path in ("/", "/fleet.js", "/fleet.css", "/nothing")]
    got += "".join(f"{answer.headers}{answer.text}" for answer in answers) + "".join(backend.said)
    assert gateway.api_key not in got
    assert gateway.url not in got


def test_without_a_key_it_does_not_start_and_says_what_to_do() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.fleet_backend", "--port", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "PLEXUS_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


@contextlib.contextmanager
def running(gateway: Gateway) -> Iterator[Backend]:
    environment = {**os.environ, "PLEXUS_URL": gateway.url, "PLEXUS_API_KEY": gateway.api_key, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.fleet_backend", "--port", "0"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    said: list[str] = []
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(process, said, heard), name="backend-listener")
    listener.start()
    try:
        yield Backend(process, _address(heard), said, listener)
    finally:
        process.kill()
        process.wait()
        listener.join()
        assert process.stderr is not None
        process.stderr.close()


def _listen(process: subprocess.Popen[str], said: list[str], heard: queue.SimpleQueue[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line)
        heard.put(line)
    heard.put("")


def _address(heard: queue.SimpleQueue[str]) -> str:
    lines = []
    while line := heard.get(timeout=60):
        lines.append(line)
        found = re.search(r"running on (http://\S+)", line)
        if found:
            return found[1]
    raise AssertionError("the server did not start: " + "".join(lines))


def streams(gateway: Gateway) -> float:
    """How many live streams are open at the gateway."""
    answer = httpx.get(f"{gateway.url}/metrics", headers={"x-api-key": gateway.api_key}, trust_env=False)
    found = re.search(r'^plexus_sockets\{kind="metrics"\} (\S+)$', answer.text, re.MULTILINE)
    assert found, answer.text
    return float(found[1])


def stopped(backend: Backend) -> str:
    """Stop it as a service manager does, which need not kill it; all that it has said."""
    backend.process.send_signal(signal.SIGTERM)
    assert backend.process.wait(LIMIT_S) in (0, -signal.SIGTERM)
    backend.listener.join()
    return "".join(backend.said)


@contextlib.contextmanager
def device(gateway: Gateway, source_id: str) -> Iterator[Plexus]:
    with Plexus(gateway.api_key, source_id=source_id, ws_url=gateway.ws_url, buffer=MemoryBuffer(10_000)) as px:
        yield px


class Browser:
    """Reads `/live` as a browser's EventSource does, and keeps the cards as the page does."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines: list[str] = []
        self.stale: bool | None = None
        self._source = lines
        self._cards: dict[str, Any] = {}

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read on until the cards are so; no longer than the time that a read may take, and LIMIT_S in all."""
        end = time.monotonic() + LIMIT_S
        while not holds(self._cards):
            assert time.monotonic() < end, f"it did not come to it: {self._cards}"
            self._take(next(self._source))
        return self._cards

    def rest(self) -> list[str]:
        """The events that still come until the server ends the answer in good order."""
        return [line for line in self._source if line]

    def _take(self, line: str) -> None:
        self.lines.append(line)
        if not line.startswith("data: "):
            return
        picture = json.loads(line.removeprefix("data: "))
        self.stale = picture["stale"]
        if picture["whole"]:
            self._cards = {}
        for name, card in picture["sources"].items():
            known = self._cards.get(name, {}).get("metrics", {})
            self._cards[name] = {**card, "metrics": {**known, **card["metrics"]}}


@contextlib.contextmanager
def looking(backend: Backend) -> Iterator[Browser]:
    with (
        httpx.Client(base_url=backend.url, timeout=LIMIT_S, trust_env=False) as client,
        client.stream("GET", "/live") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Browser(answer.iter_lines())


@contextlib.contextmanager
def deaf(backend: Backend) -> Iterator[None]:
    """A browser that asks for a lot and never reads, so that the server cannot write on."""
    asked = [b"GET /fleet.js HTTP/1.1\r\nhost: localhost:80\r\n\r\n"] * DEAF_ASKS
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        made.connect(backend.address)
        made.sendall(b"".join(asked))
        yield


def value(cards: dict[str, Any], source_id: str, metric: str) -> str | None:
    """What a card shows of a metric."""
    found: str | None = cards.get(source_id, {}).get("metrics", {}).get(metric, {}).get("value")
    return found
