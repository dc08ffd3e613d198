"""A process of our own has its threads take short turns; a program that a gateway runs in keeps its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from plexus.gateway import Gateway
from plexus.gateway.turns import TURN_S, short_turns
from tests.support.gateway import KEY


def test_turns_are_short_for_as_long_as_it_lasts() -> None:
    before = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(TURN_S)
    assert sys.getswitchinterval() == pytest.approx(before)


def test_a_process_that_only_serves_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(Gateway, "_run", lambda _self, *_besides: seen.append(sys.getswitchinterval()))
    Gateway(data_dir=tmp_path / "data", bootstrap_key=KEY).serve_forever()
    assert seen == [pytest.approx(TURN_S)]
