"""What every keyring must do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from plexus.domain.errors import ConfigurationError
from plexus.ports.keyring import Keyring, is_minted_key
from plexus.testing.contracts import Contract

SECRET = "plx_" + "a bootstrap secret of the operator " * 2


class KeyringContract(Contract):
    """Override `make` to return a fresh, empty keyring."""

    def make(self) -> Keyring:
        """A fresh, empty keyring."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its keyring")

    @contextmanager
    def keyring(self) -> Iterator[Keyring]:
        """A fresh keyring, disposed of after the test."""
        made = self.make()
        try:
            yield made
        finally:
            self.dispose(made)

    def test_a_key_is_found_by_its_text(self) -> None:
        with self.keyring() as keyring:
            text, info = keyring.create("acme", "rig", ["read", "write"], source_id="rig-01")
            assert keyring.find(text) == info
            assert (info.org, info.name, info.source_id) == ("acme", "rig", "rig-01")
            assert info.scopes == {"read", "write"}
            assert info.revoked_ms is None

    def test_an_unknown_key_is_nothing(self) -> None:
        with self.keyring() as keyring:
            keyring.create("acme", "rig", ["read"])
            assert keyring.find("plx_" + "0" * 46) is None
            assert keyring.find("") is None
            assert keyring.find("\ud800") is None

    def test_nothing_but_the_whole_text_is_the_key(self) -> None:
        with self.keyring() as keyring:
            text, info = keyring.create("acme", "rig", ["read"])
            for near in (text[:-1], text + " ", text.upper(), text.swapcase(), text[4:], info.key_id):
                assert keyring.find(near) is None

    def test_a_minted_key_has_prefix_and_checksum_and_is_never_made_twice(self) -> None:
        with self.keyring() as keyring:
            made = [keyring.create("acme", "rig", ["read"]) for _ in range(20)]
            assert all(is_minted_key(text) for text, _info in made)
            assert len({text for text, _info in made}) == len({info.key_id for _text, info in made}) == 20

    def test_what_is_told_of_a_key_does_not_hold_it(self) -> None:
        with self.keyring() as keyring:
            text, info = keyring.create("acme", "rig", ["read"])
            told = repr((info, keyring.list(), keyring))
            assert text not in told
            assert text[4:20] not in told

    def test_two_keys_live_side_by_side(self) -> None:
        with self.keyring() as keyring:
            old, old_info = keyring.create("acme", "rig", ["read"])
            new, new_info = keyring.create("acme", "rig", ["read"])
            assert keyring.find(old) == old_info
            assert keyring.find(new) == new_info

    def test_revoking_one_key_leaves_the_other(self) -> None:
        with self.keyring() as keyring:
            old, old_info = keyring.create("acme", "rig", ["read"])
            new, new_info = keyring.create("acme", "rig", ["read"])
            assert keyring.revoke(old_info.key_id)
            assert keyring.find(old) is None
            assert keyring.find(new) == new_info

    def test_only_a_live_key_can_be_revoked(self) -> None:
        with self.keyring() as keyring:
            _text, info = keyring.create("acme", "rig", ["read"])
            assert keyring.revoke(info.key_id)
            assert not keyring.revoke(info.key_id)
            assert not keyring.revoke("no such id")

    def test_the_list_is_oldest_first_and_keeps_the_revoked(self) -> None:
        with self.keyring() as keyring:
            ids = [keyring.create("acme", name, ["read"])[1].key_id for name in ("b", "a", "c")]
            keyring.revoke(ids[1])
            listed = keyring.list()
            assert [info.key_id for info in listed] == ids
            assert [info.revoked_ms is None for info in listed] == [True, False, True]

    def test_a_given_secret_becomes_a_key(self) -> None:
        with self.keyring() as keyring:
            text, info = keyring.create("acme", "first", ["admin"], secret=SECRET)
            assert text == SECRET
            assert keyring.find(SECRET) == info

    def test_a_secret_given_again_is_the_same_key_unchanged(self) -> None:
        with self.keyring() as keyring:
            _text, first = keyring.create("acme", "first", ["read"], secret=SECRET)
            before = keyring.generation()
            assert keyring.create("other", "second", ["admin"], secret=SECRET) == (SECRET, first)
            assert keyring.list() == [first]
            assert keyring.generation() == before

    def test_a_revoked_secret_never_lives_again(self) -> None:
        with self.keyring() as keyring:
            _text, info = keyring.create("acme", "first", ["read"], secret=SECRET)
            keyring.revoke(info.key_id)
            assert _refusal(keyring, secret=SECRET) is not None
            assert keyring.find(SECRET) is None

    def test_a_refusal_does_not_hold_the_secret(self) -> None:
        with self.keyring() as keyring:
            _text, info = keyring.create("acme", "first", ["read"], secret=SECRET)
            keyring.revoke(info.key_id)
            for secret in (SECRET, "plx_short-secret", "no-prefix-" + "x" * 40):
                assert secret not in (_refusal(keyring, secret=secret) or secret)

    def test_an_unknown_scope_is_refused_by_name(self) -> None:
        with self.keyring() as keyring:
            assert "root" in (_refusal(keyring, scopes=["read", "root"]) or "")
            assert keyring.list() == []

    def test_a_key_needs_scopes_an_organisation_a_name_and_a_source_that_can_be_one(self) -> None:
        with self.keyring() as keyring:
            assert _refusal(keyring, scopes=[]) is not None
            assert _refusal(keyring, org="") is not None
            assert _refusal(keyring, name="") is not None
            assert _refusal(keyring, source_id="../etc") is not None
            assert keyring.list() == []

    def test_a_key_may_end_by_itself(self) -> None:
        with self.keyring() as keyring:
            _text, never = keyring.create("acme", "rig", ["read"])
            text, info = keyring.create("acme", "brief", ["read"], expires_ms=never.created_ms + 86_400_000.0)
            assert (never.expires_ms, info.expires_ms) == (None, never.created_ms + 86_400_000.0)
            assert keyring.find(text) == info

    def test_an_end_lies_ahead(self) -> None:
        with self.keyring() as keyring:
            _text, info = keyring.create("acme", "rig", ["read"])
            for expires_ms in (info.created_ms, 0.0, -1.0, float("nan"), float("inf")):
                assert _refusal(keyring, expires_ms=expires_ms) is not None
            assert keyring.list() == [info]

    def test_keys_of_a_renamed_source_follow_and_no_others(self) -> None:
        with self.keyring() as keyring:
            wide, _info = keyring.create("acme", "all", ["read"])
            own, _info = keyring.create("acme", "rig", ["read"], source_id="rig")
            arm, _info = keyring.create("acme", "arm", ["read"], source_id="arm")
            theirs, _info = keyring.create("other", "rig", ["read"], source_id="rig")
            before = keyring.generation()
            keyring.rename("acme", "rig", "oven")
            found = [keyring.find(text) for text in (wide, own, arm, theirs)]
            assert [info and info.source_id for info in found] == [None, "oven", "arm", "rig"]
            assert keyring.generation() != before

    def test_the_generation_changes_with_every_change_and_only_then(self) -> None:
        with self.keyring() as keyring:
            seen = [keyring.generation()]
            text, info = keyring.create("acme", "rig", ["read"])
            seen.append(keyring.generation())
            keyring.find(text)
            keyring.list()
            keyring.revoke("no such id")
            assert keyring.generation() == seen[-1]
            keyring.revoke(info.key_id)
            seen.append(keyring.generation())
            assert len(set(seen)) == 3


def _refusal(
    keyring: Keyring,
    *,
    org: str = "acme",
    name: str = "rig",
    scopes: list[str] | None = None,
    source_id: str | None = None,
    secret: str | None = None,
    expires_ms: float | None = None,
) -> str | None:
    """The text of the ConfigurationError that `create` raises, None if it raises none."""
    wanted = ["read"] if scopes is None else scopes
    try:
        keyring.create(org, name, wanted, source_id=source_id, secret=secret, expires_ms=expires_ms)
    except ConfigurationError as exc:
        return str(exc)
    return None
