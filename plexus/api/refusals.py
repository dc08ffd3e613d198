"""What an answer that is no success means, as the error that says whose fault it is and what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime

import attrs

from plexus.api import answers
from plexus.api.requests import Request
from plexus.domain.errors import ApiError, AuthenticationError, NotFoundError, PlexusError, RateLimitedError

RETRIED = frozenset({429, 502, 503, 504})
"""Answers after which the same request may succeed."""

MAX_BODY_CHARS = 4_096


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


def error_for(request: Request, answer: Answer, host: str) -> PlexusError | None:
    """The error that this answer means, None for a success. `host` is named in the message."""
    status = answer.status
    if 200 <= status < 300:
        return None
    said = answers.refusal(answer.body)
    text = f"{request} on {host} was answered with {status}{f' ({said})' if said else ''}: {_hint(request, answer)}"
    if answer.request_id:
        text += f" [request {answer.request_id}]"
    if status == 401:
        return AuthenticationError(text)
    if status == 429:
        return RateLimitedError(text)
    kind = NotFoundError if status == 404 else ApiError
    body = answer.body[: 4 * MAX_BODY_CHARS].decode("utf-8", "replace")[:MAX_BODY_CHARS]
    return kind(text, status=status, body=body, request_id=answer.request_id)


def unreadable(request: Request, answer: Answer, host: str, reason: str) -> ApiError:
    """The error for a success whose body breaks the contract."""
    text = (
        f"{request} on {host} was answered with {answer.status}, but {reason}; check that the address in "
        "PLEXUS_API_URL or PLEXUS_URL is a Plexus gateway, and for a captive portal or proxy in between"
    )
    if answer.request_id:
        text += f" [request {answer.request_id}]"
    body = answer.body[: 4 * MAX_BODY_CHARS].decode("utf-8", "replace")[:MAX_BODY_CHARS]
    return ApiError(text, status=answer.status, body=body, request_id=answer.request_id)


def retry_after_s(answer: Answer, now_s: float) -> float | None:
    """The seconds that the server asks to wait; None when it asks for none. `now_s` is seconds since 1970 UTC."""
    raw = answer.headers.get("retry-after", "").strip()
    if raw.isascii() and raw.isdigit():
        return float(raw[:9])
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
    404: "check the name; a source is there from its first point on",
    405: "the server has no such route: it may be an older release",
    413: "the request is too large: ask for less at a time",
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
        return f"it redirects to {place}; redirects are not followed, so that no key goes astray: set PLEXUS_API_URL"
    if status in _HINTS:
        return _HINTS[status]
    if status >= 500:
        return "the server is at fault or not up: try again later, and look into its log"
    return "this answer is not in the contract: check the address in PLEXUS_API_URL or PLEXUS_URL"
