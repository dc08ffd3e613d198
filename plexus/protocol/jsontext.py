"""JSON as the contract has it: no NaN, no infinity, no lone surrogates, bounded numbers and depth."""

from __future__ import annotations

import json
from typing import Any

from plexus.domain.errors import ProtocolError


def _refuse_constant(name: str) -> Any:
    raise ProtocolError(f'JSON has no number {name}; send it as text with "non_finite": true')


def _checked_float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ProtocolError(f"the number {text[:32]} does not fit a 64-bit float")
    return value


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_checked_float)
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)


def loads(text: str | bytes) -> Any:
    """Parse one JSON value; raises ProtocolError for anything the contract does not allow."""
    try:
        plain = text if isinstance(text, str) else text.decode()
        value = _decoder.decode(plain)
        if "\\u" in plain:
            # An escape can smuggle a lone surrogate in; encoding is the cheapest way to find it.
            _encoder.encode(value).encode()
        elif not plain.isascii():
            plain.encode()
    except ProtocolError:
        raise
    except (ValueError, RecursionError) as exc:
        raise ProtocolError(f"not valid JSON: {str(exc)[:200]}") from exc
    return value


def dumps(value: Any) -> str:
    """Compact JSON text; raises ProtocolError for what JSON cannot say."""
    try:
        text = _encoder.encode(value)
        if not text.isascii():
            # A lone surrogate is better refused here than by the socket.
            text.encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise ProtocolError(f"cannot be said in JSON: {exc}") from exc
    return text
