"""A page of the whole fleet, live, from `AsyncPlexusAPI`: `python -m examples.fleet_backend`."""
