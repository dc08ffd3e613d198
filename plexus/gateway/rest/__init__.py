"""The REST part of the gateway, on Litestar."""

from __future__ import annotations

from plexus.gateway.rest.app import build_rest

__all__ = ["build_rest"]
