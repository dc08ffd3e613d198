"""Who a key is: memory, SQLite."""
