"""Names, registered sources and runs: memory, SQLite."""
