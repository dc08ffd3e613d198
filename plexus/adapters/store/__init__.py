"""The gateway's points: memory, and the embedded engine."""
