"""Keys, organisations and the audit trail.

A key gives no more than it has: no scope that it lacks, no source but its own, no end after its own, no other
organisation unless it is an operator's (see `require_operator`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import attrs
import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from plexus.domain.errors import QueryError
from plexus.domain.names import GATEWAY_SOURCE_ID_RULE, MAX_ORG_BYTES, is_org_name
from plexus.gateway.access import require_grant, require_operator
from plexus.gateway.asgi import HttpError
from plexus.gateway.keys import KeyDesk
from plexus.gateway.rest.caller import ADMIN, Asking, Caller
from plexus.gateway.rest.faults import REFUSALS, TAKEN
from plexus.gateway.rest.params import SOURCE_ID, counting, whole_number
from plexus.ports.audit import AuditEntry
from plexus.ports.keyring import KeyInfo

LIMIT = 100
MAX_LIMIT = 1_000
MAX_NAME_CHARS = 128
MAX_TIME_MS = 2**53

Scope = Literal["read", "write", "commands", "admin"]
OrgText = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ORG_BYTES, pattern=GATEWAY_SOURCE_ID_RULE)]
Org = Annotated[
    str | None,
    QueryParameter(
        description="The organisation, where it is not the key's own: for operators.",
        schema_extra={"pattern": GATEWAY_SOURCE_ID_RULE, "maxLength": MAX_ORG_BYTES},
    ),
]
Action = Annotated[str | None, QueryParameter(description="Only what was done so: key.create, source.rename, …")]
SubjectName = Annotated[str | None, QueryParameter(description="Only what was done to this source, key or run.")]
Limit = Annotated[str | None, counting("How many entries at most, newest first.", 1, MAX_LIMIT)]
Before = Annotated[str | None, counting("Go on where an earlier answer ended: its `next`.", 0, MAX_TIME_MS)]


class NewKey(msgspec.Struct):
    """A key to make. Without `source_id` it is for all sources, without `expires_ms` it ends when this key does."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=4)]
    source_id: Annotated[str, msgspec.Meta(extra_json_schema={"extra": SOURCE_ID})] | None = None
    org: OrgText | None = None
    expires_ms: Annotated[int, msgspec.Meta(gt=0, le=MAX_TIME_MS)] | None = None


@attrs.frozen
class KeyItem:
    """A key without its text. Times are milliseconds since 1970 UTC; `live`: neither revoked nor over."""

    key_id: str
    org: str
    name: str
    scopes: list[Scope]
    source_id: str | None
    created_ms: float
    expires_ms: float | None
    revoked_ms: float | None
    live: bool


@attrs.frozen
class MadeKey:
    """A key that was just made; `key` is its text, which is shown this once. Times are milliseconds since 1970 UTC."""

    key: str
    key_id: str
    org: str
    name: str
    scopes: list[Scope]
    source_id: str | None
    created_ms: float
    expires_ms: float | None


@attrs.frozen
class Keys:
    """Keys, oldest first, revoked ones too."""

    keys: list[KeyItem]


@attrs.frozen
class OrgItem:
    """One organisation: how many of its keys are live, and how many sources it has."""

    org: str
    keys: int
    sources: int


@attrs.frozen
class Orgs:
    """Organisations by name."""

    orgs: list[OrgItem]


@attrs.frozen
class AuditItem:
    """One thing that was done. `actor` is the id of the key that did it, or "local": the gateway's own machine."""

    number: int
    at_ms: float
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


@attrs.frozen
class Trail:
    """What was done, newest first. `next` is the `before` of the rest; null when there is none."""

    entries: list[AuditItem]
    next: int | None


@get("/v1/admin/keys", opt=ADMIN, responses=REFUSALS)
async def list_keys(caller: Asking, org: Org = None) -> Keys:
    """The organisation's keys, as far as this key may manage them."""
    wanted = _org(caller, org)
    found = await caller.ask(caller.core.keyring.list)
    return Keys([_item(caller, info) for info in found if info.org == wanted and caller.sees(info.source_id)])


@post("/v1/admin/keys", opt=ADMIN, status_code=201, responses=REFUSALS)
async def create_key(caller: Asking, data: JSONBody[NewKey]) -> MadeKey:
    """Make a key. Its text is in the answer and nowhere else."""
    org = _org(caller, data.org)
    ends = data.expires_ms if data.expires_ms is not None else caller.key.expires_ms
    require_grant(caller.key, data.scopes, data.source_id, ends)
    text, info = await caller.ask(
        _desk(caller).create,
        caller.key.key_id,
        org,
        data.name,
        data.scopes,
        source_id=data.source_id,
        expires_ms=ends,
    )
    return _made(text, info)


@post("/v1/admin/keys/{key_id:str}/rotate", opt=ADMIN, status_code=201, responses={**REFUSALS, 409: TAKEN})
async def rotate_key(caller: Asking, key_id: FromPath[str]) -> MadeKey:
    """Make a key with the same rights; the old one stays live until it is revoked. 409 when it is not live."""
    old = await _known(caller, key_id)
    if not _desk(caller).live(old):
        raise HttpError(409, f"the key {old.key_id} is revoked or over; make another with POST /v1/admin/keys")
    ends = old.expires_ms if old.expires_ms is not None else caller.key.expires_ms
    require_grant(caller.key, sorted(old.scopes), old.source_id, ends)
    text, info = await caller.ask(_desk(caller).rotate, caller.key.key_id, old, ends)
    return _made(text, info)


