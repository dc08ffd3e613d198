"""Keys as secrets: nobody guesses one, and nobody finds one by how long a comparison takes."""

from __future__ import annotations

import hmac
import math
from pathlib import Path

import pytest

from plexus.adapters.keyring import secret
from plexus.adapters.keyring.memory import MemoryKeyring
from plexus.adapters.keyring.sqlite import SqliteKeyring
from plexus.domain.names import KEY_PREFIX
from plexus.ports.keyring import KEY_ALPHABET, KEY_CHECK_CHARS, Keyring


def random_part(key: str) -> str:
    """What of a minted key is neither prefix nor checksum."""
    return key[len(KEY_PREFIX) : -KEY_CHECK_CHARS]


@pytest.fixture(params=["memory", "sqlite"])
def keyring(request: pytest.FixtureRequest, tmp_path: Path) -> Keyring:
    return MemoryKeyring() if request.param == "memory" else SqliteKeyring(tmp_path / "keys.db")


def test_a_key_that_is_made_has_192_random_bits_at_least(keyring: Keyring) -> None:
    text, _info = keyring.create("acme", "rig", ["read"])
    assert len(random_part(text)) * math.log2(len(set(KEY_ALPHABET))) >= 192
    keyring.close()


def test_every_character_of_the_random_part_may_be_any_of_the_alphabet() -> None:
    parts = [random_part(secret.mint()) for _ in range(2_000)]
    for seen in zip(*parts, strict=True):
        # Of 2,000 draws each of 62 is missed with a chance of 1 in 10^14; half of them are asked for.
        assert len(set(seen)) >= len(KEY_ALPHABET) // 2


def test_the_random_part_is_drawn_by_the_systems_generator_for_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plexus.adapters.keyring.secret.secrets.choice", lambda alphabet: alphabet[-1])
    assert set(random_part(secret.mint())) == {KEY_ALPHABET[-1]}


def test_a_key_that_is_shown_is_compared_in_constant_time_and_by_nothing_else(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, info = keyring.create("acme", "rig", ["read"])
    compared: list[tuple[bytes, bytes]] = []
    answer = True

    def compare(kept: bytes, shown: bytes) -> bool:
        compared.append((kept, shown))
        return answer and compare_digest(kept, shown)

    compare_digest = hmac.compare_digest
    monkeypatch.setattr("plexus.adapters.keyring.secret.hmac.compare_digest", compare)
    assert keyring.find(text) == info
    assert compared == [(secret.digest(text), secret.digest(text))]
    answer = False
    assert keyring.find(text) is None
    keyring.close()
