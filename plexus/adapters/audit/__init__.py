"""The gateway's audit trail: memory, and SQLite."""
