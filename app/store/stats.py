"""How the cases of a period went, counted in the database in one statement."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from app.rules.facts import Reason
from app.store.stats_sql import counting


@dataclass(frozen=True, slots=True)
class Tally:
    """Cases of one merchant or reason: `approved` and `rejected` are decided; `amount_granted` in fen."""

    key: str
    cases: int
    approved: int
    rejected: int
    amount_granted: int


@dataclass(frozen=True, slots=True)
class MerchantTally(Tally):
    """`orders`: placed in the period; `orders_refunded`: those with a case granted for the merchant's fault."""

    orders: int
    orders_refunded: int


@dataclass(frozen=True, slots=True)
class Promise:
    """How often a deadline was kept and missed; `running`: it is not over, and nothing was done yet."""

    kept: int
    missed: int
    running: int


@dataclass(frozen=True, slots=True)
class Stats:
    """How the cases of a period went. Lengths in whole seconds, None where nothing was decided; money in fen.

    `scanned`: how many cases were in the period before those of the reason were picked.
    """

    scanned: int
    cases: int
    by_status: Mapping[str, int]
    by_outcome: Mapping[str, int]
    approved: int
    rejected: int
    median_seconds: int | None
    p90_seconds: int | None
    amount_granted: int
    deadlines: Mapping[str, Promise]
    rulings: Mapping[str, int]
    overturned: Mapping[str, int]
    appeals: int
    appeals_granted: int
    merchants: tuple[MerchantTally, ...]
    reasons: tuple[Tally, ...]


@dataclass(frozen=True, slots=True)
class Period:
    """Which cases to count: those created from `since`, before `until`. None is no restriction."""

    since: datetime
    until: datetime
    merchant_id: str | None = None
    reason: Reason | None = None


_STATS = TypeAdapter(Stats)


class StatsStore:
    """The numbers of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def read(self, period: Period, *, most: int) -> Stats:
        """Counts a period; where `scanned` is more than `most`, it was left off there, and the numbers mean nothing."""
        parameters = {
            "site_id": self._site_id,
            "since": period.since,
            "until": period.until,
            "reason": None if period.reason is None else period.reason.value,
            "limit": most + 1,
        }
        of_merchant = ""
        if period.merchant_id is not None:
            of_merchant, parameters["merchant_id"] = "AND c.merchant_id = :merchant_id", period.merchant_id
        return _STATS.validate_json(await self._connection.scalar(counting(of_merchant), parameters))
