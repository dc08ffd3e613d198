"""What the probes saw: values without a judgement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Heard:
    """The head of an HTTP answer. Header names are lower case; `began_s` and `ended_s` are seconds since 1970 UTC."""

    status: int
    headers: Mapping[str, str]
    began_s: float
    ended_s: float


@attrs.frozen
class Trust:
    """Whom this machine trusts.

    Attributes:
        named: the file that SSL_CERT_FILE names; "" for none.
        is_there: whether that file is there.
        authorities: how many certificates were read; those of a directory are read only when they are needed.
        directory: where more of them are; "" for nowhere.
    """

    named: str
    is_there: bool
    authorities: int
    directory: str


@attrs.frozen
class Secured:
    """How TLS is: its version, and the certificate as Python's `getpeercert` gives it."""

    version: str
    certificate: Mapping[str, Any]
