"""Where status lines are shown: stderr, memory."""
