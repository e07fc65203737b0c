"""The numbers of a site."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.dependencies import CasesCaller, Transaction, refuse_unknown_parameters
from app.api.schemas.stats import StatsOut
from app.api.text import Identifier, Instant
from app.rules.facts import Reason
from app.services.stats import period_of, stats_of
from app.store.stats import StatsStore

router = APIRouter(prefix="/v1/stats", tags=["oversight"], dependencies=[Depends(refuse_unknown_parameters)])

From = Annotated[
    Instant | None, Query(alias="from", description="期间起（含） · Left out: thirty days before the end.")
]
To = Annotated[Instant | None, Query(description="期间止（不含） · Left out: now. At most 366 days after the begin.")]
OfMerchant = Annotated[Identifier | None, Query(description="商家编号.")]
WithReason = Annotated[Reason | None, Query(description="退款事由.")]


@router.get("", summary="统计 · Statistics", response_model=StatsOut)
async def read_stats(
    connection: Transaction,
    caller: CasesCaller,
    *,
    from_: From = None,
    to: To = None,
    merchant: OfMerchant = None,
    reason: WithReason = None,
) -> Response:
    """How the cases created in a period went, as they stand now, overall, by merchant and by reason.

    统计期间内创建的案件及其当前状态，可按商家、事由筛选。A case belongs to the period in which it was created,
    whenever it was decided, so that the numbers of a period that is over change only as its last cases end.
    More than 100,000 cases in a period are refused with 422: ask for a shorter one, or for one merchant.
    """
    period = period_of(from_, to, merchant, reason, now=caller.now)
    return json_answer(await stats_of(period, StatsStore(connection, caller.site.site_id)))
