"""What a finding is."""

from __future__ import annotations

from typing import Literal

import attrs

State = Literal["ok", "warn", "fail"]


@attrs.frozen
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was looked at: "settings", "key", "proxy", "dns", "tcp", "tls", "http", "websocket", "data API",
            "clock", "spool", "disk", "software" or "libraries".
        subject: of which host, file or setting; "" where there is only one.
        state: "ok"; "warn": it works, and will or may not for long; "fail": it does not work.
        said: what is so, in a sentence.
        advice: what to do; "" when it is ok.
    """

    check: str
    subject: str
    state: State
    said: str
    advice: str = ""


def ok(check: str, subject: str, said: str) -> Finding:
    """All is well."""
    return Finding(check, subject, "ok", said)


def warn(check: str, subject: str, said: str, advice: str) -> Finding:
    """It works, and somebody should look."""
    return Finding(check, subject, "warn", said, advice)


def fail(check: str, subject: str, said: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, subject, "fail", said, advice)


def failed(check: str, subject: str, exc: Exception) -> Finding:
    """An error of ours, whose words say what happened and, behind a semicolon or else a colon, what to do."""
    text = " ".join(str(exc).split())
    # With a space behind it: an address has a colon too.
    said, sign, advice = text.partition("; ")
    if not sign:
        said, sign, advice = text.partition(": ")
    return fail(check, subject, said, advice or "correct it")
