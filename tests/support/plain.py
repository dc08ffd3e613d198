"""Plain HTTP to a gateway on this machine.

A client of httpx reads the store of certificates before it knows that it needs none, 20 ms each time, and tests make
thousands of clients; these read none, and no proxy of the environment either.
"""

from __future__ import annotations

from typing import Any

import httpx


def client(**options: Any) -> httpx.Client:
    """An `httpx.Client` for `http://`; to be used as a context manager."""
    return httpx.Client(verify=False, trust_env=False, **options)


def request(method: str, url: str, **options: Any) -> httpx.Response:
    """`httpx.request` for `http://`."""
    return httpx.request(method, url, verify=False, trust_env=False, **options)
