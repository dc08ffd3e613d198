"""Signing in with a browser: one callback, the right state, and nothing left behind."""

from __future__ import annotations

import contextlib
import hmac
import http.client
import queue
import re
import socket
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from plexus.adapters.signin import loopback
from plexus.adapters.signin.loopback import SignInRefusedError, SignInTimeoutError, sign_in
from plexus.domain.errors import ConfigurationError, PlexusError

KEY = "plx_canary_0123456789"


class Browser:
    """A sign-in under way on a thread, and a browser that the test drives."""

    def __init__(self, timeout: float = 30.0) -> None:
        self._shown: queue.Queue[str] = queue.Queue()
        self._outcome: queue.Queue[str | PlexusError] = queue.Queue()
        self.thread = threading.Thread(target=self._sign_in, args=(timeout,))
        self.thread.start()
        self.url = self._shown.get(timeout=10)
        query = parse_qs(urlsplit(self.url).query)
        self.state, self.callback, self.name = query["state"][0], query["callback"][0], query["name"][0]
        self.port = urlsplit(self.callback).port or 0

    def _sign_in(self, timeout: float) -> None:
        try:
            self._outcome.put(sign_in("https://app.example.com/", "cli-rig", timeout, self._shown.put))
        except PlexusError as exc:
            self._outcome.put(exc)

    def outcome(self) -> str | PlexusError:
        outcome = self._outcome.get(timeout=20)
        self.thread.join(20)
        assert not self.thread.is_alive()
        return outcome

    def get(self, target: str, *, host: str | None = None, method: str = "GET") -> tuple[int, str, dict[str, str]]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(link):
            link.request(method, target, headers={"Host": host or f"127.0.0.1:{self.port}"})
            answer = link.getresponse()
            return answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}

    def come_back(self, **query: str) -> int:
        return self.get("/callback?" + urlencode(query))[0]


@pytest.fixture(name="browser")
def _browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    # Where the test did not end it; it may be ending just now.
    with contextlib.suppress(OSError, http.client.HTTPException):
        browser.come_back(state="over")
    browser.thread.join(20)
    assert not browser.thread.is_alive()


def test_the_browser_is_sent_to_the_app_with_state_callback_and_name(browser: Browser) -> None:
    parts = urlsplit(browser.url)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "app.example.com", "/auth/cli")
    assert browser.callback == f"http://127.0.0.1:{browser.port}/callback"
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", browser.state)
    assert browser.name == "cli-rig"


def test_the_right_state_and_a_key_sign_in(browser: Browser) -> None:
    assert browser.come_back(state=browser.state, key=KEY) == 200
    assert browser.outcome() == KEY


def test_the_answer_keeps_the_key_to_itself(browser: Browser) -> None:
    status, page, headers = browser.get("/callback?" + urlencode({"state": browser.state, "key": KEY}))
    assert status == 200
    assert "canary" not in page + str(headers)
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize("wrong", ["", "x" * 43, "\u00e9"])
def test_a_wrong_state_is_refused(browser: Browser, wrong: str) -> None:
    assert browser.come_back(state=wrong, key=KEY) == 400
    outcome = browser.outcome()
    assert isinstance(outcome, SignInRefusedError)
    assert "canary" not in str(outcome)


def test_no_state_is_refused(browser: Browser) -> None:
    assert browser.come_back(key=KEY) == 400
    assert isinstance(browser.outcome(), SignInRefusedError)


def test_two_states_are_refused(browser: Browser) -> None:
    query = urlencode([("state", "x"), ("state", browser.state), ("key", KEY)])
    assert browser.get(f"/callback?{query}")[0] == 400
    assert isinstance(browser.outcome(), SignInRefusedError)


@pytest.mark.parametrize("key", [None, "", "plx_a b", "plx_\n", "plx_\u00e9", "x" * 513])
def test_no_key_or_one_that_cannot_be_is_refused(browser: Browser, key: str | None) -> None:
    assert browser.come_back(state=browser.state, **({} if key is None else {"key": key})) == 400
    outcome = browser.outcome()
    assert isinstance(outcome, SignInRefusedError)
    assert "without a key" in str(outcome)


def test_the_state_is_compared_in_constant_time(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, wanted: bytes) -> bool:
        compared.append((given, wanted))
        return given == wanted

    monkeypatch.setattr(hmac, "compare_digest", compare)
    browser.come_back(state="guess", key=KEY)
    browser.outcome()
    assert compared == [(b"guess", browser.state.encode())]


