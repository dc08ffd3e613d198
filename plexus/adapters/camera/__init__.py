"""Processes that turn a camera into JPEGs: ffmpeg, memory."""
