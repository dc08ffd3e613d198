"""What an answer that is no success means, as the error that says whose fault it is and what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timezone
from typing import Union

import attrs

from plexus.api import answers
from plexus.api.requests import Request
from plexus.domain.errors import ApiError, AuthenticationError, NotFoundError, RateLimitedError

RETRIED = frozenset({429, 502, 503, 504})
"""Answers after which the same request may succeed."""

MAX_BODY_CHARS = 4_096

Refusal = Union[ApiError, AuthenticationError, RateLimitedError]


@attrs.frozen
class Answer:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def request_id(self) -> str:
        """The server's id for the request, "" if it gave none."""
        return self.headers.get("x-request-id", "")


def error_for(request: Request, answer: Answer, host: str, now_s: float) -> Refusal | None:
    """The error that this answer means, None for a success.

    `host` is named in the message; `now_s` is seconds since 1970 UTC, for a Retry-After that is a date.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    said = answers.refusal(answer.body)
    text = f"{request} on {host} was answered with {status}{f' ({said})' if said else ''}: {_hint(request, answer)}"
    return _KINDS.get(status, ApiError)(
        f"{text}{_quoted_id(answer)}",
        status=status,
        body=_shown(answer.body),
        request_id=answer.request_id,
        retry_after_s=retry_after_s(answer, now_s),
    )


def unreadable(request: Request, answer: Answer, host: str, reason: str) -> ApiError:
    """The error for a success whose body breaks the contract."""
    text = (
        f"{request} on {host} was answered with {answer.status}, but {reason}; check that the address in "
        f"{_setting(request)} is a Plexus gateway, and for a captive portal or proxy in between"
    )
    return ApiError(
        f"{text}{_quoted_id(answer)}", status=answer.status, body=_shown(answer.body), request_id=answer.request_id
    )


_KINDS: Mapping[int, type[Refusal]] = {
    401: AuthenticationError,
    404: NotFoundError,
    429: RateLimitedError,
}


def _quoted_id(answer: Answer) -> str:
    return f" [request {answer.request_id}]" if answer.request_id else ""


def _shown(body: bytes) -> str:
    return body[: 4 * MAX_BODY_CHARS].decode("utf-8", "replace")[:MAX_BODY_CHARS]


def _setting(request: Request) -> str:
    return "PLEXUS_ENDPOINT or PLEXUS_URL" if request.app else "PLEXUS_API_URL or PLEXUS_URL"


def retry_after_s(answer: Answer, now_s: float) -> float | None:
    """The seconds that the server asks to wait; None when it asks for none. `now_s` is seconds since 1970 UTC."""
    raw = answer.headers.get("retry-after", "").strip()
    if raw.isascii() and raw.isdigit():
        return float(raw[:9])
    # Here, since it is seldom needed and takes long to load.
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(raw)
    except (TypeError, ValueError):
        return None
    # A date without a zone ("-0000") is UTC by RFC 5322.
    aware = when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)
    return max(0.0, aware.timestamp() - now_s)


_HINTS: Mapping[int, str] = {
    400: "the request is not one that this server takes; its words above say what is",
    401: "sign in with `plexus init`, or set PLEXUS_API_KEY to a key that is live",
    402: "access is off for this organisation: check its plan",
    404: "check the name or id; a source is there from its first point on",
    405: "the server has no such route: it may be an older release",
    406: "the server has no answer of this form: it may be an older release",
    408: "the request did not reach the server in time: check the network",
    409: "it is so already, or has changed meanwhile: its words above say what to do",
    413: "the request is too large: ask for less at a time",
    421: "the gateway does not answer under this name: use one that its setting `hosts` lists",
    422: "the request is not one that this server takes; its words above say what is",
    429: "too many requests: ask less often, or wait as long as Retry-After says",
}


def _hint(request: Request, answer: Answer) -> str:
    status = answer.status
    if status == 403:
        return (
            f"the key may not do this: it needs the scope `{request.scope}`, and for this source if it is tied to one"
        )
    if 300 <= status < 400:
        place = answer.headers.get("location", "another place")[:200]
        return (
            f"it redirects to {place}; redirects are not followed, so that no key goes astray: set {_setting(request)}"
        )
    if status in _HINTS:
        return _HINTS[status]
    if status >= 500:
        return "the server is at fault or not up: try again later, and look into its log"
    return f"this answer is not in the contract: check the address in {_setting(request)}"
