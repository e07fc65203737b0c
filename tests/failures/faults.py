"""Mistakes that services like this one are made with, planted one by one in the process under test.

Each is a handful of names that mean something else, and what it takes of the database.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import TextClause

from app.api import dependencies, problems
from app.api.answers import json_answer
from app.errors import Unavailable
from app.sealing import Sealer
from app.services import idempotency
from app.services.idempotency import Reply
from app.store import cases, engine, records
from app.store import idempotency as keys
from app.store.engine import Connection, Engine, transaction
from app.store.statement import statement

PLANTED: Final = "PLANTED_FAULT"  # in the environment of the process under test: which fault it is to have
Plant = tuple[object, str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """`seen_by`: the harness that has to notice it. `statements` run before the service starts."""

    plants: tuple[Plant, ...]
    seen_by: str
    statements: tuple[str, ...] = ()


_CLAIM, _KEEP = idempotency.claim, idempotency.keep


async def _claim_nothing(*_: Any, **__: Any) -> None:
    return None


async def _only_look(
    connection: Connection, sealer: Sealer, site_id: UUID, key: str, request: bytes, *, now: datetime
) -> Reply | None:
    """Nothing is claimed; what was kept is given again."""
    found = (await connection.execute(keys._EARLIER, {"site_id": site_id, "key": key})).one_or_none()
    connection.info["claim"] = (sealer, site_id, key, request, now)
    return None if found is None else await _CLAIM(connection, sealer, site_id, key, request, now=now)


async def _keep_for_later(connection: Connection, _: Sealer, __: UUID, ___: str, reply: Reply) -> None:
    connection.info["later"] = reply


@asynccontextmanager
async def _kept_in_a_second_transaction(pool: Engine) -> AsyncIterator[Connection]:
    async with transaction(pool) as connection:
        yield connection
        later, claim = connection.info.pop("later", None), connection.info.pop("claim", None)
    if later is not None and claim is not None:
        sealer, site_id, key, request, now = claim
        async with transaction(pool) as second:
            if await _CLAIM(second, sealer, site_id, key, request, now=now) is None:
                await _KEEP(second, sealer, site_id, key, later)


async def _claimed_in_a_first_transaction(
    connection: Connection, sealer: Sealer, site_id: UUID, key: str, request: bytes, *, now: datetime
) -> Reply | None:
    async with transaction(connection.engine) as first:
        return await _CLAIM(first, sealer, site_id, key, request, now=now)


_KEPT: dict[str, Reply] = {}


async def _remembered(_: Connection, __: Sealer, ___: UUID, key: str, ____: bytes, *, now: datetime) -> Reply | None:
    return _KEPT.get(key)


async def _remember(_: Connection, __: Sealer, ___: UUID, key: str, reply: Reply) -> None:
    _KEPT[key] = reply


_LATER: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def _committed_after_the_answer(pool: Engine) -> AsyncIterator[Connection]:
    with engine.refusals():
        connection = await pool.connect()
        try:
            await connection.begin()
            yield connection
        except BaseException:
            await connection.close()
            raise
    task = asyncio.create_task(_commit(connection))
    _LATER.add(task)
    task.add_done_callback(_LATER.discard)


async def _commit(connection: Connection) -> None:
    try:
        await connection.commit()
    finally:
        await connection.close()


@asynccontextmanager
async def _whatever_becomes_of_the_commit(pool: Engine) -> AsyncIterator[Connection]:
    is_done = False
    try:
        async with transaction(pool) as connection:
            yield connection
            is_done = True
    except Unavailable:
        if not is_done:
            raise


def _replaced(original: TextClause, pattern: str, by: str) -> TextClause:
    """A statement that says something else; AssertionError where there is nothing to replace."""
    changed, number = re.subn(pattern, by, original.text)
    assert number, f"no {pattern!r} in the statement"
    return statement(changed)


def _unlocked(original: TextClause) -> TextClause:
    return _replaced(original, r"FOR UPDATE( OF t)?", "")


def _nothing_is_locked() -> tuple[Plant, ...]:
    return (
        *((cases, name, _unlocked(getattr(cases, name))) for name in ("LOCK", "LOCK_ORDER", "READ")),
        (records, "_PUT", {kind: _unlocked(put) for kind, put in records._PUT.items() if "FOR UPDATE" in put.text}),
        (records, "_PUT_ALL", _unlocked(records._PUT_ALL)),
    )


_WHEN_NOBODY_HAS_IT = """
    INSERT INTO idempotency_keys (site_id, key, fingerprint, created_at)
    SELECT :site_id, :key, :fingerprint, :now
    WHERE NOT EXISTS (SELECT FROM idempotency_keys WHERE site_id = :site_id AND key = :key) RETURNING true"""
_UNCHECKED = "ALTER TABLE payments DROP CONSTRAINT ck_payments_within_amount"
_REPLAYED = {"Idempotency-Replayed": "true"}
_WRITES = ("FILE", "ADVANCE")
_ADDED, _SUM = r"reserved_amount = p\.reserved_amount \+ asked\.amount", "reserved_amount = "

FAULTS: Final[dict[str, Fault]] = {
    "the answer is kept in a second transaction, after the commit": Fault(
        (
            (idempotency, "claim", _only_look),
            (idempotency, "keep", _keep_for_later),
            (dependencies, "transaction", _kept_in_a_second_transaction),
        ),
        "commits",
    ),
    "the key is claimed in a first transaction, before the effect": Fault(
        ((idempotency, "claim", _claimed_in_a_first_transaction),), "commits"
    ),
    "answers are remembered by the process": Fault(
        ((idempotency, "claim", _remembered), (idempotency, "keep", _remember)), "commits"
    ),
    "a lost connection is answered 500": Fault(
        ((engine, "_refusal_of", lambda _: None), (problems, "refusal_for", lambda _: None)), "commits"
    ),
    "503 does not say when to come again": Fault(((problems, "_headers", lambda _: {}),), "commits"),
    "the answer goes out before the commit": Fault(
        ((dependencies, "transaction", _committed_after_the_answer),), "commits"
    ),
    "a commit that fails is passed over": Fault(
        ((dependencies, "transaction", _whatever_becomes_of_the_commit),), "commits"
    ),
    "a key is claimed by nobody": Fault(((idempotency, "claim", _claim_nothing),), "keys"),
    "a key is not unique": Fault(
        (
            (keys, "_CLAIM", statement(_WHEN_NOBODY_HAS_IT)),
            (keys, "_EARLIER", statement(f"{keys._EARLIER.text} LIMIT 1")),
        ),
        "keys",
        ("ALTER TABLE idempotency_keys DROP CONSTRAINT pk_idempotency_keys",),
    ),
    "each process has keys of its own": Fault(
        ((idempotency, "claim", _remembered), (idempotency, "keep", _remember)), "keys"
    ),
    "a replay is answered in other words": Fault(
        ((dependencies, "_replayed", lambda found: json_answer({"status": "done"}, found.status, _REPLAYED)),), "keys"
    ),
    "nothing is locked or checked": Fault(_nothing_is_locked(), "money", (_UNCHECKED,)),
    "the database checks nothing": Fault((), "money", (_UNCHECKED,)),
    "a promise is not reserved": Fault(
        tuple((cases, name, _replaced(getattr(cases, name), _ADDED, f"{_SUM}p.reserved_amount")) for name in _WRITES),
        "money",
        (_UNCHECKED,),
    ),
    "the last promise alone is reserved": Fault(
        tuple((cases, name, _replaced(getattr(cases, name), _ADDED, f"{_SUM}asked.amount")) for name in _WRITES),
        "money",
    ),
}
