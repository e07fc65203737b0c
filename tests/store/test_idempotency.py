"""Keys of requests: claimed by one, waited for by others, forgotten when they are old."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import IdempotencyKeyInUse
from app.store.engine import transaction
from app.store.idempotency import Earlier, IdempotencyStore
from tests.store.rows import NOW, OTHER_SITE, SITE, until_somebody_waits

PRINT = b"\x01" * 32


async def test_the_first_claims_and_the_next_learns_the_answer(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        store = IdempotencyStore(connection, SITE)
        assert await store.claim("k", PRINT, NOW) is None
        await store.answer("k", status=201, headers={"ETag": '"1"'}, sealed=b"sealed")
    async with transaction(engine) as connection:
        earlier = await IdempotencyStore(connection, SITE).claim("k", b"\x02" * 32, NOW)
        assert await IdempotencyStore(connection, OTHER_SITE).claim("k", PRINT, NOW) is None
    assert earlier == Earlier(PRINT, 201, {"ETag": '"1"'}, b"sealed")


async def test_the_loser_of_a_race_waits_and_then_replays(engine: AsyncEngine) -> None:
    async def claim() -> Earlier | None:
        async with transaction(engine) as connection:
            return await IdempotencyStore(connection, SITE).claim("k", PRINT, NOW)

    async with transaction(engine) as winner:
        store = IdempotencyStore(winner, SITE)
        await store.claim("k", PRINT, NOW)
        loser = asyncio.create_task(claim())
        await until_somebody_waits(engine)
        assert not loser.done()
        await store.answer("k", status=200, headers={}, sealed=b"first")
    assert await loser == Earlier(PRINT, 200, {}, b"first")


async def test_the_loser_goes_on_when_the_winner_gave_up(engine: AsyncEngine) -> None:
    async def claim() -> Earlier | None:
        async with transaction(engine) as connection:
            return await IdempotencyStore(connection, SITE).claim("k", PRINT, NOW)

    async with engine.connect() as winner:
        await IdempotencyStore(winner, SITE).claim("k", PRINT, NOW)
        loser = asyncio.create_task(claim())
        await until_somebody_waits(engine)
        await winner.rollback()
        assert await loser is None


async def test_a_key_whose_request_runs_on_is_in_use(engine: AsyncEngine) -> None:
    async def claim_impatiently() -> None:
        async with transaction(engine) as connection:
            await connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
            await IdempotencyStore(connection, SITE).claim("k", PRINT, NOW)

    async with transaction(engine) as winner:
        await IdempotencyStore(winner, SITE).claim("k", PRINT, NOW)
        with pytest.raises(IdempotencyKeyInUse):
            await claim_impatiently()


async def test_a_key_without_an_answer_cannot_be_replayed(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        store = IdempotencyStore(connection, SITE)
        await store.claim("k", PRINT, NOW)
        with pytest.raises(IdempotencyKeyInUse):
            await store.claim("k", PRINT, NOW)


async def test_old_keys_are_forgotten_in_batches(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        store = IdempotencyStore(connection, SITE)
        for n in range(5):
            await store.claim(f"k{n}", PRINT, NOW + timedelta(seconds=n))
        await IdempotencyStore(connection, OTHER_SITE).claim("k", PRINT, NOW)
        before = NOW + timedelta(seconds=3)
        assert [await store.purge(before=before, limit=2) for _ in range(3)] == [2, 1, 0]
        left = await connection.scalars(text("SELECT key FROM idempotency_keys ORDER BY key"))
    assert list(left) == ["k", "k3", "k4"]
