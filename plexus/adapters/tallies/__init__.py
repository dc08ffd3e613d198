"""What was counted of each source: memory, SQLite."""
