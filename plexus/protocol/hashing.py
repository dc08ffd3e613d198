"""Hashes for names, digests and handshakes. Nothing is kept secret by them: that is for `hashlib` and OpenSSL.

`hashlib` loads OpenSSL whatever it is wanted for: 3.6 MiB and 7 ms. These are the same functions, which Python brings
along, under names that it does not promise to keep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["blake2b", "sha1"]

if TYPE_CHECKING:
    from hashlib import blake2b, sha1
else:
    try:
        from _blake2 import blake2b
        from _sha1 import sha1
    except ImportError:
        from hashlib import blake2b, sha1
