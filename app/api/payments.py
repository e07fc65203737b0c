"""Payments: one charge on one channel."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path
from starlette.responses import Response

from app.api.dependencies import ExpectedVersion, refuse_unknown_parameters
from app.api.recording import GET_ANSWERS, OfSite, put_answers, refuse_another_number
from app.api.schemas.records import PAYMENT_EXAMPLES, PaymentOut, PaymentRecordBody
from app.api.strict_route import StrictRoute
from app.api.text import Identifier
from app.services.assembling import payment_row
from app.services.showing_records import payment_document
from app.store.record_rows import PaymentRow

router = APIRouter(
    prefix="/v1/payments", tags=["records"], route_class=StrictRoute, dependencies=[Depends(refuse_unknown_parameters)]
)

Number = Annotated[
    Identifier, Path(description="支付单号 · The site's own.", openapi_examples={"example": {"value": "P-2001"}})
]


@router.put(
    "/{payment_no}",
    summary="保存支付记录 · Store a payment",
    response_model=PaymentOut,
    responses=put_answers(PaymentOut),
)
async def put_payment(
    payment_no: Number,
    body: Annotated[PaymentRecordBody, Body(openapi_examples=PAYMENT_EXAMPLES)],
    records: OfSite,
    expected: ExpectedVersion,
) -> Response:
    """Send a payment when its result is known, and again when money goes back by other ways than this service.

    支付结果确定后提交；如经其他途径退款，更新 `refunded_amount`。409 where the amount would fall below what was
    refunded or is promised, or where a payment with a promised refund would move to another order or channel.
    """
    refuse_another_number("payment_no", body.payment_no, payment_no)
    row = payment_row(body.with_number(payment_no))
    return await records.put(PaymentRow, row, payment_no, payment_document, expected)


@router.get("/{payment_no}", summary="查询支付记录 · Read a payment", response_model=PaymentOut, responses=GET_ANSWERS)
async def get_payment(payment_no: Number, records: OfSite) -> Response:
    """One payment as the site last told it. 返回最近一次提交的支付记录。"""
    return await records.get(PaymentRow, payment_no, payment_document)
