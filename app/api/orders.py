"""Orders: what was bought."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path
from starlette.responses import Response

from app.api.dependencies import ExpectedVersion, refuse_unknown_parameters
from app.api.recording import GET_ANSWERS, OfSite, put_answers, refuse_another_number
from app.api.schemas.records import ORDER_EXAMPLES, OrderOut, OrderRecordBody
from app.api.strict_route import StrictRoute
from app.api.text import Identifier
from app.services.assembling import order_row
from app.services.showing_records import order_document
from app.store.record_rows import OrderRow

router = APIRouter(
    prefix="/v1/orders", tags=["records"], route_class=StrictRoute, dependencies=[Depends(refuse_unknown_parameters)]
)

Number = Annotated[
    Identifier, Path(description="订单号 · The site's own.", openapi_examples={"example": {"value": "A-2001"}})
]


@router.put(
    "/{order_no}", summary="保存订单 · Store an order", response_model=OrderOut, responses=put_answers(OrderOut)
)
async def put_order(
    order_no: Number,
    body: Annotated[OrderRecordBody, Body(openapi_examples=ORDER_EXAMPLES)],
    records: OfSite,
    expected: ExpectedVersion,
) -> Response:
    """Send an order when it is placed and again whenever it changes: paid, delivered, cancelled.

    订单下单及每次状态变化时提交。内容不变不产生新版本；内容不同则更新，并保留历史。A claim is judged on the order as
    it stands then, by the policy that was in force when it was placed.
    """
    refuse_another_number("order_no", body.order_no, order_no)
    row = order_row(body.with_number(order_no))
    return await records.put(OrderRow, row, order_no, order_document, expected)


@router.get("/{order_no}", summary="查询订单 · Read an order", response_model=OrderOut, responses=GET_ANSWERS)
async def get_order(order_no: Number, records: OfSite) -> Response:
    """One order as the site last told it. 返回最近一次提交的订单记录。"""
    return await records.get(OrderRow, order_no, order_document)
