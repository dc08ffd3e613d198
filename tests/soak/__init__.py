"""A gateway under everything at once for a long time: what is sent must be there, and nothing may grow."""
