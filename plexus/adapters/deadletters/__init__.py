"""Where batches go that a gateway refused for good: a file, memory."""
