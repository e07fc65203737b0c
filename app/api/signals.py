"""Signals about good faith: what the records showed about buyers and merchants, and what it does."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.dependencies import AnyCaller, CasesCaller, Transaction, refuse_unknown_parameters
from app.api.pages import cursor_after, last_of
from app.api.schemas.signals import BuyerStandingOut, SignalKindsOut, SignalPageOut, SignalQuery
from app.api.text import Identifier
from app.errors import Fault, Invalid, Place
from app.services.policies import active_policy
from app.services.signals import kinds_document, signal_document, standing_document, standing_of
from app.store.signals import SignalFilter, SignalStore
from app.store.sites import SiteStore

router = APIRouter(prefix="/v1", dependencies=[Depends(refuse_unknown_parameters)])

BuyerId = Annotated[
    Identifier, Path(description="买家编号 · The site's own.", openapi_examples={"example": {"value": "b-9"}})
]


@router.get("/signals", tags=["oversight"], summary="信用信号列表 · List signals", response_model=SignalPageOut)
async def page_of_signals(
    connection: Transaction, caller: CasesCaller, query: Annotated[SignalQuery, Query()]
) -> Response:
    """What the records showed about buyers and merchants, newest first, each with the rule that saw it.

    记录所反映的买家与商家信用信号，最新的在前；每条均注明规则与案件。A signal blocks nobody by itself.
    """
    _require_subject(query)
    wanted = SignalFilter(query.subject, query.id, query.kind, query.active)
    signals = SignalStore(connection, caller.site.site_id)
    rows = await signals.page(wanted, limit=query.limit + 1, after=last_of(query.cursor))
    page = rows[: query.limit]
    last = page[-1].signal_id if len(rows) > query.limit else None
    data = [signal_document(row, caller.now) for row in page]
    return json_answer({"data": data, "next_cursor": cursor_after(last)})


@router.get(
    "/buyers/{buyer_id}/standing",
    tags=["oversight"],
    summary="买家信用 · How a buyer stands",
    response_model=BuyerStandingOut,
)
async def read_standing(buyer_id: BuyerId, connection: Transaction, caller: CasesCaller) -> Response:
    """The strikes that count against a buyer now, the limit, and whether a person has to look at its claims.

    买家当前计入的失信记录、上限，以及是否仍可自动通过。At the limit nothing is refused: what would be approved
    automatically goes to a person. A buyer of whom nothing is known has no strikes.
    """
    site_id = caller.site.site_id
    policy = await active_policy(SiteStore(connection, site_id), caller.now)
    standing = await standing_of(buyer_id, SignalStore(connection, site_id), policy, caller.now)
    return json_answer(standing_document(standing))


@router.get(
    "/signal-kinds", tags=["catalogue"], summary="信用信号目录 · Kinds of signals", response_model=SignalKindsOut
)
async def signal_kinds(_: AnyCaller) -> Response:
    """Every kind of signal: when it is seen, by which rules, and which of them make it a strike. 全部信号类型。"""
    return json_answer({"data": kinds_document()})


def _require_subject(query: SignalQuery) -> None:
    """An id alone could be a buyer's as well as a merchant's."""
    if query.id is not None and query.subject is None:
        en, zh = "Say whose id it is: subject=buyer or subject=merchant.", "请同时提供 subject：buyer 或 merchant。"
        raise Invalid(Fault("id", "subject_missing", en, zh, Place.PARAMETER))