def test_a_state_is_good_for_one_sign_in_only(browser: Browser) -> None:
    old = browser.state
    browser.come_back(state=old, key=KEY)
    browser.outcome()
    again = Browser()
    assert again.state != old
    assert again.come_back(state=old, key=KEY) == 400
    assert isinstance(again.outcome(), SignInRefusedError)


def test_the_second_of_two_callbacks_at_once_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser()
    judged, go_on = threading.Event(), threading.Event()
    settle = loopback._Listener.settle

    def slow(self: loopback._Listener, outcome: str | SignInRefusedError) -> None:
        judged.set()
        go_on.wait(10)
        settle(self, outcome)

    monkeypatch.setattr(loopback._Listener, "settle", slow)
    first = threading.Thread(target=browser.come_back, kwargs={"state": browser.state, "key": KEY})
    first.start()
    assert judged.wait(10)
    assert browser.come_back(state=browser.state, key="plx_replayed") == 410
    go_on.set()
    first.join(10)
    assert browser.outcome() == KEY


@pytest.mark.parametrize("key", [KEY, ""])
def test_the_listener_is_gone_after_one_use(browser: Browser, key: str) -> None:
    browser.come_back(state=browser.state, key=key)
    browser.outcome()
    with pytest.raises(ConnectionRefusedError):
        browser.come_back(state=browser.state, key=KEY)


def test_the_listener_is_gone_after_the_time_is_out() -> None:
    browser = Browser(timeout=0.05)
    outcome = browser.outcome()
    assert isinstance(outcome, SignInTimeoutError)
    assert "0.05 s" in str(outcome)
    with pytest.raises(ConnectionRefusedError):
        browser.come_back(state=browser.state, key=KEY)


def test_the_listener_is_gone_when_no_browser_can_be_opened() -> None:
    shown: list[str] = []

    def fail(url: str) -> None:
        shown.append(url)
        raise OSError("no display")

    with pytest.raises(OSError, match="no display"):
        sign_in("https://app.example.com", "cli", 30.0, fail)
    port = urlsplit(parse_qs(urlsplit(shown[0]).query)["callback"][0]).port
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port or 0), 10):
        pass


def test_another_page_is_not_found_and_uses_nothing_up(browser: Browser) -> None:
    assert browser.get("/favicon.ico")[0] == 404
    assert browser.get("/callback/")[0] == 404
    assert browser.get("/callback", method="POST")[0] == 501
    assert browser.come_back(state=browser.state, key=KEY) == 200


@pytest.mark.parametrize("host", ["evil.example.com", "localhost", "127.0.0.1", "127.0.0.1:1"])
def test_a_name_that_a_page_controls_leads_nowhere_and_uses_nothing_up(browser: Browser, host: str) -> None:
    query = urlencode({"state": browser.state, "key": KEY})
    assert browser.get(f"/callback?{query}", host=host)[0] == 403
    assert browser.come_back(state=browser.state, key=KEY) == 200


def test_an_idle_connection_holds_up_nobody_and_is_cut_off_at_the_end(browser: Browser) -> None:
    with socket.create_connection(("127.0.0.1", browser.port), 10) as idle:
        assert browser.come_back(state=browser.state, key=KEY) == 200
        assert browser.outcome() == KEY
        assert idle.recv(1) == b""


def test_no_thread_is_left_behind(browser: Browser) -> None:
    with socket.create_connection(("127.0.0.1", browser.port), 10):
        browser.come_back(state=browser.state, key=KEY)
        browser.outcome()
    assert [thread.name for thread in threading.enumerate() if "sign-in" in thread.name] == []


def test_only_this_machine_is_listened_to() -> None:
    with contextlib.closing(loopback._listen("state")) as listener:
        assert listener.socket.getsockname()[0] == "127.0.0.1"


def test_nothing_is_written_to_the_terminal(browser: Browser, capfd: pytest.CaptureFixture[str]) -> None:
    browser.get("/favicon.ico")
    browser.come_back(state=browser.state, key=KEY)
    browser.outcome()
    assert capfd.readouterr() == ("", "")


def test_a_machine_without_a_free_port_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(loopback._Listener, "server_bind", refuse)
    with pytest.raises(
        ConfigurationError, match="Address already in use; make a key in the app and set PLEXUS_API_KEY"
    ):
        sign_in("https://app.example.com", "cli", 1.0, print)
