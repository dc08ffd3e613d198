"""Where runs are announced: the app over HTTP, memory."""
