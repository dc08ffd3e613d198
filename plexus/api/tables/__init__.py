"""Answers as tables. Loads no library of its own accord: each is imported by the method that needs it."""

from __future__ import annotations

from plexus.api.tables.eventlist import EventList
from plexus.api.tables.results import AnyRow, BucketRow, FleetMetrics, QueryResult, Row

__all__ = ["AnyRow", "BucketRow", "EventList", "FleetMetrics", "QueryResult", "Row"]
