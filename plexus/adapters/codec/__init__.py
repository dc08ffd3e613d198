"""Encodings of a batch."""
