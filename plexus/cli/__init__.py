"""The command line: `plexus …`. One module a command; `main` is what the console script calls."""

from __future__ import annotations

from plexus.cli.app import main

__all__ = ["main"]
