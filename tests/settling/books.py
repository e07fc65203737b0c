"""All that the service has written down of a site's refunds, read in one go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text

from tests.settling.scene import Scene

Row = Mapping[str, Any]

_OF_SITE: Final = "WHERE site_id = :site_id"
_QUERIES: Final = tuple(
    text(query)
    for query in (
        f"SELECT * FROM refunds {_OF_SITE} ORDER BY refund_id",
        f"SELECT * FROM payments {_OF_SITE} ORDER BY payment_no",
        f"SELECT * FROM refund_reports {_OF_SITE} ORDER BY refund_id, n",
        f"SELECT type, full_data FROM events {_OF_SITE} AND type LIKE 'refund.%'",
        f"""
        SELECT case_id, status, (
            SELECT CAST(body AS json) -> 'refund' ->> 'funding' FROM decisions d
            WHERE d.site_id = c.site_id AND d.case_id = c.case_id ORDER BY n DESC LIMIT 1
        ) AS funding
        FROM cases c {_OF_SITE} ORDER BY case_id""",
        f"SELECT * FROM case_acts {_OF_SITE} AND kind LIKE 'refund%' ORDER BY case_id, n",
        f"SELECT * FROM deposit_accounts {_OF_SITE} ORDER BY merchant_id",
        f"SELECT * FROM deposit_entries {_OF_SITE} ORDER BY merchant_id, n",
        """
        SELECT channel, day FROM channel_bills b JOIN channel_accounts a USING (site_id, account_id)
        WHERE site_id = :site_id AND b.state = 'missing' ORDER BY channel, day""",
    )
)


@dataclass(frozen=True, slots=True)
class Books:
    """`events`: of refunds; `acts`: what people did about refunds; `accounts` and `entries` of deposits.

    `unread`: the days whose bill is known to be missing.
    """

    refunds: Sequence[Row]
    payments: Sequence[Row]
    reports: Sequence[Row]
    events: Sequence[Row]
    cases: Sequence[Row]
    acts: Sequence[Row]
    accounts: Sequence[Row]
    entries: Sequence[Row]
    unread: Sequence[Row]

    def over(self, payment_no: str) -> list[Row]:
        """The refunds over a payment."""
        return [row for row in self.refunds if row["payment_no"] == payment_no]

    def of(self, case: Row) -> list[Row]:
        """The refunds of a case."""
        return [row for row in self.refunds if row["case_id"] == case["case_id"]]

    def said_of(self, refund: Row) -> list[Row]:
        """The reports of a refund."""
        return [each for each in self.reports if each["refund_id"] == refund["refund_id"]]


async def refunds_of(scene: Scene) -> list[Row]:
    """The refunds alone."""
    return await scene.all(_QUERIES[0], site_id=scene.site_id)


async def books(scene: Scene) -> Books:
    """As they are now."""
    async with scene.engine.connect() as connection:
        read = [await connection.execute(query, {"site_id": scene.site_id}) for query in _QUERIES]
    return Books(*([dict(row._mapping) for row in rows] for rows in read))


def is_back_elsewhere(refund: Row) -> bool:
    """Closed, since the buyer has the money by another way."""
    return (refund["state"], refund["failure_code"]) == ("closed", "refunded_elsewhere")
