"""The self-hosted gateway (extra `gateway`)."""
