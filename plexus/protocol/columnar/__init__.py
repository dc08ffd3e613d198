"""The columnar form of a batch's points (extension `columnar`): what it is on the wire, and its reader and writer.

    body     = "PXC1" · packing (0 plain, 1 zlib, 2 zstd) · length of `packed` unpacked · and as it is · packed · raw
    packed   = number of sections · section …    what a compressor can do something with
    raw      = the bytes that it cannot (the low bytes of noise), in the order in which they are asked for
    section  = number of points · series (JSON) · order of the series · times · grouped or not · value column …
    column   = kind · content; integers are a base and byte planes: all lowest bytes, all second bytes, …

Counts and lengths are LEB128, with a sign in zigzag; all fixed numbers are little-endian. `packed` is at most 1 MiB
unpacked, or plain, so that no body unpacks to much more than itself. Everything is exact: 1, 1.0, True and "1" are four
values, NaN, the infinities and -0.0 stay what they are, and times are whole nanoseconds.
"""

from __future__ import annotations

from plexus.protocol.columnar.body import MAGIC, TooManyPointsError, read_body, write_body
from plexus.protocol.columnar.layout import SAMPLE_TYPES
from plexus.protocol.columnar.packing import BEST, PLAIN, ZLIB, ZSTD
from plexus.protocol.columnar.points import decode_points
from plexus.protocol.columnar.section import Section

__all__ = [
    "BEST",
    "MAGIC",
    "PLAIN",
    "SAMPLE_TYPES",
    "ZLIB",
    "ZSTD",
    "Section",
    "TooManyPointsError",
    "decode_points",
    "read_body",
    "write_body",
]
