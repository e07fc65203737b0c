"""Where the database ends one transaction in favour of another, the request is run again, and is done once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.store.engine import ATTEMPTS
from tests.api import bodies
from tests.api.conftest import Access

# A sequence counts what a rollback undoes.
COLLIDING = """
CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('collisions') <= {times} THEN RAISE EXCEPTION USING ERRCODE = '{state}'; END IF;
    RETURN NEW;
END $$
"""


Opened = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture(params=["IMMEDIATE", "DEFERRED"], ids=["as it is written", "at the commit"])
def colliding(engine: AsyncEngine, request: pytest.FixtureRequest) -> Opened:
    """`async with colliding(times, state)`: filing collides so many times."""
    trigger = f"CONSTRAINT TRIGGER collides AFTER INSERT ON cases DEFERRABLE INITIALLY {request.param} FOR EACH ROW"

    @asynccontextmanager
    async def opened(times: int, state: str = "40P01") -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE SEQUENCE collisions"))
            await connection.execute(text(COLLIDING.format(times=times, state=state)))
            await connection.execute(text(f"CREATE {trigger} EXECUTE FUNCTION collide()"))
        yield
        async with engine.begin() as connection:
            await connection.execute(text("DROP TRIGGER collides ON cases"))

    return opened


async def counted(engine: AsyncEngine, table: str) -> Any:
    async with engine.connect() as connection:
        return await connection.scalar(text(f"SELECT count(*) FROM {table}"))


@pytest.mark.parametrize("state", ["40P01", "40001"])
async def test_what_collides_twice_is_done_once(
    site: Access, engine: AsyncEngine, colliding: Opened, state: str
) -> None:
    body = bodies.filing()
    async with colliding(ATTEMPTS - 1, state):
        answer = await site.post("/v1/cases", body, once="k-1")
    assert answer.status_code == 201
    assert [await counted(engine, table) for table in ("cases", "refunds", "idempotency_keys")] == [1, 1, 1]
    filed = (await site.get("/v1/events?type=case.filed")).json()["data"]
    assert len(filed) == 1
    again = await site.post("/v1/cases", body, once="k-1")
    assert (again.status_code, again.content) == (201, answer.content)


async def test_what_goes_on_colliding_is_refused_and_leaves_nothing(
    site: Access, engine: AsyncEngine, colliding: Opened
) -> None:
    async with colliding(ATTEMPTS):
        answer = await site.post("/v1/cases", bodies.filing(), once="k-1")
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    assert [await counted(engine, table) for table in ("cases", "refunds", "idempotency_keys")] == [0, 0, 0]
    assert (await site.post("/v1/cases", bodies.filing(), once="k-1")).status_code == 201


async def test_other_refusals_are_not_tried_again(site: Access, engine: AsyncEngine, colliding: Opened) -> None:
    async with colliding(ATTEMPTS, "55P03"):
        answer = await site.post("/v1/cases", bodies.filing(), once="k-1")
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT last_value FROM collisions")) == 1


async def test_no_connection_is_kept_by_an_attempt_that_is_over(site: Access, colliding: Opened) -> None:
    """Held until the end of the request, those of the attempts before would use up the pool of 20."""
    async with colliding(1000):
        filings = [site.post("/v1/cases", bodies.filing(f"A-{n}"), once=f"k-{n}") for n in range(12)]
        answers = await asyncio.gather(*filings)
    assert [answer.json()["code"] for answer in answers] == ["busy"] * 12
