from __future__ import annotations

import json
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.cli.conftest import Command

KEY = "plx_canary_of_this_test_never_to_be_seen_anywhere"
Browser = Callable[[Callable[[str, str], str]], list[str]]


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    """Open the address as a browser would, and come back with what `answer(callback, state)` makes of it."""

    def install(answer: Callable[[str, str], str]) -> list[str]:
        opened: list[str] = []

        def visit(address: str) -> bool:
            opened.append(address)
            asked = parse_qs(urlsplit(address).query)
            back = answer(asked["callback"][0], asked["state"][0])
            threading.Thread(target=httpx.get, args=(back,)).start()
            return True

        monkeypatch.setattr(webbrowser, "open", visit)
        return opened

    return install


def _good(callback: str, state: str) -> str:
    return f"{callback}?{urlencode({'state': state, 'key': KEY})}"


def _kept(home: Path) -> str | None:
    file = home / ".plexus" / "config.json"
    return json.loads(file.read_text()).get("api_key") if file.exists() else None


@pytest.mark.parametrize("word", ["init", "login"])
def test_signing_in_keeps_the_key(plexus: Command, browser: Browser, home: Path, word: str) -> None:
    opened = browser(_good)
    ended = plexus(word, "--name", "bench")
    assert ended.code == 0
    assert _kept(home) == KEY
    assert KEY not in ended.out + ended.err
    assert opened[0].startswith("https://app.plexus.company/auth/cli?")
    assert parse_qs(urlsplit(opened[0]).query)["name"] == ["bench"]


def test_a_key_that_is_there_is_not_replaced_unasked(plexus: Command, browser: Browser, home: Path) -> None:
    browser(_good)
    assert plexus("init").code == 0
    again = plexus("init")
    assert again.code == 1
    assert "--force" in again.err
    assert plexus("init", "--force").code == 0


def test_a_key_in_the_environment_is_told(
    plexus: Command, browser: Browser, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    browser(_good)
    monkeypatch.setenv("PLEXUS_API_KEY", "plx_another")
    assert plexus("init").code == 1
    ended = plexus("init", "--force")
    assert ended.code == 0
    assert "unset PLEXUS_API_KEY" in ended.err


@pytest.mark.parametrize(
    "answer",
    [
        lambda callback, _state: f"{callback}?state=wrong&key={KEY}",
        lambda callback, state: f"{callback}?state={state}",
    ],
)
def test_a_wrong_answer_is_refused_with_3(
    plexus: Command, browser: Browser, home: Path, answer: Callable[[str, str], str]
) -> None:
    browser(answer)
    ended = plexus("init")
    assert ended.code == 3
    assert _kept(home) is None
    assert KEY not in ended.err


def test_nobody_signing_in_is_2(plexus: Command, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _address: False)
    ended = plexus("init", "--timeout", "0.05")
    assert ended.code == 2
    assert "https://app.plexus.company/auth/cli?" in ended.err
    assert _kept(home) is None


def test_without_a_browser_the_address_is_shown(plexus: Command, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    def none(_address: str) -> bool:
        raise webbrowser.Error("no browser here")

    monkeypatch.setattr(webbrowser, "open", none)
    ended = plexus("init", "--timeout", "0.05")
    assert ended.code == 2
    assert "open this address" in ended.err


def test_logging_out_forgets_the_key(
    plexus: Command, browser: Browser, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    browser(_good)
    plexus("init")
    ended = plexus("logout")
    assert ended.code == 0
    assert _kept(home) is None
    assert "was no key" in plexus("logout").err
    monkeypatch.setenv("PLEXUS_API_KEY", "plx_another")
    assert "unset PLEXUS_API_KEY" in plexus("logout").err
