"""A request with an `Idempotency-Key` takes effect once, and is answered alike each time."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.errors import IdempotencyKeyReused
from app.sealing import Sealer
from app.store.engine import Connection
from app.store.idempotency import IdempotencyStore

KEPT_FOR: Final = timedelta(hours=48)
PURGED_AT_ONCE: Final = 500
_COLUMN: Final = "idempotency_keys.answer"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that can be given again, byte for byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def fingerprint(method: str, path: str, body: object) -> bytes:
    """SHA-256 of what makes two requests the same: method, path and parsed body (None for no body).

    White space and the order of keys do not matter.
    """
    document = json.dumps([method.upper(), path, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(document.encode("ascii")).digest()


async def claim(
    connection: Connection, sealer: Sealer, site_id: UUID, key: str, request: bytes, *, now: datetime
) -> Reply | None:
    """None if this request is the first with `key` and may go on; else the answer to give again.

    IdempotencyKeyReused if the first was another request, IdempotencyKeyInUse if it is still running.
    """
    earlier = await IdempotencyStore(connection, site_id).claim(key, request, now)
    if earlier is None:
        return None
    if earlier.fingerprint != request:
        raise IdempotencyKeyReused
    return Reply(earlier.status, earlier.headers, sealer.open(earlier.answer, site=site_id, column=_COLUMN))


async def keep(connection: Connection, sealer: Sealer, site_id: UUID, key: str, reply: Reply) -> None:
    """Stores the answer to the request that claimed `key`, in the transaction of its effect."""
    sealed = sealer.seal(reply.body, site=site_id, column=_COLUMN)
    await IdempotencyStore(connection, site_id).answer(key, status=reply.status, headers=reply.headers, sealed=sealed)


async def purge(connection: Connection, site_id: UUID, now: datetime) -> int:
    """Forgets one batch of keys older than 48 hours; answers with how many there were."""
    return await IdempotencyStore(connection, site_id).purge(before=now - KEPT_FOR, limit=PURGED_AT_ONCE)
