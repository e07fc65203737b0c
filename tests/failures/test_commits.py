"""B3: whatever becomes of the reply to COMMIT, a client that tries again finds one effect, and never a 500."""

from collections import deque

import asyncpg
import pytest

from tests.failures.commits import REPLIES, lose_commits
from tests.failures.operations import OPERATIONS
from tests.failures.proxy import Accident, Cut, Loss, lossy
from tests.failures.size import seeds, sized

RED_SEEDS: tuple[int, ...] = ()
SAMPLE = 54
CUTS = pytest.mark.parametrize("cut", Cut)


@pytest.mark.parametrize("seed", seeds(RED_SEEDS))
async def test_whatever_is_lost_around_a_commit_the_retry_finds_one_effect(database_url: str, seed: int) -> None:
    wanted = sized(SAMPLE, REPLIES)
    report = await lose_commits(database_url, wanted, seed)
    assert not report.faults, str(report)
    assert report.counts["replies lost"] >= wanted
    lost = sum(number for what, number in report.counts.items() if " lost, " in what)
    assert report.counts["answers 503"] == lost > report.counts["replies lost"], str(report)
    assert sum(report.counts[f"answers {status}"] for status in (200, 201)) > len(OPERATIONS)


@CUTS
async def test_the_proxy_loses_the_reply_to_what_counts(database_url: str, cut: Cut) -> None:
    assert await _after(database_url, Accident(Loss.REPLY, cut)) == [1]


@CUTS
async def test_the_proxy_loses_a_commit_that_never_counts(database_url: str, cut: Cut) -> None:
    assert await _after(database_url, Accident(Loss.COMMIT, cut)) == []


async def _after(database_url: str, accident: Accident) -> list[int]:
    """What is there after a row was written under a key whose COMMIT has this accident; the next one has none."""
    direct = database_url.replace("+asyncpg", "")
    watching = await asyncpg.connect(direct)
    await watching.execute("CREATE TABLE written (n integer)")
    async with lossy(direct) as (proxy, through):
        proxy.plan["lossy-row-1"] = deque([accident])
        unlucky = await asyncpg.connect(through)
        with pytest.raises((asyncpg.ConnectionDoesNotExistError, ConnectionError)):
            await _write(unlucky, 1)
        found = [row["n"] for row in await watching.fetch("SELECT n FROM written")]
        lucky = await asyncpg.connect(through)
        await _write(lucky, 2)
        assert await watching.fetchval("SELECT count(*) FROM written") == len(found) + 1
        assert proxy.happened == {accident: 1}
        await lucky.close()
    await watching.close()
    return found


async def _write(connection: asyncpg.Connection, n: int) -> None:
    async with connection.transaction():
        assert await connection.fetchval("SELECT $1::text", "lossy-row-1") == "lossy-row-1"
        await connection.execute("INSERT INTO written VALUES ($1)", n)
