"""`POST /v1/adjudications`: judge facts that are all in the body; nothing is stored."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Query, Request
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.dependencies import AnyCaller, KeyHeader, Transaction, checked_key, refuse_unknown_parameters
from app.api.schemas.adjudications import EXAMPLES, AdjudicationIn
from app.api.schemas.decision import AdjudicationOut
from app.api.strict_route import StrictRoute
from app.rules.decision import decision_document, idle_document
from app.services.judging import adjudicate
from app.store.sites import SiteStore

router = APIRouter(prefix="/v1", tags=["adjudications"], route_class=StrictRoute)


@router.post(
    "/adjudications",
    summary="试算退款 · Judge facts, store nothing",
    response_model=AdjudicationOut,
    dependencies=[Depends(refuse_unknown_parameters)],
)
async def judge_facts(
    request: Request,
    body: Annotated[AdjudicationIn, Body(openapi_examples=EXAMPLES)],
    caller: AnyCaller,
    connection: Transaction,
    explain: Annotated[
        Literal["full"] | None,
        Query(description="解释 · `full` adds the rules that were looked at and did not fire, with why."),
    ] = None,
    _: KeyHeader = None,
) -> Response:
    """Can this be refunded? 把事实放在请求体中，返回裁定、认定、期限与凭据；不保存任何内容。

    The same facts, policy version and `as_of` always give the same bytes. Use it on checkout pages, before a buyer
    files, and to try a policy out. Since nothing is stored, an `Idempotency-Key` is checked for its form and has no
    further effect.
    """
    checked_key(request)
    decision = await adjudicate(body.facts(caller.now), body.policy, SiteStore(connection, caller.site.site_id))
    document = decision_document(decision)
    if explain is not None:
        document["idle_rules"] = idle_document(decision)
    return json_answer(document)
