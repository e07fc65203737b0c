"""Cases as they stand: one, or a page of them."""

import json
from typing import Any
from uuid import UUID

from app.errors import NotFound
from app.services.showing import case_document
from app.store.case_rows import CaseFilter, CasePosition, CaseRow
from app.store.cases import CaseStore


async def get_case(case_id: UUID | None, cases: CaseStore) -> dict[str, Any]:
    """One case; NotFound for one that is not this site's."""
    view = None if case_id is None else await cases.get(case_id)
    if view is None:
        raise NotFound
    return case_document(view)


async def decisions_of(case_id: UUID | None, cases: CaseStore) -> list[dict[str, Any]]:
    """Every decision of a case, the first one first; NotFound for a case that is not this site's."""
    decisions = [] if case_id is None else await cases.decisions(case_id)
    if not decisions:
        raise NotFound
    return [{"n": n, "decision": json.loads(body)} for n, body in decisions]


async def list_cases(
    wanted: CaseFilter, cases: CaseStore, *, limit: int, after: CasePosition | None
) -> tuple[list[CaseRow], CasePosition | None]:
    """A page of cases, newest first, and where it ends if there are more."""
    rows = await cases.page(wanted, limit=limit + 1, after=after)
    page = rows[:limit]
    more = len(rows) > limit
    return page, CasePosition(page[-1].created_at, page[-1].case_id) if more else None
