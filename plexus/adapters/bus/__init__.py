"""Committed points on their way to live readers."""
