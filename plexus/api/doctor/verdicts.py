"""What was seen, judged. Pure: every function takes what was seen and gives a finding."""

from __future__ import annotations

import calendar
import math
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from plexus.api.doctor.findings import Finding, fail, ok, warn
from plexus.api.doctor.seen import Heard, Secured, Trust
from plexus.protocol.probing import TIME_HEADER, read_times

EXPIRES_SOON_DAYS = 14
CLOCK_WARN_S, CLOCK_FAIL_S = 2.0, 300.0
"""How far a clock may be off before windows that end now miss something, and before keys and certificates suffer."""

ROOM_WARN_BYTES, ROOM_FAIL_BYTES = 100 * 1024**2, 4 * 1024**2

_WANTED: Mapping[str, frozenset[int]] = {
    "gateway_url": frozenset({401, 405}),
    "app_url": frozenset({401}),
    "api_url": frozenset({401}),
}
"""What a gateway answers to who asks without a key."""


# --- hosts ----------------------------------------------------------------------------------------------------


def certificate(subject: str, seen: Secured, now_s: float) -> Finding:
    """A certificate that was accepted: who signed it, and how long it lives. `now_s`: seconds since 1970 UTC."""
    signer = _organisation(seen.certificate.get("issuer", ()))
    until = str(seen.certificate.get("notAfter", ""))
    said = f"{seen.version}, the certificate is signed by {signer}"
    if not until:
        return ok("tls", subject, said)
    days = math.floor((_certificate_time_s(until) - now_s) / 86_400)
    said = f"{said} and valid for {days:,} more days"
    if days < EXPIRES_SOON_DAYS:
        return warn(
            "tls",
            subject,
            said,
            "renew it before devices and readers are refused; `plexus serve` reads a new one on SIGHUP",
        )
    return ok("tls", subject, said)


def trust(seen: Trust) -> Finding:
    """Whom this machine trusts."""
    if seen.named and not seen.is_there:
        return fail("tls", "SSL_CERT_FILE", f"names {seen.named}, which is not there", "correct it, or unset it")
    if seen.named and not seen.authorities:
        return warn("tls", "SSL_CERT_FILE", f"{seen.named} holds no certificate", "name the file of an authority (PEM)")
    if not seen.authorities and not seen.directory:
        return fail(
            "tls",
            "trust",
            "no authority is trusted: this machine has no store of certificates",
            "install the package ca-certificates, or name the authority's file in SSL_CERT_FILE",
        )
    where = seen.named or "the system's store"
    count = f"{seen.authorities:,} authorities" if seen.authorities else f"those in {seen.directory}"
    return ok("tls", "trust", f"{count} of {where} are trusted")


def answer(name: str, subject: str, heard: Heard) -> Finding:
    """What a host answers at a path of the contract to who brings no key."""
    status, ms = heard.status, max(0.0, heard.ended_s - heard.began_s) * 1000.0
    if status in _WANTED[name]:
        return ok("http", subject, f"a gateway answers in {ms:.0f} ms ({name})")
    setting = f"{name} ({subject})"
    if status == 0:
        return fail("http", subject, f"what answers at {setting} is no HTTP", "check the port")
    if 300 <= status < 400:
        place = heard.headers.get("location", "another place")[:200]
        return fail(
            "http",
            subject,
            f"{setting} redirects to {place}",
            _MOVED,
        )
    advice = _ANSWERS.get(status, "the gateway is not up: look into its log" if status >= 500 else _NO_GATEWAY)
    return fail("http", subject, f"{setting} answered {status}", advice)


_MOVED = "set the address to where it points: a key does not follow redirects"
_NO_GATEWAY = "no gateway answers there: check the address, and for a captive portal or proxy in between"
_ANSWERS: Mapping[int, str] = {
    403: "something in front of the gateway refuses this client: check the address and the host name",
    404: "there is no gateway at this path: check the address, and its base path",
    407: "a proxy wants a login: put user and password into HTTPS_PROXY, or the host into NO_PROXY",
    421: "the gateway does not know itself by this name: add it to the gateway's setting `hosts`",
    429: "too many requests from here: wait a while",
}


