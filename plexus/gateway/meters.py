"""What the gateway counts and measures of itself, for Prometheus; read by `GET /metrics`.

Every part of the gateway reports to one `Meters`. Labels have few values: a reason, a route; never a source, a metric
or anything else that a client chooses.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

COMMIT_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Meters:
    """One gateway's meters, in a registry of their own: two gateways in one process do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.points = Counter("plexus_points_stored", "Points that were stored.", registry=self.registry)
        self.messages = Counter(
            "plexus_messages", "Messages with points, by what became of them.", ["verdict"], registry=self.registry
        )
        self.rejects = Counter(
            "plexus_rejects",
            "Requests, messages and points that were refused, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.commits = Histogram(
            "plexus_commit_seconds",
            "How long a commit took, flush included.",
            buckets=COMMIT_BUCKETS_S,
            registry=self.registry,
        )
        self.sockets = Gauge("plexus_sockets", "Open WebSockets, by kind.", ["kind"], registry=self.registry)
        self.missed = Counter(
            "plexus_missed", "What slow readers of live streams lost, by kind.", ["kind"], registry=self.registry
        )
        self.questions = Counter(
            "plexus_questions", "Questions to the store, by how they ended.", ["outcome"], registry=self.registry
        )
        self.quick = Counter(
            "plexus_quick_calls", "Short calls of requests, by how they ended.", ["outcome"], registry=self.registry
        )
        self.changes = Counter(
            "plexus_changes", "Removals, renames and deletions, by how they ended.", ["outcome"], registry=self.registry
        )
        self.exports = Counter(
            "plexus_exports", "Exports and backups, by how they ended.", ["outcome"], registry=self.registry
        )
        self.replays = Counter(
            "plexus_replays",
            "Questions to the store for readers who came back to a stream, by how they ended.",
            ["outcome"],
            registry=self.registry,
        )

    def reject(self, reason: str, count: int = 1) -> None:
        """Something was refused; `reason` is one of a few words of ours."""
        self.rejects.labels(reason).inc(count)
