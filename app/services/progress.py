"""How a case's row changes with a step: its status, and the moments that its limits count from."""

from dataclasses import replace
from datetime import datetime

from app.rules.facts import Course, Ruling
from app.rules.lifecycle import FOR_A_PERSON, WAITING_FOR_THE_BUYER, CaseStatus
from app.store.case_rows import CaseRow

# Money that comes back later ends nothing anew.
ENDED = frozenset({CaseStatus.APPROVED, CaseStatus.REJECTED, CaseStatus.WITHDRAWN, CaseStatus.LAPSED})


def moved(
    case: CaseRow, status: CaseStatus, now: datetime, *, appealed: bool = False, unasked: bool = False
) -> CaseRow:
    """The case in its next status, with the number of its next version.

    `unasked`: a person looked at it until now, and the merchant was not asked anything meanwhile.
    """
    is_back = case.status in WAITING_FOR_THE_BUYER and status not in WAITING_FOR_THE_BUYER
    is_back = is_back or (unasked and status is CaseStatus.AWAITING_MERCHANT)
    return replace(
        case,
        status=status,
        version=case.version + 1,
        updated_at=now,
        evidence_requested_at=_since(case.evidence_requested_at, now, status is CaseStatus.AWAITING_EVIDENCE),
        review_started_at=_since(case.review_started_at, now, status in FOR_A_PERSON),
        resumed_at=now if is_back or appealed else case.resumed_at,
        appealed_at=now if appealed else case.appealed_at,
        decided_at=case.decided_at or (now if status in ENDED else None),
    )


def course_of(
    case: CaseRow, now: datetime, *, appealed: bool = False, unasked: bool = False, ruling: Ruling | None = None
) -> Course:
    """What happened in the case that limits count from, for a judgement now; `unasked` as in `moved`."""
    is_back = appealed or unasked or case.status in WAITING_FOR_THE_BUYER
    return Course(
        evidence_requested_at=case.evidence_requested_at,
        review_started_at=case.review_started_at,
        resumed_at=now if is_back else case.resumed_at,
        appealed_at=now if appealed else case.appealed_at,
        ruling=ruling,
    )


def _since(started_at: datetime | None, now: datetime, goes_on: bool) -> datetime | None:
    return (started_at or now) if goes_on else None
