"""The key: whether there is one, whether the gateway takes it, and what it may do."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from plexus.api import calls
from plexus.api.doctor import verdicts
from plexus.api.doctor.findings import Finding, fail, failed, ok, warn
from plexus.api.link import Link
from plexus.api.place import Place
from plexus.api.retry import Budget
from plexus.config import Settings, mask
from plexus.domain.errors import ApiError, AuthenticationError, ConfigurationError, PlexusError
from plexus.domain.names import KEY_PREFIX


def key_here(settings: Settings) -> Finding:
    """Whether there is a key, and where it came from."""
    key = settings.api_key
    if key is None:
        return fail(
            "key", "", "there is no API key", "set PLEXUS_API_KEY, or run `plexus init` to sign in with a browser"
        )
    said = f"{mask(key)}, from {settings.origins.get('api_key', 'the program')}"
    if not key.startswith(KEY_PREFIX):
        return warn("key", "", f"{said}, does not look like one", f"keys begin with {KEY_PREFIX}: copy it again")
    return ok("key", "", said)


def accepted(settings: Settings, reached: Collection[str], timeout: float) -> Iterator[Finding]:
    """What the app says of the key, and whether the data API takes it: those of the two that are `reached`.

    Needs a key.
    """
    assert settings.api_key is not None
    if not {"app_url", "api_url"} & set(reached):
        return
    try:
        place = Place(settings.api_url.rstrip("/"), settings.app_url.rstrip("/"), settings.api_key, timeout)
    except ConfigurationError as exc:
        yield failed("settings", "", exc)
        return
    link = Link(place, Budget(0, timeout))
    try:
        if "app_url" in reached:
            yield _identity(link, mask(settings.api_key))
        if "api_url" in reached:
            yield _data(link)
    finally:
        link.close()


def _identity(link: Link, shown_key: str) -> Finding:
    try:
        who = link.ask(calls.whoami())
    except (AuthenticationError, ApiError) as exc:
        return _refused("key", exc)
    except PlexusError as exc:
        return failed("key", "", exc)
    return verdicts.scopes(shown_key, who.org_id, who.scopes, who.source_id)


def _data(link: Link) -> Finding:
    try:
        health = link.ask(calls.fleet_health())
    except ApiError as exc:
        if exc.status == 403:
            return warn("data API", "", "this key may not read", "fine for a device; a reader needs the scope `read`")
        return _refused("data API", exc)
    except AuthenticationError as exc:
        return _refused("data API", exc)
    except PlexusError as exc:
        return failed("data API", "", exc)
    return ok("data API", "", f"sources: {health.sources_total:,}, online: {health.sources_online:,}")


def _refused(check: str, exc: AuthenticationError | ApiError) -> Finding:
    if exc.status == 401:
        return fail(
            check,
            "",
            "the gateway does not know this key, or it was revoked",
            "check that PLEXUS_URL names the gateway that made the key; make a new one with `plexus keys create`, or "
            "sign in with `plexus init --force`",
        )
    if exc.status in (402, 403):
        return fail(check, "", "access is off for this key or its organisation", "ask whoever runs the gateway")
    said = " ".join(str(exc).split())
    return fail(check, "", said, "check that the address is a Plexus gateway's, and look into its log")
