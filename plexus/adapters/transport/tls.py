"""Which certificates are trusted: the operating system's. There is no switch that turns the check off."""

from __future__ import annotations

import os
import ssl
import sys


def trust() -> ssl.SSLContext:
    """A context that verifies host and certificate against the system's store, or SSL_CERT_FILE where it is set.

    A Python that comes without a store (the python.org build for macOS) uses the bundle that httpx brings.
    """
    context = ssl.create_default_context() if _has_store() else _bundled()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _has_store() -> bool:
    # On Windows the store is not in files; elsewhere a path is None when nothing is there.
    paths = ssl.get_default_verify_paths()
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    return sys.platform == "win32" or bool(named or paths.cafile or paths.capath)


def _bundled() -> ssl.SSLContext:
    import certifi

    return ssl.create_default_context(cafile=certifi.where())
