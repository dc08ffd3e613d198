"""The doctor's findings, looked through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plexus.api.doctor import Finding, examine
from tests.support.gateway import KEY

Examine = Callable[..., list[Finding]]
TIMEOUT_S = 5.0


def examiner(home: Path) -> Examine:
    """All findings with the settings that it is given, over the client's files in `home`."""

    def run(url: str = "", *, key: str = KEY, home: Path = home, **named: object) -> list[Finding]:
        environ = {"PLEXUS_HOME": str(home), "PLEXUS_API_KEY": key, "PLEXUS_URL": url}
        arguments = {"timeout": TIMEOUT_S, **named}
        return list(examine(environ=environ, **arguments))  # type: ignore[arg-type]

    return run


def wrong(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.check, one.state) for one in findings if one.state != "ok"]


def one(findings: list[Finding], check: str) -> Finding:
    """The finding of this check that is not well."""
    (found,) = [finding for finding in findings if finding.check == check and finding.state != "ok"]
    return found
