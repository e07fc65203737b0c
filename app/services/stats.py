"""What a site's cases of a period tell: how many, how they ended, how fast, and which promises were kept."""

from datetime import datetime, timedelta
from typing import Any, Final

from app.errors import Fault, Invalid, Place
from app.rules.decision import instant
from app.rules.facts import Reason, Ruled
from app.rules.findings import Outcome
from app.rules.lifecycle import CaseStatus
from app.store.stats import MerchantTally, Period, Promise, Stats, StatsStore, Tally
from app.store.stats_sql import PROMISES

USUAL_PERIOD: Final = timedelta(days=30)
LONGEST_PERIOD: Final = timedelta(days=366)
MOST_CASES: Final = 100_000
_NEVER: Final = Promise(0, 0, 0)


def period_of(
    since: datetime | None, until: datetime | None, merchant_id: str | None, reason: Reason | None, *, now: datetime
) -> Period:
    """The period that is asked for: until now, and thirty days long, unless something else is said.

    Raises Invalid where it is empty or longer than 366 days.
    """
    until = until or now
    since = since or until - USUAL_PERIOD
    if since >= until:
        raise _unusable("period_empty", en="from must lie before to.", zh="from 须早于 to。")
    if until - since > LONGEST_PERIOD:
        days = LONGEST_PERIOD.days
        raise _unusable(
            "period_too_long", en=f"At most {days} days may lie between from and to.", zh=f"统计期间最长 {days} 天。"
        )
    return Period(since, until, merchant_id, reason)


async def stats_of(period: Period, stats: StatsStore) -> dict[str, Any]:
    """The numbers of a period in plain values. Raises Invalid where there are more than MOST_CASES cases in it."""
    found = await stats.read(period, most=MOST_CASES)
    if found.scanned > MOST_CASES:
        raise _unusable(
            "too_many_cases",
            en=f"More than {MOST_CASES} cases were created in this period; ask for a shorter one, or for one merchant.",
            zh=f"该期间案件超过 {MOST_CASES} 件，请缩短期间或指定商家。",
        )
    return stats_document(period, found)


def stats_document(period: Period, found: Stats) -> dict[str, Any]:
    """All numbers, and what they were counted over."""
    return {
        "from": instant(period.since),
        "to": instant(period.until),
        "cases": found.cases,
        "by_status": {status.value: found.by_status.get(status, 0) for status in CaseStatus},
        "by_outcome": {outcome.value: found.by_outcome.get(outcome, 0) for outcome in Outcome},
        "approval_rate": _rate(found.approved, found.approved + found.rejected),
        "seconds_to_decision": {"median": found.median_seconds, "p90": found.p90_seconds},
        "amount_granted": found.amount_granted,
        "deadlines": [_deadline(name, found.deadlines.get(name, _NEVER)) for name in PROMISES],
        "rulings": {ruled.value: found.rulings.get(ruled, 0) for ruled in Ruled},
        "overturned": [{"rule": rule, "rulings": n} for rule, n in sorted(found.overturned.items(), key=_most_first)],
        "appeals": {"made": found.appeals, "granted": found.appeals_granted},
        "merchants": [_merchant(tally) for tally in found.merchants],
        "reasons": [{"reason": tally.key, **_tally(tally)} for tally in found.reasons],
    }


def _deadline(name: str, promise: Promise) -> dict[str, Any]:
    return {
        "name": name,
        "kept": promise.kept,
        "missed": promise.missed,
        "running": promise.running,
        "kept_rate": _rate(promise.kept, promise.kept + promise.missed),
    }


def _merchant(tally: MerchantTally) -> dict[str, Any]:
    return {
        "merchant_id": tally.key,
        **_tally(tally),
        "orders": tally.orders,
        "refund_rate": _rate(tally.orders_refunded, tally.orders),
    }


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "cases": tally.cases,
        "approved": tally.approved,
        "rejected": tally.rejected,
        "approval_rate": _rate(tally.approved, tally.approved + tally.rejected),
        "amount_granted": tally.amount_granted,
    }


def _rate(numerator: int, denominator: int) -> dict[str, Any]:
    """A share to four decimal places, and what it was made of; None of nothing."""
    value = None if denominator == 0 else round(numerator / denominator, 4)
    return {"value": value, "numerator": numerator, "denominator": denominator}


def _most_first(counted: tuple[str, int]) -> tuple[int, str]:
    return -counted[1], counted[0]


def _unusable(code: str, *, en: str, zh: str) -> Invalid:
    return Invalid(Fault("from", code, en, zh, Place.PARAMETER))