def clock(heard: Sequence[Heard]) -> Finding:
    """This machine's clock beside that of the gateway, from when it answered."""
    known = [interval for one in heard if (interval := _offset_s(one)) is not None]
    if not known:
        return warn("clock", "", "no host said what time it is", "compare this machine's clock by hand: date -u")
    low, high = max(low for low, _ in known), min(high for _, high in known)
    if low > high:
        # Hosts that disagree: the nearest to each other is of no use, so the first one is believed.
        low, high = known[0]
    off = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
    direction = "behind" if low > 0 else "ahead of"
    if off <= CLOCK_WARN_S:
        return ok("clock", "", f"within {max(abs(low), abs(high)):.1f} s of the gateway's")
    said = f"this machine is at least {_length(off)} {direction} the gateway"
    advice = "set it: switch on NTP (timedatectl set-ntp true)"
    if off <= CLOCK_FAIL_S:
        return warn("clock", "", f"{said}: a window that ends now misses or invents the newest values", advice)
    return fail("clock", "", f"{said}: windows are wrong, and certificates may look expired", advice)


def _offset_s(heard: Heard) -> tuple[float, float] | None:
    """Between which seconds the gateway's clock is ahead of this one's; None when it does not say."""
    exact = read_times(heard.headers[TIME_HEADER]) if TIME_HEADER in heard.headers else None
    if exact is not None:
        return exact[1] / 1e6 - heard.ended_s, exact[0] / 1e6 - heard.began_s
    try:
        date_s = parsedate_to_datetime(heard.headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
    # Whole seconds, and servers write it anew once a second: it may be up to two seconds old.
    return date_s - heard.ended_s, date_s + 2.0 - heard.began_s


# --- the key ----------------------------------------------------------------------------------------------------


def scopes(shown_key: str, organisation: str, held: Sequence[str], source_id: str | None = None) -> Finding:
    """A key that is accepted: what it may do, and for which source alone, if it is tied to one."""
    said = f"{shown_key} is accepted: organisation {organisation}, scopes {', '.join(held) or 'none'}"
    if source_id is not None:
        said = f"{said}, for {source_id} alone"
    if "admin" in held or {"read", "write"} <= set(held):
        return ok("key", "", said)
    if "write" in held:
        return warn(
            "key", "", f"{said}; it can send and not read", "fine for a device; to read, make one with `--scope read`"
        )
    if "read" in held:
        return warn(
            "key", "", f"{said}; it can read and not send", "fine for a reader; a device needs the scope `write`"
        )
    return fail("key", "", f"{said}; it can neither send nor read", "make a key with the scopes read and write")


# --- the disk ---------------------------------------------------------------------------------------------------


def room(where: str, free_bytes: int) -> Finding:
    """How much room the disk has that readings wait on."""
    said = f"{size(free_bytes)} are free"
    if free_bytes < ROOM_FAIL_BYTES:
        return fail(
            "disk",
            where,
            f"the disk is full: {said}",
            "free some space: what cannot be kept is lost",
        )
    if free_bytes < ROOM_WARN_BYTES:
        return warn("disk", where, said, "free some space before a long outage fills it")
    return ok("disk", where, said)


def private(check: str, where: str, mode: int, wanted: int) -> Finding | None:
    """A warning where others than the owner may read; None where they may not."""
    if not mode & 0o077:
        return None
    return warn(
        check, where, f"other users of this machine may read it (mode {mode & 0o777:04o})", f"chmod {wanted:o} {where}"
    )


def waiting(where: str, points: int, size_bytes: int) -> Finding:
    """A spool that no client has open."""
    if not points:
        return ok("spool", where, "nothing waits in it")
    said = f"{points:,} points ({size(size_bytes)}) wait in it, and no program has it open"
    return warn("spool", where, said, "start the program that sends them: they go out with its next connection")


def size(count: int) -> str:
    """Bytes for a person."""
    number, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024 or unit == "TiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


# --- small things -----------------------------------------------------------------------------------------------


def _certificate_time_s(text: str) -> float:
    # As `ssl.cert_time_to_seconds` reads it, without loading OpenSSL for it.
    return float(calendar.timegm(time.strptime(text, "%b %d %H:%M:%S %Y GMT")))


def _organisation(issuer: Any) -> str:
    names = {key: value for part in issuer for key, value in part}
    return str(names.get("organizationName") or names.get("commonName") or "an authority without a name")[:80]


def _length(seconds: float) -> str:
    for unit, length in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
