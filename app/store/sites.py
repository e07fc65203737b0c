"""Sites, their keys, and the policies in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.closed_sets import Scope
from app.store.statement import statement

Mode = Literal["test", "live"]

_SCOPES = frozenset(Scope)

_CALLER = statement("""
    SELECT s.site_id, s.name, s.mode, k.key_id, k.scopes, now() AS now
    FROM api_keys k JOIN sites s ON s.site_id = k.site_id
    WHERE k.key_hash = :key_hash AND k.revoked_at IS NULL""")
_NOW = statement("SELECT now()")
_READ_ONLY = statement("SELECT CAST(current_setting('transaction_read_only') AS boolean) OR pg_is_in_recovery()")
_SITES = statement("SELECT site_id FROM sites ORDER BY site_id")
_SITE = statement("SELECT site_id, name, mode FROM sites WHERE site_id = :site_id")
_CREATE = statement("""
    INSERT INTO sites (site_id, name, mode, created_at) VALUES (:site_id, :name, :mode, :now)
    ON CONFLICT (site_id) DO NOTHING RETURNING true""")
_ACTIVATE = statement("""
    INSERT INTO policy_activations (site_id, effective_from, policy_name, policy_version)
    VALUES (:site_id, :effective_from, :policy_name, :policy_version)
    ON CONFLICT (site_id, effective_from) DO UPDATE
    SET policy_name = EXCLUDED.policy_name, policy_version = EXCLUDED.policy_version""")
_SECRETS = statement("SELECT reporting_secrets FROM sites WHERE site_id = :site_id")
_LOCK_SECRETS = statement("SELECT reporting_secrets FROM sites WHERE site_id = :site_id FOR UPDATE")
_SET_SECRETS = statement("UPDATE sites SET reporting_secrets = :sealed WHERE site_id = :site_id")
_ADD_KEY = statement("""
    INSERT INTO api_keys (site_id, key_id, key_hash, scopes, label, created_at)
    VALUES (:site_id, :key_id, :key_hash, :scopes, :label, :now)""")
_REVOKE_KEY = statement("""
    UPDATE api_keys SET revoked_at = :now WHERE site_id = :site_id AND key_id = :key_id AND revoked_at IS NULL""")
_REVOKE_LABEL = statement("""
    UPDATE api_keys SET revoked_at = :now
    WHERE site_id = :site_id AND label = :label AND revoked_at IS NULL AND key_hash <> :key_hash""")
_POLICY = statement("""
    SELECT policy_name, policy_version FROM policy_activations
    WHERE site_id = :site_id AND effective_from <= :at ORDER BY effective_from DESC LIMIT 1""")


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A tenant: one world (`mode`) of one account."""

    site_id: UUID
    name: str
    mode: Mode


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, what the key may do, and the transaction's instant."""

    site: SiteRow
    key_id: UUID
    scopes: frozenset[Scope]
    now: datetime


async def caller_of(connection: AsyncConnection, key_hash: bytes) -> Caller | None:
    """The site behind a key that is not revoked. The only look-up that does not know the site yet."""
    found = (await connection.execute(_CALLER, {"key_hash": key_hash})).one_or_none()
    if found is None:
        return None
    site = SiteRow(found.site_id, found.name, found.mode)
    # A newer version's scopes may stand in the same table; this one grants what it knows.
    scopes = frozenset(Scope(scope) for scope in found.scopes if scope in _SCOPES)
    return Caller(site, found.key_id, scopes, found.now)


async def database_now(connection: AsyncConnection) -> datetime:
    """The database's clock: one for all hosts."""
    return cast(datetime, await connection.scalar(_NOW))


async def can_write(connection: AsyncConnection) -> bool:
    """False on a standby, or while the database takes no writes."""
    return not await connection.scalar(_READ_ONLY)


async def all_sites(connection: AsyncConnection) -> list[UUID]:
    """For chores that go from site to site."""
    return list((await connection.scalars(_SITES)).all())


class SiteStore:
    """One site, its keys and its policies."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def get(self) -> SiteRow | None:
        """The site itself."""
        found = (await self._connection.execute(_SITE, {"site_id": self._site_id})).one_or_none()
        return None if found is None else SiteRow(found.site_id, found.name, found.mode)

    async def create(self, name: str, mode: Mode, now: datetime) -> bool:
        """False if it is there already."""
        parameters = {"site_id": self._site_id, "name": name, "mode": mode, "now": now}
        return bool(await self._connection.scalar(_CREATE, parameters))

    async def activate_policy(self, name: str, version: int, effective_from: datetime) -> None:
        """From that instant on, orders placed are judged by this version."""
        parameters = {"policy_name": name, "policy_version": version, "effective_from": effective_from}
        await self._connection.execute(_ACTIVATE, {"site_id": self._site_id, **parameters})

    async def policy_at(self, at: datetime) -> tuple[str, int] | None:
        """Name and version of the policy in force at an instant."""
        found = (await self._connection.execute(_POLICY, {"site_id": self._site_id, "at": at})).one_or_none()
        return None if found is None else (found.policy_name, found.policy_version)

    async def reporting_secrets(self, *, lock: bool = False) -> bytes | None:
        """The sealed secrets that reports are signed with; None: they need no signature."""
        found: bytes | None = await self._connection.scalar(
            _LOCK_SECRETS if lock else _SECRETS, {"site_id": self._site_id}
        )
        return found

    async def set_reporting_secrets(self, sealed: bytes | None) -> None:
        """What they are from now on."""
        await self._connection.execute(_SET_SECRETS, {"site_id": self._site_id, "sealed": sealed})

    async def add_key(self, key_id: UUID, key_hash: bytes, scopes: Sequence[Scope], label: str, now: datetime) -> None:
        """Admits the key with this hash."""
        parameters = {"key_id": key_id, "key_hash": key_hash, "label": label, "now": now}
        await self._connection.execute(
            _ADD_KEY, {"site_id": self._site_id, "scopes": [scope.value for scope in scopes], **parameters}
        )

    async def revoke_key(self, key_id: UUID, now: datetime) -> bool:
        """False if there is no such key, or it is revoked already."""
        parameters = {"site_id": self._site_id, "key_id": key_id, "now": now}
        return (await self._connection.execute(_REVOKE_KEY, parameters)).rowcount == 1

    async def revoke_others(self, label: str, key_hash: bytes, now: datetime) -> None:
        """Revokes the keys with this label but the one given."""
        parameters = {"site_id": self._site_id, "label": label, "key_hash": key_hash, "now": now}
        await self._connection.execute(_REVOKE_LABEL, parameters)
