"""Requests that must not take effect twice: the key is claimed in the transaction of the effect."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Row, exc
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import IdempotencyKeyInUse
from app.store.engine import LOCK_NOT_AVAILABLE, sqlstate
from app.store.statement import statement

_HEADERS = TypeAdapter(Mapping[str, str])

# A row that is being inserted by somebody else makes this wait until that transaction ends, or the lock time-out.
_CLAIM = statement("""
    INSERT INTO idempotency_keys (site_id, key, fingerprint, created_at) VALUES (:site_id, :key, :fingerprint, :now)
    ON CONFLICT (site_id, key) DO NOTHING RETURNING true""")
_EARLIER = statement("""
    SELECT fingerprint, status, CAST(headers AS text) AS headers, answer FROM idempotency_keys
    WHERE site_id = :site_id AND key = :key""")
_ANSWER = statement("""
    UPDATE idempotency_keys SET status = :status, headers = CAST(:headers AS jsonb), answer = :answer
    WHERE site_id = :site_id AND key = :key""")
_PURGE = statement("""
    DELETE FROM idempotency_keys WHERE site_id = :site_id AND key = ANY(ARRAY(
        SELECT key FROM idempotency_keys WHERE site_id = :site_id AND created_at < :before
        ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED))""")


@dataclass(frozen=True, slots=True)
class Earlier:
    """The first request with this key, and its answer (`answer` sealed)."""

    fingerprint: bytes
    status: int
    headers: Mapping[str, str]
    answer: bytes


class IdempotencyStore:
    """The idempotency keys of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def claim(self, key: str, fingerprint: bytes, now: datetime) -> Earlier | None:
        """None if the key is ours now, else what it was used for before.

        Waits while another transaction holds it; IdempotencyKeyInUse if that takes too long.
        """
        own = {"site_id": self._site_id, "key": key}
        try:
            claimed = await self._connection.scalar(_CLAIM, {**own, "fingerprint": fingerprint, "now": now})
        except exc.DBAPIError as error:
            if sqlstate(error) == LOCK_NOT_AVAILABLE:
                raise IdempotencyKeyInUse from error
            raise
        if claimed:
            return None
        return _earlier((await self._connection.execute(_EARLIER, own)).one_or_none())

    async def answer(self, key: str, *, status: int, headers: Mapping[str, str], sealed: bytes) -> None:
        """Keeps the answer of the request that claimed `key`."""
        parameters = {"site_id": self._site_id, "key": key, "status": status, "answer": sealed}
        await self._connection.execute(_ANSWER, {**parameters, "headers": _HEADERS.dump_json(headers).decode()})

    async def purge(self, *, before: datetime, limit: int) -> int:
        """Forgets keys claimed before that instant, oldest first; answers with how many."""
        parameters = {"site_id": self._site_id, "before": before, "limit": limit}
        return (await self._connection.execute(_PURGE, parameters)).rowcount


def _earlier(row: Row[Any] | None) -> Earlier:
    if row is None or row.status is None:
        # Purged at this very moment, or committed without an answer: either way nothing can be replayed yet.
        raise IdempotencyKeyInUse
    return Earlier(row.fingerprint, row.status, _HEADERS.validate_json(row.headers), row.answer)
