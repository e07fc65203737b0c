"""Cases: file a claim, read one, list them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query
from fastapi.openapi.models import Example
from starlette.responses import Response

from app.api.answers import entity_tag, json_answer
from app.api.dependencies import CasesCaller, Once, Settings, Transaction, once, refuse_unknown_parameters
from app.api.evidence_files import refuse_unkeepable
from app.api.pages import cursor_of, position_of
from app.api.schemas.cases import EXAMPLES, CaseIn, CaseOut, CasePageOut, CaseQuery, FiledEvidenceIn
from app.api.strict_route import StrictRoute
from app.config import Config
from app.ids import new_uuid, read, show
from app.models.closed_sets import Scope
from app.services.assembling import PutForward, delivery_row, merchant_row, order_row, payment_row
from app.services.cases import get_case, list_cases
from app.services.example_cases import EXAMPLE_CASE
from app.services.filing import Filing, file_case
from app.services.showing import CASE, case_document, case_summary
from app.store.case_rows import CaseFilter
from app.store.cases import CaseStore
from app.store.record_rows import Told

router = APIRouter(
    prefix="/v1/cases", tags=["cases"], route_class=StrictRoute, dependencies=[Depends(refuse_unknown_parameters)]
)


# The case that the sandbox comes with, so that the documentation's example is there to be read.
def example_id(example: UUID, prefix: str = CASE) -> dict[str, Example]:
    """A case of the sandbox, or something of one, for the documentation to fill in."""
    return {"example": {"value": show(prefix, example)}}


EXAMPLE_ID: Final = example_id(EXAMPLE_CASE)


@router.post("", status_code=201, summary="提交退款申请 · File a claim", response_model=CaseOut)
async def file_claim(
    body: Annotated[CaseIn, Body(openapi_examples=EXAMPLES)],
    connection: Transaction,
    request: Annotated[Once, Depends(once(Scope.CASES, required=True))],
    config: Settings,
) -> Response:
    """File a claim, with its records inline or sent before; the answer is the case with its first decision.

    提交退款申请：订单、支付、发货记录可随申请一并提交，也可事先提交；返回案件与首次裁定。案件、裁定、退款指令与事件在同一
    事务中写入，随后由后台进程向已登记的地址发送签名 webhook。One open case per order and reason.
    """
    if request.replay is not None:
        return request.replay
    now = request.caller.now
    view = await file_case(_filing(body, now, config), connection, request.caller.site.site_id, now=now)
    document = case_document(view)
    headers = {"Location": f"/v1/cases/{document['id']}", "ETag": entity_tag(view.case.version)}
    return await request.answer(document, 201, headers)


@router.get("/{case_id}", summary="查询案件 · Read a case", response_model=CaseOut)
async def read_case(
    case_id: Annotated[str, Path(description="案件编号.", openapi_examples=EXAMPLE_ID)],
    connection: Transaction,
    caller: CasesCaller,
) -> Response:
    """One case with its decision whole, its evidence, refunds, timeline, and what may be done next. 查询案件全貌。"""
    document = await get_case(read(CASE, case_id), CaseStore(connection, caller.site.site_id))
    return json_answer(document, headers={"ETag": entity_tag(document["version"])})


@router.get("", summary="案件列表 · List cases", response_model=CasePageOut)
async def page_of_cases(connection: Transaction, caller: CasesCaller, query: Annotated[CaseQuery, Query()]) -> Response:
    """Cases, newest first, by status, reason, merchant, order and time of filing. 案件列表，最新的在前。"""
    wanted = CaseFilter(query.status, query.reason, query.merchant, query.order_no, query.filed_from, query.filed_to)
    cases = CaseStore(connection, caller.site.site_id)
    page, last = await list_cases(wanted, cases, limit=query.limit, after=position_of(query.cursor))
    return json_answer({"data": [case_summary(row) for row in page], "next_cursor": cursor_of(last)})


def put_forward(pieces: Sequence[FiledEvidenceIn], now: datetime, config: Config) -> tuple[PutForward, ...]:
    """Evidence with the files that it announces; refused where this service keeps none, or none as large."""
    announced = [(f"/evidence/{n}/file", piece.file) for n, piece in enumerate(pieces) if piece.file is not None]
    refuse_unkeepable(announced, config)
    return tuple(piece.put_forward(now, new_uuid) for piece in pieces)


def _filing(body: CaseIn, now: datetime, config: Config) -> Filing:
    order_no = body.named_order()
    deliveries = body.deliveries if order_no is not None else []
    told = Told(
        orders=() if body.order is None else (order_row(body.order.fact()),),
        payments=tuple(payment_row(payment.fact()) for payment in body.payments),
        deliveries=tuple(delivery_row(each.fact(), order_no or "", each.card_fingerprint) for each in deliveries),
        merchants=() if body.merchant is None else (merchant_row(body.merchant.fact()),),
    )
    return Filing(
        claim=body.claim.fact(),
        order_no=order_no,
        payment_nos=(*body.payment_nos, *(payment.payment_no for payment in body.payments)),
        evidence=put_forward(body.evidence, now, config),
        told=told,
        policy=body.policy,
    )
