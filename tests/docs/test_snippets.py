"""Every Python block of the documentation runs, page by page and in order, against a gateway.

A block that would go on for ever is ended from outside: after a few lines that it prints, or naps that it takes. While
a block listens to a live stream, a device sends. A block whose first line names a test file is a file for pytest.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plexus import Gateway, Plexus, PlexusAPI
from plexus.adapters.buffer.memory import MemoryBuffer
from tests.docs.pages import ROOT, Block, blocks, pages

LINES, NAPS = 8, 3
TEST_FILE = "# test_"

CODE = {page: [block for block in blocks(page) if block.language == "python"] for page in pages()}
PAGES = [page for page, found in CODE.items() if found]


class EnoughError(BaseException):
    """The block has shown what it does."""


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway in memory, and the environment that a reader of the documentation has."""
    with Gateway() as made:
        monkeypatch.setenv("PLEXUS_URL", made.url)
        monkeypatch.setenv("PLEXUS_API_KEY", made.api_key)
        monkeypatch.setenv("PLEXUS_QUIET", "1")
        yield made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs(
    page: Path, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "sleep", Naps(time.sleep))
    stage: dict[str, Any] = {"__name__": "__main__"}
    made: list[Plexus | PlexusAPI] = []
    try:
        for block in CODE[page]:
            if not block.text.startswith(TEST_FILE):
                _run(block, stage, gateway)
                # Now, because a later block may give the name to another one.
                made += [value for value in stage.values() if isinstance(value, (Plexus, PlexusAPI))]
    finally:
        for client in made:
            client.close()
    # A device outlives what its adapters raise, so that only its log tells of one that does not keep its port.
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_the_test_files_of_the_pages_pass(tmp_path: Path) -> None:
    found = [block for page in PAGES for block in CODE[page] if block.text.startswith(TEST_FILE)]
    assert found
    for number, block in enumerate(found):
        name = block.text.split("\n", 1)[0].removeprefix("# ")
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_text(block.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _run(block: Block, stage: dict[str, Any], gateway: Gateway) -> None:
    code = compile(block.text, block.name, "exec")
    stage["print"] = Lines()
    listens = ".stream(" in block.text
    with _device_that_sends(gateway) if listens else contextlib.nullcontext(), contextlib.suppress(EnoughError):
        exec(code, stage)


class Lines:
    """`print` that counts, and ends a block that goes on printing."""

    def __init__(self) -> None:
        self._left = LINES

    def __call__(self, *_values: object, **_options: object) -> None:
        self._left -= 1
        if not self._left:
            raise EnoughError


class Naps:
    """`time.sleep` that is short, and ends a block that goes on sleeping; threads of others sleep as they please."""

    def __init__(self, sleep: Any) -> None:
        self._sleep = sleep
        self._left = NAPS
        self._thread = threading.current_thread()

    def __call__(self, seconds: float) -> None:
        if threading.current_thread() is not self._thread:
            self._sleep(seconds)
            return
        self._left -= 1
        if not self._left:
            self._left = NAPS
            raise EnoughError


@contextlib.contextmanager
def _device_that_sends(gateway: Gateway) -> Iterator[None]:
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.02):
            px.send("battery.voltage", 12.4)

    with Plexus(gateway.api_key, source_id="drone-01", ws_url=gateway.ws_url, buffer=MemoryBuffer(10_000)) as px:
        thread = threading.Thread(target=send, name="a-device-that-sends")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
