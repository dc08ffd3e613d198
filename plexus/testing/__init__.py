"""For tests, yours and ours.

- `plexus.testing.plugin`: fixtures for pytest, there as soon as this package is installed: `plexus_quiet_home` (no key,
  host or buffer of yours is touched) and `manual_clock` (time that the test moves).
- `plexus.testing.contracts`: what every adapter of a port must do, one suite a port; run them on your own adapters.

The memory adapters (`plexus.adapters.*.memory`) and the manual clock are products like the others and pass the same
suites: with `Plexus(transport=…, buffer=…, clock=…)` a test needs no socket, no file and no waiting.
"""
