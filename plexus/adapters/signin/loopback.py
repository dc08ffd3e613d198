"""Signing in with a browser: the app sends the key back to a listener on this machine (protocol page, section 5).

Invariants:
- the listener is on 127.0.0.1 only, on a free port, and gone when `sign_in` returns, however it returns;
- it takes one callback. Whatever that holds, there is no second one: a wrong `state` or a missing key ends the sign-in,
  so that nothing can be tried out and nothing replayed;
- `state` is 256 random bits of this sign-in, compared in constant time: a page that merely knows the port cannot plant
  somebody else's key;
- only this machine's own address is answered to, so that no name that a web page controls leads here;
- the key is in no message, no log and no answer.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from plexus.domain.errors import ConfigurationError, PlexusError

HOST = "127.0.0.1"
CALLBACK = "/callback"
SIGN_IN = "/auth/cli"
MAX_KEY_CHARS = 512
IDLE_S = 10.0
"""Browsers open connections ahead of need; one that asks for nothing is let go."""

OpenBrowser = Callable[[str], object]
"""Shows an address to the person; what it returns is not looked at."""


class SignInRefusedError(PlexusError):
    """The browser came back without a key, or with the `state` of another sign-in. Nothing was kept."""


class SignInTimeoutError(PlexusError):
    """Nobody signed in within the time."""


def sign_in(app_url: str, name: str, timeout: float, open_browser: OpenBrowser) -> str:
    """Have a person sign in at the app and return the key that it gives; `name` is what the key will be called there.

    `timeout` is in seconds. Raises SignInRefusedError, SignInTimeoutError, or ConfigurationError when this machine has
    no port to listen on.
    """
    state = secrets.token_urlsafe(32)
    with contextlib.closing(_listen(state)) as listener:
        callback = f"http://{HOST}:{listener.server_port}{CALLBACK}"
        query = urlencode({"state": state, "callback": callback, "name": name})
        open_browser(f"{app_url.rstrip('/')}{SIGN_IN}?{query}")
        return listener.wait(timeout)


def _listen(state: str) -> _Listener:
    try:
        return _Listener(state)
    except OSError as exc:
        raise ConfigurationError(
            f"no port on {HOST} can be listened on for the browser to come back to: {exc.strerror}; "
            "make a key in the app and set PLEXUS_API_KEY"
        ) from exc


class _Listener(ThreadingHTTPServer):
    """Takes one callback. Threads, because a browser's idle connection must not hold up the one that speaks."""

    daemon_threads = False
    allow_reuse_address = False

    def __init__(self, state: str) -> None:
        self._state = state.encode()
        self._turn = threading.Lock()
        self._used = False
        self._outcome: str | SignInRefusedError | None = None
        self._settled = threading.Event()
        self._sockets: set[socket.socket] = set()
        super().__init__((HOST, 0), _Handler)
        self._thread = threading.Thread(target=self._serve, name="plexus-sign-in", daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> str:
        """The key, once the browser has brought it."""
        if not self._settled.wait(timeout):
            raise SignInTimeoutError(f"nobody signed in within {timeout:g} s; run `plexus init` again")
        if isinstance(self._outcome, SignInRefusedError):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def judge(self, query: str) -> str | SignInRefusedError | None:
        """The one callback's outcome, None for every one after it."""
        with self._turn:
            if self._used:
                return None
            self._used = True
        found = parse_qs(query, keep_blank_values=True)
        given, keys = found.get("state", []), found.get("key", [])
        if len(given) != 1 or not hmac.compare_digest(given[0].encode(), self._state):
            return SignInRefusedError(
                "the browser came back with the state of another sign-in; run `plexus init` again"
            )
        if len(keys) != 1 or not _may_be_key(keys[0]):
            return SignInRefusedError("the browser came back without a key: the sign-in was not completed")
        return keys[0]

    def settle(self, outcome: str | SignInRefusedError) -> None:
        """Let `wait` return; called when the browser has its answer."""
        self._outcome = outcome
        self._settled.set()

    def close(self) -> None:
        """Stop listening and cut off whoever is still connected."""
        self.shutdown()
        self._thread.join()
        with self._turn:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        self.server_close()

    # --- what the server's own machinery calls --------------------------------------------------------------

    def _serve(self) -> None:
        self.serve_forever(poll_interval=0.05)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        sock, address = super().get_request()
        with self._turn:
            self._sockets.add(sock)
        return sock, address

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]  # TCP only here
        with self._turn:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is the browser's affair; the default would print a traceback."""


class _Handler(BaseHTTPRequestHandler):
    timeout = IDLE_S
    server_version = "plexus"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer the callback, and nothing else."""
        listener, parts = self.server, urlsplit(self.path)
        assert isinstance(listener, _Listener)
        if self.headers.get("host", "") != f"{HOST}:{listener.server_port}":
            self._answer(HTTPStatus.FORBIDDEN, "This address is not meant for you.")
            return
        if parts.path != CALLBACK:
            self._answer(HTTPStatus.NOT_FOUND, "There is nothing here.")
            return
        outcome = listener.judge(parts.query)
        if outcome is None:
            self._answer(HTTPStatus.GONE, "This sign-in is over.")
            return
        try:
            if isinstance(outcome, str):
                self._answer(HTTPStatus.OK, "You are signed in. You can close this page and go back to the terminal.")
            else:
                self._answer(HTTPStatus.BAD_REQUEST, "The sign-in was refused. Run plexus init again.")
        finally:
            listener.settle(outcome)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing is logged: the address that was asked for holds the key."""

    def _answer(self, status: HTTPStatus, text: str) -> None:
        page = f"<!doctype html><meta charset=utf-8><title>Plexus</title><p>{text}</p>".encode()
        self.send_response(status)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(page)))
        self.send_header("cache-control", "no-store")
        # The page's address holds the key: it is told to nobody.
        self.send_header("referrer-policy", "no-referrer")
        self.send_header("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
        self.end_headers()
        self.wfile.write(page)


def _may_be_key(key: str) -> bool:
    return 0 < len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable() and " " not in key
