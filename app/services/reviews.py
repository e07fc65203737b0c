"""The queue of a site's after-sales desk: what waits for a person, by when it was promised, and what is at stake."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from app.rules.amounts import most_grantable
from app.rules.decision import instant
from app.rules.lifecycle import CaseStatus
from app.rules.standing import read_standing
from app.services.assembling import facts_from
from app.services.policies import policy_of_case
from app.services.showing import case_summary
from app.store.case_rows import ActRow
from app.store.reviews import ReviewFilter, ReviewPosition, ReviewRow, ReviewStore


async def queue(
    wanted: ReviewFilter, reviews: ReviewStore, *, limit: int, after: ReviewPosition | None
) -> tuple[list[dict[str, Any]], ReviewPosition | None]:
    """A page of what waits, the oldest promise first, and where it ends if there is more."""
    rows = await reviews.page(wanted, limit=limit + 1, after=after)
    page = rows[:limit]
    last = ReviewPosition(page[-1].promised_by, page[-1].case.case_id) if len(rows) > limit else None
    return [review_document(row, wanted.now) for row in page], last


def review_document(row: ReviewRow, now: datetime) -> dict[str, Any]:
    """A case that waits for a person; the instant of a promise itself is still in time."""
    since = row.case.review_started_at
    return {
        "case": case_summary(row.case),
        "task": "repair" if row.case.status is CaseStatus.REFUND_FAILED else "ruling",
        "promised_by": instant(row.promised_by),
        "overdue": row.promised_by < now,
        "waiting_since": None if since is None else instant(since),
        "amount_at_stake": amount_at_stake(row, now),
        "decisive_rule": row.decisive_rule,
        "proposal": None if row.proposal is None else _proposal(row.proposal),
    }


def amount_at_stake(row: ReviewRow, now: datetime) -> int | None:
    """The most that a ruling could grant, in fen, by the facts of the latest decision; None before there is one."""
    if row.facts is None:
        return None
    facts = replace(facts_from(row.facts), as_of=now)
    return most_grantable(read_standing(facts, policy_of_case(row.case)))


def _proposal(act: ActRow) -> dict[str, Any]:
    said = act.details
    return {
        "outcome": said["outcome"],
        "code": said["code"],
        "text": said["text"],
        "amount": said["amount"],
        "by": act.by,
        "at": instant(act.created_at),
    }
