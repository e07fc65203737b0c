"""A request with a key takes effect once."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import IdempotencyKeyReused
from app.sealing import Sealer
from app.services import idempotency
from app.services.idempotency import Reply, fingerprint
from app.store.engine import transaction
from tests.store.rows import NOW, OTHER_SITE, SITE

SEALER = Sealer(bytes(32))
REPLY = Reply(201, {"ETag": '"1"', "Location": "/v1/cases/1"}, '{"id":"卡"}'.encode())
REQUEST = fingerprint("POST", "/v1/cases", {"a": 1})

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), documents, max_size=5))
def test_the_order_of_keys_makes_no_difference(body: dict[str, object]) -> None:
    assert fingerprint("post", "/v1/cases", dict(reversed(body.items()))) == fingerprint("POST", "/v1/cases", body)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/cases", {"a": 1}),
        ("POST", "/v1/cases/1", {"a": 1}),
        ("POST", "/v1/cases", {"a": 2}),
        ("POST", "/v1/cases", {"a": "1"}),
        ("POST", "/v1/cases", {"a": True}),
        ("POST", "/v1/cases", {"a": 1.0}),
        ("POST", "/v1/cases", [{"a": 1}]),
        ("POST", "/v1/cases", None),
    ],
)
def test_any_other_difference_is_another_request(method: str, path: str, body: object) -> None:
    assert fingerprint(method, path, body) != REQUEST


async def test_the_same_request_gets_the_same_bytes(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        assert await idempotency.claim(connection, SEALER, SITE, "k", REQUEST, now=NOW) is None
        await idempotency.keep(connection, SEALER, SITE, "k", REPLY)
    async with transaction(engine) as connection:
        assert await idempotency.claim(connection, SEALER, SITE, "k", REQUEST, now=NOW) == REPLY
        assert await idempotency.claim(connection, SEALER, OTHER_SITE, "k", REQUEST, now=NOW) is None


async def test_another_request_with_the_key_is_refused(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await idempotency.claim(connection, SEALER, SITE, "k", REQUEST, now=NOW)
        await idempotency.keep(connection, SEALER, SITE, "k", REPLY)
        other = fingerprint("POST", "/v1/cases", {"a": 2})
        with pytest.raises(IdempotencyKeyReused):
            await idempotency.claim(connection, SEALER, SITE, "k", other, now=NOW)


async def test_an_answer_lies_sealed(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await idempotency.claim(connection, SEALER, SITE, "k", REQUEST, now=NOW)
        await idempotency.keep(connection, SEALER, SITE, "k", REPLY)
        stored = await connection.scalar(text("SELECT answer FROM idempotency_keys"))
    assert REPLY.body not in stored
    assert len(stored) == len(REPLY.body) + 36


async def test_of_many_at_once_one_executes_and_the_others_replay(engine: AsyncEngine) -> None:
    executed = 0

    async def request() -> Reply:
        nonlocal executed
        async with transaction(engine) as connection:
            replay = await idempotency.claim(connection, SEALER, SITE, "k", REQUEST, now=NOW)
            if replay is not None:
                return replay
            executed += 1
            await idempotency.keep(connection, SEALER, SITE, "k", REPLY)
            return REPLY

    assert await asyncio.gather(*(request() for _ in range(16))) == [REPLY] * 16
    assert executed == 1


async def test_a_request_that_failed_leaves_its_key_free(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await idempotency.claim(connection, SEALER, SITE, "k", REQUEST, now=NOW)
        await connection.rollback()
    async with transaction(engine) as connection:
        assert await idempotency.claim(connection, SEALER, SITE, "k", b"another", now=NOW) is None


async def test_a_key_is_kept_for_two_days(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await idempotency.claim(connection, SEALER, SITE, "k", REQUEST, now=NOW)
        assert await idempotency.purge(connection, SITE, NOW + idempotency.KEPT_FOR) == 0
        later = NOW + idempotency.KEPT_FOR + timedelta(microseconds=1)
        assert await idempotency.purge(connection, SITE, later) == 1
