"""Keys and the audit trail over HTTP: what an administrator may do, and what nobody gains by it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from plexus.domain.errors import StoreError
from plexus.gateway.wellknown import DEFAULT_ORG
from plexus.ports.audit import AuditEntry
from plexus.ports.keyring import SCOPES, KeyInfo
from tests.gateway.rest.house import EVERYTHING, NOW_MS, House, key

KEYS = "/v1/admin/keys"
AUDIT = "/v1/admin/audit"


def made(house: House, *scopes: str, org: str = "acme", source_id: str | None = None) -> KeyInfo:
    """A key that is there already."""
    return house.core.keyring.create(org, "before", scopes or ("read",), source_id=source_id)[1]


def create(house: House, by: KeyInfo | None = None, **body: Any) -> Any:
    answer = house.request("POST", KEYS, by=by, json={"name": "dashboard", "scopes": ["read"], **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def listed(house: House, by: KeyInfo | None = None) -> list[str]:
    return [item["key_id"] for item in house.get(KEYS, by=by)["keys"]]


class TestCreate:
    def test_a_key_is_made_and_its_text_is_in_the_answer(self, house: House) -> None:
        answer = create(house, scopes=["write", "read"], source_id="rig")
        info = house.core.keyring.find(answer["key"])
        assert info is not None
        assert (info.org, info.name, info.source_id) == ("acme", "dashboard", "rig")
        assert info.scopes == {"read", "write"}
        assert answer == {
            "key_id": info.key_id,
            "org": "acme",
            "name": "dashboard",
            "scopes": ["read", "write"],
            "source_id": "rig",
            "created_ms": info.created_ms,
            "expires_ms": None,
            "key": answer["key"],
        }

    def test_its_text_is_shown_nowhere_else(self, house: House) -> None:
        text = create(house)["key"]
        for path in (KEYS, AUDIT):
            assert text not in house.request("GET", path).text

    def test_it_is_in_the_trail_with_who_made_it(self, house: House) -> None:
        key_id = create(house, scopes=["write"], source_id="rig")["key_id"]
        detail = {"name": "dashboard", "scopes": ["write"], "source_id": "rig", "expires_ms": None}
        entry = AuditEntry(NOW_MS, "acme", EVERYTHING.key_id, "key.create", key_id, detail)
        assert list(house.core.audit.entries("acme")) == [(1, entry)]

    @pytest.mark.parametrize("scope", ["read", "write", "commands"])
    def test_a_scope_that_the_maker_lacks_cannot_be_given(self, house: House, scope: str) -> None:
        body = {"name": "more", "scopes": ["admin", scope]}
        status, error = house.refused("POST", KEYS, by=key("admin"), json=body)
        assert status == 403
        assert scope in error
        assert house.core.keyring.list() == []

    @pytest.mark.parametrize("source_id", [None, "arm"])
    def test_a_wider_source_cannot_be_given(self, house: House, source_id: str | None) -> None:
        body = {"name": "more", "scopes": ["admin"], "source_id": source_id}
        status, error = house.refused("POST", KEYS, by=key("admin", source_id="rig"), json=body)
        assert status == 403
        assert "rig" in error
        assert house.core.keyring.list() == []

    def test_a_key_of_one_source_makes_keys_of_that_source(self, house: House) -> None:
        assert create(house, key("admin", "read", source_id="rig"), source_id="rig")["source_id"] == "rig"

    def test_a_key_does_not_outlive_its_maker(self, house: House) -> None:
        end = made(house).created_ms + 86_400_000.0
        brief = attrs.evolve(EVERYTHING, expires_ms=end)
        assert create(house, brief)["expires_ms"] == end

    def test_an_operator_makes_keys_of_another_organisation(self, house: House) -> None:
        answer = create(house, key(*SCOPES, org=DEFAULT_ORG), org="other")
        assert answer["org"] == "other"
        [(_number, entry)] = house.core.audit.entries("other")
        assert (entry.action, entry.subject) == ("key.create", answer["key_id"])

    @pytest.mark.parametrize(
        "maker", [key(*SCOPES), key(*SCOPES, org=DEFAULT_ORG, source_id="rig")], ids=["of its own", "of one source"]
    )
    def test_nobody_else_does(self, house: House, maker: KeyInfo) -> None:
        body = {"name": "more", "scopes": ["read"], "org": "other", "source_id": maker.source_id}
        assert house.refused("POST", KEYS, by=maker, json=body)[0] == 403
        assert house.core.keyring.list() == []

    def test_naming_ones_own_organisation_is_fine(self, house: House) -> None:
        assert create(house, org="acme")["org"] == "acme"

    def test_fields_that_nobody_knows_are_passed_over(self, house: House) -> None:
        answer = create(house, secret="plx_" + "x" * 46, colour="red")
        assert answer["key"] != "plx_" + "x" * 46

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({"scopes": ["read"]}, "name"),
            ({"name": "", "scopes": ["read"]}, "name"),
            ({"name": "n" * 129, "scopes": ["read"]}, "name"),
            ({"name": "n"}, "scopes"),
            ({"name": "n", "scopes": []}, "scopes"),
            ({"name": "n", "scopes": ["root"]}, "scopes"),
            ({"name": "n", "scopes": ["read"], "source_id": "../etc"}, "source"),
            ({"name": "n", "scopes": ["read"], "source_id": "rig\n"}, "source"),
            ({"name": "n", "scopes": ["read"], "org": ""}, "org"),
        ],
    )
    def test_what_cannot_be_a_key_is_refused_by_field(self, house: House, body: Any, named: str) -> None:
        status, error = house.refused("POST", KEYS, json=body)
        assert status == 400
        assert named in error
        assert house.core.keyring.list() == []

    def test_a_key_that_the_trail_could_not_take_does_not_live(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_entry: AuditEntry) -> None:
            raise StoreError("audit.db: the disk is full")

        monkeypatch.setattr(house.core.audit, "record", full)
        assert house.refused("POST", KEYS, json={"name": "n", "scopes": ["read"]})[0] == 503
        [info] = house.core.keyring.list()
        assert info.revoked_ms is not None


class TestList:
    def test_all_keys_of_the_organisation_are_listed_oldest_first(self, house: House) -> None:
        first, _theirs, second = made(house), made(house, org="other"), made(house, "admin", source_id="rig")
        house.core.keyring.revoke(first.key_id)
        items = house.get(KEYS)["keys"]
        assert [item["key_id"] for item in items] == [first.key_id, second.key_id]
        assert [item["revoked_ms"] is None for item in items] == [False, True]
        assert (items[1]["scopes"], items[1]["source_id"]) == (["admin"], "rig")

    def test_a_key_of_one_source_sees_the_keys_of_that_source(self, house: House) -> None:
        _all, own, _arm = made(house), made(house, source_id="rig"), made(house, source_id="arm")
        assert listed(house, key("admin", source_id="rig")) == [own.key_id]


class TestRevoke:
    def test_a_key_is_revoked_for_ever(self, house: House) -> None:
        answer = create(house)
        revoked = house.request("DELETE", f"{KEYS}/{answer['key_id']}")
        assert revoked.status_code == 200
        assert revoked.json()["revoked_ms"] is not None
        assert house.core.keyring.find(answer["key"]) is None
        assert house.refused("DELETE", f"{KEYS}/{answer['key_id']}")[0] == 404

    def test_a_key_does_not_revoke_itself(self, house: House) -> None:
        own, _other = made(house, "admin"), made(house, "admin")
        status, error = house.refused("DELETE", f"{KEYS}/{own.key_id}", by=own)
        assert (status, "the key that asks" in error) == (409, True)
        assert all(info.revoked_ms is None for info in house.core.keyring.list())
        assert not house.core.audit.entries("acme")

    def test_the_last_key_that_administers_an_organisation_is_not_revoked(self, house: House) -> None:
        house.core.keyring.revoke(made(house, "admin").key_id)
        made(house, "admin", source_id="rig")
        made(house, "admin", org="other")
        made(house, "read")
        last = made(house, "admin")
        status, error = house.refused("DELETE", f"{KEYS}/{last.key_id}", by=key(*SCOPES, org=DEFAULT_ORG))
        assert (status, "the last key that administers the organisation acme" in error) == (409, True)
        made(house, "admin")
        answer = house.request("DELETE", f"{KEYS}/{last.key_id}", by=key(*SCOPES, org=DEFAULT_ORG))
        assert answer.status_code == 200

    def test_keys_that_administer_nothing_are_revoked_to_the_last_one(self, house: House) -> None:
        for info in (made(house, "read"), made(house, "admin", source_id="rig")):
            assert house.request("DELETE", f"{KEYS}/{info.key_id}").status_code == 200

    def test_it_is_in_the_trail_with_who_revoked_it(self, house: House) -> None:
        info = made(house)
        house.request("DELETE", f"{KEYS}/{info.key_id}")
        detail = {"name": "before"}
        entry = AuditEntry(NOW_MS, "acme", EVERYTHING.key_id, "key.revoke", info.key_id, detail)
        assert list(house.core.audit.entries("acme")) == [(1, entry)]

    @pytest.mark.parametrize(
        "stranger",
        [key(*SCOPES, org="other"), key(*SCOPES, source_id="arm")],
        ids=["of another organisation", "of another source"],
    )
    def test_to_a_stranger_it_is_as_if_it_were_not_there(self, house: House, stranger: KeyInfo) -> None:
        info = made(house, source_id="rig")
        status, theirs = house.refused("DELETE", f"{KEYS}/{info.key_id}", by=stranger)
        assert status == 404
        assert house.refused("DELETE", f"{KEYS}/nobody")[1].replace("nobody", info.key_id) == theirs
        assert house.core.keyring.list() == [info]
        assert not house.core.audit.entries("acme")

    @pytest.mark.parametrize("scope", sorted({*SCOPES} - {"admin"}))
    def test_only_administrators_revoke(self, house: House, scope: str) -> None:
        info = made(house)
        assert house.refused("DELETE", f"{KEYS}/{info.key_id}", by=key(scope))[0] == 403
        house.key = None
        assert house.refused("DELETE", f"{KEYS}/{info.key_id}")[0] == 401
        assert house.core.keyring.list() == [info]


class TestAudit:
    @pytest.fixture
    def told(self, house: House) -> House:
        for action, subject in (("a", "x"), ("b", "x"), ("a", "y")):
            house.core.audit.record(AuditEntry(NOW_MS + 0.25, "acme", "k9", action, subject, {"n": 1}))
        house.core.audit.record(AuditEntry(NOW_MS, "other", "k8", "a", "x"))
        return house

    def test_the_newest_come_first_and_those_of_others_not_at_all(self, told: House) -> None:
        answer = told.get(AUDIT)
        assert [(item["number"], item["action"], item["subject"]) for item in answer["entries"]] == [
            (3, "a", "y"),
            (2, "b", "x"),
            (1, "a", "x"),
        ]
        assert answer["entries"][0] == {
            "number": 3,
            "at_ms": NOW_MS + 0.25,
            "actor": "k9",
            "action": "a",
            "subject": "y",
            "detail": {"n": 1},
        }
        assert answer["next"] is None

    @pytest.mark.parametrize(
        ("asked", "numbers"),
        [
            ({"action": "a"}, [3, 1]),
            ({"subject": "x"}, [2, 1]),
            ({"action": "a", "subject": "x"}, [1]),
            ({"before": 3}, [2, 1]),
            ({"action": "c"}, []),
        ],
    )
    def test_it_can_be_narrowed(self, told: House, asked: Any, numbers: list[int]) -> None:
        assert [item["number"] for item in told.get(AUDIT, **asked)["entries"]] == numbers

    def test_next_leads_through_all_of_it(self, told: House) -> None:
        first = told.get(AUDIT, limit=2)
        assert ([item["number"] for item in first["entries"]], first["next"]) == ([3, 2], 2)
        rest = told.get(AUDIT, limit=2, before=first["next"])
        assert ([item["number"] for item in rest["entries"]], rest["next"]) == ([1], None)

    @pytest.mark.parametrize("asked", [{"limit": 0}, {"limit": 1001}, {"before": -1}, {"before": "x"}])
    def test_a_number_that_cannot_be_is_refused(self, told: House, asked: Any) -> None:
        status, error = told.refused("GET", AUDIT, params=asked)
        assert status == 400
        assert next(iter(asked)) in error

    def test_a_key_of_one_source_sees_what_was_done_to_that_source(self, told: House) -> None:
        only = key("admin", source_id="x")
        assert [item["number"] for item in told.get(AUDIT, by=only)["entries"]] == [2, 1]
        assert told.get(AUDIT, by=only, subject="y") == {"entries": [], "next": None}


class TestRotate:
    def test_the_successor_has_the_same_rights_and_both_live(self, house: House) -> None:
        old = made(house, "read", source_id="rig")
        answer = house.request("POST", f"{KEYS}/{old.key_id}/rotate")
        assert answer.status_code == 201
        assert (answer.json()["scopes"], answer.json()["source_id"]) == (["read"], "rig")
        live = {info.key_id for info in house.core.keyring.list() if info.revoked_ms is None}
        assert {old.key_id, answer.json()["key_id"]} <= live

    def test_a_key_of_another_organisation_is_a_404(self, house: House) -> None:
        other = made(house, "read", org="umbrella")
        assert house.request("POST", f"{KEYS}/{other.key_id}/rotate").status_code == 404


class TestOrganisations:
    def test_an_operator_sees_all_of_them_and_nobody_else_any(self, house: House) -> None:
        made(house, "read", org="umbrella")
        operator = attrs.evolve(EVERYTHING, org=DEFAULT_ORG)
        assert "umbrella" in [item["org"] for item in house.get("/v1/admin/orgs", by=operator)["orgs"]]
        assert house.request("GET", "/v1/admin/orgs").status_code == 403
