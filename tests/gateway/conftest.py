"""The gateways that these tests run against."""

from __future__ import annotations

from tests.support.gateway import embedded, gateway, shared

__all__ = ["embedded", "gateway", "shared"]
