"""Under whatever weather: every refund ends, none is paid twice, nothing is told twice, and nobody's money is lost."""

import os
import sys

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database_clock import DatabaseClock
from tests.settling.simulation import Ground, simulate, simulate_until_unharmed

SEEDS = range(200) if os.environ.get("KMR_LONG") else range(8)
MORE = range(1_000, 1_012)
# Once red, for ever tried: a refund that 支付宝 had neither made nor refused was never asked for again.
RED = (2, 7)
ENDS = {
    f"ended {state} at {channel}"
    for state, channel in (
        ("succeeded", "wechat_pay"),
        ("succeeded", "alipay"),
        ("succeeded", "unionpay"),
        ("succeeded", "bank_card"),
        ("closed", "wechat_pay"),
        ("closed", "unionpay"),
    )
}
PEOPLE = {"retry", "closed as rejected", "sent elsewhere", "paid elsewhere", "not retried before it stopped"}


async def test_every_refund_ends_and_none_twice(engine: AsyncEngine, clock: DatabaseClock) -> None:
    ground = Ground(engine, clock)
    tally = await simulate(ground, sorted({*SEEDS, *RED}), say=sys.stdout.write)
    await simulate_until_unharmed(ground, tally, MORE, say=sys.stdout.write)
    assert tally.red == {}
    # It saw something of everything, and every place where a worker can end has ended one.
    assert tally.met.keys() >= {"killed", "slept beyond its lease", "notice", "forged notice", *PEOPLE, *ENDS}
    assert tally.unlisted == [], "a new point: put it into the list"
    assert tally.unharmed == [], "nobody ended there"
