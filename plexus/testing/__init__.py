"""For users' tests and ours: contracts, memory adapters wired up, a pytest plugin."""
