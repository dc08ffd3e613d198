"""Keys that are replaced without a gap, and organisations over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from plexus.gateway import Gateway
from plexus.gateway.wellknown import DEFAULT_ORG
from plexus.ports.keyring import SCOPES, KeyInfo
from tests.gateway.rest.house import EVERYTHING, House, key

KEYS = "/v1/admin/keys"
DAY_MS = 86_400_000.0
OPERATOR = key(*SCOPES, org=DEFAULT_ORG)


def made(house: House, *scopes: str, org: str = "acme", **more: Any) -> tuple[str, KeyInfo]:
    return house.core.keyring.create(org, "drone-01", scopes or ("write",), **more)


def rotated(house: House, info: KeyInfo, by: KeyInfo = EVERYTHING) -> Any:
    answer = house.request("POST", f"{KEYS}/{info.key_id}/rotate", by=by)
    assert answer.status_code == 201, answer.text
    return answer.json()


class TestRotate:
    def test_the_new_key_has_the_rights_of_the_old_one_and_both_are_live(self, house: House) -> None:
        text, old = made(house, "write", "read", source_id="rig")
        answer = rotated(house, old)
        new = house.core.keyring.find(answer["key"])
        assert new is not None
        assert attrs.evolve(new, key_id=old.key_id, created_ms=old.created_ms) == old
        assert (answer["key"] != text, house.core.keyring.find(text)) == (True, old)

    def test_it_is_in_the_trail_with_the_key_that_it_replaces(self, house: House) -> None:
        _text, old = made(house)
        answer = rotated(house, old)
        [(_number, entry)] = house.core.audit.entries("acme")
        assert (entry.action, entry.subject, entry.detail["replaces"]) == ("key.rotate", answer["key_id"], old.key_id)
        assert answer["key"] not in repr(entry)

    def test_a_key_that_is_revoked_or_over_is_not_rotated(self, house: House) -> None:
        _text, revoked = made(house)
        house.core.keyring.revoke(revoked.key_id)
        _text, brief = made(house, expires_ms=revoked.created_ms + DAY_MS)
        for info, later in ((revoked, 0.0), (brief, 400 * DAY_MS)):
            house.now_ns = round((info.created_ms + later) * 1e6)
            assert house.refused("POST", f"{KEYS}/{info.key_id}/rotate")[0] == 409
        assert len(house.core.keyring.list()) == 2

    def test_the_end_of_the_old_one_is_that_of_the_new_one(self, house: House) -> None:
        _text, first = made(house)
        _text, brief = made(house, expires_ms=first.created_ms + DAY_MS)
        assert rotated(house, brief)["expires_ms"] == brief.expires_ms

    def test_a_key_that_ends_makes_none_that_does_not_by_rotating(self, house: House) -> None:
        _text, lasting = made(house)
        ending = attrs.evolve(EVERYTHING, expires_ms=lasting.created_ms + DAY_MS)
        assert rotated(house, lasting, ending)["expires_ms"] == ending.expires_ms
        _text, longer = made(house, expires_ms=lasting.created_ms + 2 * DAY_MS)
        assert house.refused("POST", f"{KEYS}/{longer.key_id}/rotate", by=ending)[0] == 403

    def test_nobody_gets_a_scope_that_he_lacks_by_rotating(self, house: House) -> None:
        _text, mighty = made(house, *SCOPES)
        status, error = house.refused("POST", f"{KEYS}/{mighty.key_id}/rotate", by=key("admin", "read"))
        assert (status, "lacks the scope 'commands'" in error) == (403, True)

    @pytest.mark.parametrize("stranger", [key(*SCOPES, org="other"), key(*SCOPES, source_id="arm")])
    def test_to_a_stranger_it_is_as_if_it_were_not_there(self, house: House, stranger: KeyInfo) -> None:
        _text, info = made(house)
        assert house.refused("POST", f"{KEYS}/{info.key_id}/rotate", by=stranger)[0] == 404


class TestOrgs:
    def test_an_operator_sees_how_many_keys_and_sources_each_has(self, house: House) -> None:
        _text, gone = made(house, org="gone")
        house.core.keyring.revoke(gone.key_id)
        for _ in range(2):
            made(house)
        house.stored("rig", "t", 1)
        house.registry.register("acme", "idle", "{}")
        assert house.get("/v1/admin/orgs", by=OPERATOR) == {
            "orgs": [{"org": "acme", "keys": 2, "sources": 2}, {"org": "gone", "keys": 0, "sources": 0}]
        }

    @pytest.mark.parametrize("other", [EVERYTHING, key(*SCOPES, org=DEFAULT_ORG, source_id="rig")])
    def test_nobody_else_sees_them(self, house: House, other: KeyInfo) -> None:
        assert house.refused("GET", "/v1/admin/orgs", by=other)[0] == 403

    def test_an_operator_manages_the_keys_of_another(self, house: House) -> None:
        _text, info = made(house)
        assert [one["key_id"] for one in house.get(KEYS, by=OPERATOR, org="acme")["keys"]] == [info.key_id]
        assert rotated(house, info, OPERATOR)["org"] == "acme"
        assert house.request("DELETE", f"{KEYS}/{info.key_id}", by=OPERATOR).status_code == 200
        trail = house.get("/v1/admin/audit", by=OPERATOR, org="acme")["entries"]
        assert [entry["action"] for entry in trail] == ["key.revoke", "key.rotate"]

    @pytest.mark.parametrize("path", [KEYS, "/v1/admin/audit"])
    def test_nobody_else_names_another(self, house: House, path: str) -> None:
        made(house, org="other")
        assert house.refused("GET", path, params={"org": "other"})[0] == 403
        assert house.refused("GET", path, by=OPERATOR, params={"org": "A b"})[0] == 400


def test_no_key_that_was_made_is_in_a_file_or_a_backup(tmp_path: Path) -> None:
    secret = "plx_a-bootstrap-key-that-nobody-may-read-0123"
    with Gateway(data_dir=tmp_path / "data", bootstrap_key=secret) as gateway:
        with httpx.Client(base_url=gateway.url, headers={"x-api-key": secret}, trust_env=False) as client:
            first = client.post(KEYS, json={"name": "drone-01", "scopes": ["write"]}).json()
            second = client.post(f"{KEYS}/{first['key_id']}/rotate").json()
            client.delete(f"{KEYS}/{first['key_id']}")
            backup = client.post("/v1/admin/backup").content
        kept = [backup, *(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())]
    for text in (secret, first["key"], second["key"]):
        assert not any(text.encode() in content or text[4:24].encode() in content for content in kept)
    assert any(second["key_id"].encode() in content for content in kept)
