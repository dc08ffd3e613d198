"""Where batches wait for their acknowledgement: memory, SQLite."""
