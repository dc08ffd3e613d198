"""What was asked of devices: memory, SQLite."""
