"""The queue of what waits for a person."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.dependencies import CasesCaller, Transaction, refuse_unknown_parameters
from app.api.pages import cursor_of, position_of
from app.api.schemas.reviews import ReviewPageOut, ReviewQuery
from app.services.reviews import queue
from app.store.case_rows import CasePosition
from app.store.reviews import ReviewFilter, ReviewPosition, ReviewStore

router = APIRouter(prefix="/v1/reviews", tags=["oversight"], dependencies=[Depends(refuse_unknown_parameters)])


@router.get("", summary="待人工处理队列 · What waits for a person", response_model=ReviewPageOut)
async def page_of_reviews(
    connection: Transaction, caller: CasesCaller, query: Annotated[ReviewQuery, Query()]
) -> Response:
    """Cases that wait for a person (`in_review`, `appealed`, `refund_failed`), the oldest promise first, then by id.

    待人工处理的案件（含退款受阻的），承诺时限最早的在前。

    To read the queue takes the scope `cases`; to rule on a case takes `rule`.
    查看队列需 `cases` 权限，作出裁定需 `rule` 权限。
    """
    wanted = ReviewFilter(caller.now, query.merchant, query.reason, query.overdue)
    reviews = ReviewStore(connection, caller.site.site_id)
    data, last = await queue(wanted, reviews, limit=query.limit, after=_read(query.cursor))
    return json_answer({"data": data, "next_cursor": _written(last)})


def _read(cursor: str | None) -> ReviewPosition | None:
    """An instant and a case, as in the cursor of the list of cases; here the instant is the promise."""
    found = position_of(cursor)
    return None if found is None else ReviewPosition(found.created_at, found.case_id)


def _written(last: ReviewPosition | None) -> str | None:
    return cursor_of(None if last is None else CasePosition(last.promised_by, last.case_id))
