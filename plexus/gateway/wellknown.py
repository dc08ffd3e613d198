"""Names that are the same for every gateway: files of its data directory, and the organisation of who names none.

It loads nothing, so that a command that only looks into the directory need not load a gateway.
"""

from __future__ import annotations

DEFAULT_ORG = "default"
"""The organisation of keys that name none: the gateway's own."""

JOURNAL_FILE = "journal.db"
KEYS_FILE = "keys.db"
REGISTRY_FILE = "registry.db"
COMMANDS_FILE = "commands.db"
TALLIES_FILE = "tallies.db"
AUDIT_FILE = "audit.db"
