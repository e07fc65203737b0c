"""Under whatever weather: every refund ends, none is paid twice, nothing is told twice, and nobody's money is lost."""

import os
import sys

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database_clock import DatabaseClock
from tests.settling.simulation import POINTS, Ground, simulate

# Together they end a worker at every point of the list.
SEEDS = range(200) if os.environ.get("KMR_LONG") else range(14)
# Once red, for ever tried: a refund that 支付宝 had neither made nor refused was never asked for again.
RED = (2, 7)
ENDS = {
    f"ended {state} at {channel}"
    for state, channel in (
        ("succeeded", "wechat_pay"),
        ("succeeded", "alipay"),
        ("succeeded", "unionpay"),
        ("succeeded", "bank_card"),
        ("abnormal", "unionpay"),
        ("closed", "wechat_pay"),
    )
}


async def test_every_refund_ends_and_none_twice(engine: AsyncEngine, clock: DatabaseClock) -> None:
    seeds = sorted({*SEEDS, *RED})
    tally = await simulate(Ground(engine, clock), seeds, say=sys.stdout.write)
    assert tally.red == {}
    # It saw something of everything, and every place where a worker can end has ended one.
    assert tally.met.keys() >= {"killed", "notice", "forged notice", "retry", *ENDS}
    assert sorted(tally.seen.keys() - set(POINTS)) == [], "a new point: put it into the list"
    assert sorted(set(POINTS) - tally.crashed.keys()) == [], "nobody ended there"
