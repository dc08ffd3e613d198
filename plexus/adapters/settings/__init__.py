"""The settings that stay: a private file."""
