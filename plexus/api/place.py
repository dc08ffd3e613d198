"""Where the data API and the app are, and with which key: what both links know before they connect. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs

from plexus._version import __version__
from plexus.adapters.transport.addresses import is_loopback
from plexus.api.requests import Request
from plexus.config import load_settings, require_key
from plexus.domain.errors import ConfigurationError

TIMEOUT_S = 10.0
RETRIES = 3
RETRY_BUDGET_S = 30.0

KEY_SHOWN_AS = b"[key]"


@attrs.frozen
class Place:
    """Two addresses without a slash at the end, the key, and how long is waited.

    `timeout`: seconds for connecting, and for each wait for an answer. Raises ConfigurationError.
    """

    api_url: str
    app_url: str
    key: str = attrs.field(repr=False)
    timeout: float

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be an address, or a length of time."""
        if not self.timeout > 0:
            raise ConfigurationError(f"timeout must be more than 0 seconds, not {self.timeout!r}")
        for url in (self.api_url, self.app_url):
            if urlsplit(url).query:
                raise ConfigurationError(f"the address {url!r} must end before the question mark")

    def base(self, *, app: bool) -> str:
        """The address of the data API, or of the app."""
        return self.app_url if app else self.api_url

    def host(self, *, app: bool) -> str:
        """Host and port, as errors name them."""
        return urlsplit(self.base(app=app)).netloc

    def is_here(self, *, app: bool) -> bool:
        """Whether it is this machine, which is never reached through a proxy: there, "localhost" is another one."""
        return is_loopback(urlsplit(self.base(app=app)).hostname or "")

    def url(self, request: Request) -> str:
        """The whole address of a request."""
        return self.base(app=request.app) + request.target

    def headers(self) -> Mapping[str, str]:
        """What every request carries."""
        return {"x-api-key": self.key, "user-agent": f"plexus-python/{__version__}"}

    def stream_target(self, request: Request) -> tuple[str, str]:
        """The address of a live stream (ws or wss), and the first message, which carries the key."""
        from plexus.protocol import live  # only whoever streams needs it

        return f"ws{self.api_url[4:]}{request.target}", live.auth_message(self.key)

    def without_key(self, body: bytes) -> bytes:
        """A server that echoes its request must not put the key into an error or a log."""
        return body.replace(self.key.encode(), KEY_SHOWN_AS)


def found(api_key: str | None, base_url: str | None, timeout: float) -> Place:
    """The place that arguments, environment and config file name; raises ConfigurationError when there is no key."""
    settings = load_settings(api_key=api_key, api_url=base_url)
    return Place(settings.api_url.rstrip("/"), settings.app_url.rstrip("/"), require_key(settings), timeout)
