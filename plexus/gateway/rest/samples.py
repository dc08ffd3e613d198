"""An example of every operation's body and answer, by the operation's id; they stand in the OpenAPI document.

A test holds each against its schema, and another that none is missing. No value in them is null: Litestar leaves out
what is, in examples too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

NOW = 1_795_514_149_698


@attrs.frozen
class Sample:
    """What is sent (None: no body) and what comes back."""

    answer: Any
    body: Any = None


_SOURCE = {"source_id": "drone-01", "online": True, "last_seen_ms": NOW}
_EVENT = {
    "timestamp_ms": NOW,
    "metric": "mode.changed",
    "value": {"from": "manual", "to": "auto"},
    "tags": {"operator": "A"},
}
_RUN = {
    "id": "9b2c5f0e7d1a4c3b8e6f9a0b1c2d3e4f",
    "name": "thermal-cycle",
    "source_id": "drone-01",
    "status": "completed",
    "started_at": "2026-05-01T12:00:00+00:00",
    "ended_at": "2026-05-01T12:10:00+00:00",
    "tags": {},
    "metadata": {},
    "pass_criteria": [{"metric": "battery.voltage", "operator": ">", "value": 11.0, "label": ""}],
}
_COMMAND = {
    "run_id": "4f3e2d1c0b9a8f7e6d5c4b3a29181706",
    "source_id": "drone-01",
    "command": "reboot",
    "kind": "run",
    "state": "failed",
    "actor": "k1",
    "attempts": 1,
    "asked_ms": NOW,
    "expires_ms": NOW + 30_000,
    "changed_ms": NOW + 812,
    "error_code": "busy",
    "error_message": "the rig is in a test",
}
_KEY = {
    "key_id": "3f2a9c01b7de",
    "org": "default",
    "name": "drone-01",
    "scopes": ["write"],
    "source_id": "drone-01",
    "created_ms": NOW - 86_400_000,
    "expires_ms": NOW + 86_400_000,
}
_REVOKED = {**_KEY, "revoked_ms": NOW, "live": False}
_MADE = {**_KEY, "key": "plx_" + "0" * 46}
_METRIC = {"name": "battery.voltage", "unit": "V", "description": "of the whole pack", "low": 10.5, "high": 12.9}
_STREAM = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e"

SAMPLES: Mapping[str, Sample] = {
    "list_sources": Sample({"devices": [_SOURCE]}),
    "get_source": Sample(_SOURCE),
    "get_delivery": Sample(
        {
            "source_id": "drone-01",
            "lost": 120,
            "gaps": [{"reason": "buffer_full", "count": 120, "first_ms": NOW - 60_000, "last_ms": NOW}],
            "batches": 8123,
            "duplicates": 2,
            "gaps_refused": 0,
            "forks": 0,
            "dead_letters": 0,
            "streams": [{"stream": _STREAM, "watermark": 8123, "last_heard_ms": NOW}],
            "clock": {"offset_ms": -0.412, "error_ms": 1.25, "told_ms": NOW},
        }
    ),
    "register_source": Sample({"source_id": "rig-07", "slug": "rig-07"}, {"slug": "rig-07", "source_type": "rig"}),
    "rename_source": Sample({**_SOURCE, "source_id": "left-arm"}, {"source_id": "left-arm"}),
    "delete_source": Sample({"source_id": "drone-01"}),
    "remove_data": Sample({"points": 1_200, "dry_run": False}),
    "put_metric": Sample(_METRIC, {name: value for name, value in _METRIC.items() if name != "name"}),
    "forget_metric": Sample({"name": "battery.voltage"}),
    "list_keys": Sample({"keys": [_REVOKED]}),
    "create_key": Sample(_MADE, {"name": "drone-01", "scopes": ["write"], "source_id": "drone-01"}),
    "rotate_key": Sample(_MADE),
    "revoke_key": Sample(_REVOKED),
    "list_orgs": Sample({"orgs": [{"org": "default", "keys": 12, "sources": 24}]}),
    "list_audit": Sample(
        {
            "entries": [
                {
                    "number": 41,
                    "at_ms": NOW,
                    "actor": "3f2a9c01b7de",
                    "action": "source.rename",
                    "subject": "drone-01",
                    "detail": {"source_id": "left-arm"},
                }
            ],
            "next": 41,
        }
    ),
    "metric_names": Sample(["battery.voltage", "motor.rpm"]),
    "latest_values": Sample({"metrics": {"battery.voltage": 12.4, "robot.state": "RUNNING"}}),
    "query_metrics": Sample(
        {
            "interval": "1m",
            "auto_downsampled": True,
            "series": {
                "battery.voltage": {
                    "timestamp_ms": [NOW // 60_000 * 60_000],
                    "min": [12.3],
                    "max": [12.5],
                    "avg": [12.4],
                    "count": [600],
                    "last": [12.4],
                }
            },
            "truncated": False,
        }
    ),
    "list_events": Sample([_EVENT]),
    "list_logs": Sample([_EVENT]),
    "fleet_health": Sample({"sources_total": 24, "sources_online": 19}),
    "fleet_metrics": Sample(
        {
            "metric": "cpu.percent",
            "interval": "1m",
            "sources_online": 19,
            "sources_w_metric": 1,
            "sources": [
                {
                    "source_id": "drone-01",
                    "online": True,
                    "timestamp_ms": [NOW // 60_000 * 60_000],
                    "avg": [41.5],
                    "min": [12.0],
                    "max": [97.0],
                    "count": [60],
                }
            ],
            "truncated": False,
        }
    ),
    "export": Sample({"rows": 1_200_000}),
    "send_command": Sample(
        {"queued": True, "run_id": _COMMAND["run_id"]}, {"command": "reboot", "params": {"delay_s": 3}}
    ),
    "list_commands": Sample(
        {
            "source_id": "drone-01",
            "online": True,
            "declared": [{"name": "reboot", "typed": False, "params": [], "description": "Restarts the computer"}],
            "commands": [_COMMAND],
            "next": 41,
        }
    ),
    "get_command": Sample({"command": {**_COMMAND, "params": {"delay_s": 3}, "result": {}, "steps": []}}),
    "announce_run": Sample(
        {"run": _RUN},
        {"name": "thermal-cycle", "source_id": "drone-01", "pass_criteria": _RUN["pass_criteria"]},
    ),
    "close_run": Sample({"run": _RUN}, {"status": "completed"}),
    "get_run": Sample({"run": _RUN}),
    "list_runs": Sample({"runs": [_RUN]}),
    "verify_key": Sample({"org_id": "default", "scopes": ["read", "write"], "source_id": "drone-01"}),
    "healthz": Sample({"status": "ok"}),
    "readyz": Sample({"status": "ready"}),
    "metrics": Sample("# TYPE plexus_points_stored counter\nplexus_points_stored_total 8123.0\n"),
}
