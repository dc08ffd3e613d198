"""`plexus gateway backup`: fetching a backup from a running gateway into a file, whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import httpx

from plexus.adapters.privatefile import flush_directory
from plexus.adapters.transport.addresses import is_loopback
from plexus.adapters.transport.tls import trust
from plexus.config import load_settings, require_key
from plexus.domain.errors import ConfigurationError, StoreError
from plexus.gateway import archive

PATH = "/v1/admin/backup"
TIMEOUT_S = 600.0
"""The copy is made before the first byte comes."""


def fetch(target: Path, *, zstd: bool, url: str | None = None) -> Mapping[str, Any]:
    """Write a backup into a file that takes its place when it is whole and on the disk; returns its list.

    Gateway and key are those of the settings, the gateway `url` when one is named. Raises ConfigurationError and
    StoreError.
    """
    settings = load_settings(api_url=url)
    base, key = settings.api_url.rstrip("/"), require_key(settings)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise ConfigurationError(f"{target} cannot be written: {exc.strerror or exc}") from exc
    try:
        with os.fdopen(descriptor, "wb") as file:
            _receive(file, base, key, zstd=zstd)
            file.flush()
            os.fsync(file.fileno())
        listed = archive.unpack(beside, None)
        beside.replace(target)
        flush_directory(target.parent)
    except OSError as exc:
        raise StoreError(f"{target} cannot be written: {exc.strerror or exc}") from exc
    finally:
        beside.unlink(missing_ok=True)
    return listed


def _receive(file: IO[bytes], base: str, key: str, *, zstd: bool) -> None:
    local = is_loopback(urlsplit(base).hostname or "")
    try:
        with (
            httpx.Client(verify=trust(), timeout=TIMEOUT_S, trust_env=not local) as client,
            client.stream(
                "POST", base + PATH, params={"zstd": "1"} if zstd else {}, headers={"x-api-key": key}
            ) as answer,
        ):
            if answer.status_code != 200:
                raise StoreError(f"{base} gives no backup ({answer.status_code}): {_reason(answer.read())}")
            for part in answer.iter_raw():
                file.write(part)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise StoreError(
            f"the backup from {base} broke off, and nothing is kept of it: {exc or type(exc).__name__}"
        ) from exc


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