@delete("/v1/admin/keys/{key_id:str}", opt=ADMIN, status_code=200, responses={**REFUSALS, 409: TAKEN})
async def revoke_key(caller: Asking, key_id: FromPath[str]) -> KeyItem:
    """Revoke a key at once and for ever; open connections with it end within seconds. 409 for the key that asks, and
    for the last one that administers its organisation."""
    known = await _known(caller, key_id)
    await _require_another(caller, known)
    if not await caller.ask(_desk(caller).revoke, caller.key.key_id, known):
        raise _no_key(key_id)
    return _item(caller, await _known(caller, key_id))


@get("/v1/admin/orgs", opt=ADMIN, responses=REFUSALS)
async def list_orgs(caller: Asking) -> Orgs:
    """Every organisation that has or had a key; for operators."""
    require_operator(caller.key)
    return Orgs(await caller.ask(_orgs, caller))


@get("/v1/admin/audit", opt=ADMIN, responses=REFUSALS)
async def list_audit(
    caller: Asking,
    org: Org = None,
    action: Action = None,
    subject: SubjectName = None,
    before: Before = None,
    limit: Limit = None,
) -> Trail:
    """What was done to the organisation, by whom and when; a key of one source sees what was done to that source."""
    wanted = _org(caller, org)
    count = whole_number(limit, "limit", 1, MAX_LIMIT) or LIMIT
    number = whole_number(before, "before", 0, MAX_TIME_MS)
    about = subject if caller.key.source_id is None else caller.key.source_id
    if subject not in (None, about):
        return Trail([], None)
    found: Sequence[tuple[int, AuditEntry]] = await caller.ask(
        caller.core.audit.entries, wanted, action=action, subject=about, before=number, limit=count + 1
    )
    shown = [_entry(number, entry) for number, entry in found[:count]]
    return Trail(shown, shown[-1].number if len(found) > count else None)


def _org(caller: Caller, wanted: str | None) -> str:
    """The organisation that is asked for; raises HttpError 403 when it is another one and the key no operator's."""
    if wanted is None or wanted == caller.org:
        return caller.org
    require_operator(caller.key)
    if not is_org_name(wanted):
        raise QueryError(f"org must match {GATEWAY_SOURCE_ID_RULE} and be at most {MAX_ORG_BYTES} characters")
    return wanted


def _desk(caller: Caller) -> KeyDesk:
    return KeyDesk(caller.core.keyring, caller.core.audit, caller.core.wall_ns)


async def _known(caller: Caller, key_id: str) -> KeyInfo:
    """A key that the caller may manage; HttpError 404 for all others, whether they are there or not."""
    found = await caller.ask(_desk(caller).find, key_id)
    if found is None or not caller.sees(found.source_id):
        raise _no_key(key_id)
    if found.org != caller.org:
        try:
            require_operator(caller.key)
        except HttpError:
            raise _no_key(key_id) from None
    return found


async def _require_another(caller: Caller, going: KeyInfo) -> None:
    """Raise HttpError 409 when nobody could undo it: for the key that asks, and for the last of its organisation."""
    if going.key_id == caller.key.key_id:
        raise HttpError(
            409,
            f"{going.key_id} is the key that asks; revoke it with another one, or with `plexus keys` on the machine",
        )
    desk = _desk(caller)
    if not _administers(going) or not desk.live(going):
        return
    left = await caller.ask(caller.core.keyring.list)
    if not any(
        one.org == going.org and one.key_id != going.key_id and _administers(one) and desk.live(one) for one in left
    ):
        raise HttpError(
            409, f"{going.key_id} is the last key that administers the organisation {going.org}; make another one first"
        )


def _administers(info: KeyInfo) -> bool:
    return info.source_id is None and info.allows("admin")


def _no_key(key_id: str) -> HttpError:
    return HttpError(404, f"NOT_FOUND: there is no live key {key_id[:64]!r}; GET /v1/admin/keys lists all")


def _orgs(caller: Caller) -> list[OrgItem]:
    core, now_ms = caller.core, caller.core.wall_ns() / 1e6
    live: dict[str, int] = {}
    for info in core.keyring.list():
        live[info.org] = live.get(info.org, 0) + info.lives(now_ms)
    return [
        OrgItem(org, live[org], len({*core.store.sources(org), *core.registry.registered(org)})) for org in sorted(live)
    ]


def _item(caller: Caller, info: KeyInfo) -> KeyItem:
    return KeyItem(**info.shown(), revoked_ms=info.revoked_ms, live=_desk(caller).live(info))


def _made(text: str, info: KeyInfo) -> MadeKey:
    return MadeKey(text, **info.shown())


def _entry(number: int, entry: AuditEntry) -> AuditItem:
    return AuditItem(number, entry.at_ms, entry.actor, entry.action, entry.subject, dict(entry.detail))
