"""The consumer's side: `PlexusAPI`."""
