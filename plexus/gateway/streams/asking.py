"""What a stream's address asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qs

import attrs

from plexus.protocol import video

Kind = Literal["metrics", "events"]

LONGEST_VIDEO_S = 86_400.0

_path = re.compile(r"/v1/sources/([^/]+)/(metrics|events|logs|video)/stream\Z")


@attrs.frozen
class Asked:
    """What a reader wants of a source: events, or metrics (`metrics` None: all of them).

    `cursor` is where it wants to go on; None when it names none, "" when it only wants to be told cursors.
    """

    source_id: str
    kind: Kind
    metrics: frozenset[str] | None = None
    cursor: str | None = attrs.field(default=None, eq=False)


@attrs.frozen
class VideoAsked:
    """What a viewer wants of a source: these cameras, for so many seconds (None: for good).

    `fault` says what is wrong with it; the handshake is complete before a stream can say so.
    """

    source_id: str
    cameras: frozenset[str]
    timeout_s: float | None = None
    fault: str = ""


def asked(path: str, query: bytes = b"") -> Asked | VideoAsked | None:
    """What a stream's address asks for; None when it is no stream's."""
    found = _path.match(path)
    if found is None:
        return None
    source_id, kind = found.groups()
    parameters = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    if kind == "video":
        return _video(source_id, parameters)
    cursor = parameters["cursor"][-1] if "cursor" in parameters else None
    if kind != "metrics":
        return Asked(source_id, "events", None, cursor)
    return Asked(source_id, "metrics", _metrics(parameters), cursor)


def _metrics(parameters: Mapping[str, Sequence[str]]) -> frozenset[str] | None:
    named = {name for text in parameters.get("metrics", ()) for name in text.split(",")}
    named.update(parameters.get("metric", ()))
    return frozenset(named - {""}) or None


def _video(source_id: str, parameters: Mapping[str, Sequence[str]]) -> VideoAsked:
    cameras = video.cameras_wanted([name for name in parameters.get("camera_id", ()) if name])
    if "timeout" not in parameters:
        return VideoAsked(source_id, cameras)
    try:
        timeout_s = float(parameters["timeout"][-1])
    except ValueError:
        timeout_s = math.nan
    if not 0 < timeout_s <= LONGEST_VIDEO_S:
        fault = f"timeout must be a number of seconds, more than 0 and at most {LONGEST_VIDEO_S:g}"
        return VideoAsked(source_id, cameras, None, fault)
    return VideoAsked(source_id, cameras, timeout_s)
