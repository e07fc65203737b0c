"""Deliveries: what was issued or credited."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path
from starlette.responses import Response

from app.api.dependencies import ExpectedVersion, refuse_unknown_parameters
from app.api.recording import GET_ANSWERS, OfSite, put_answers, refuse_another_number
from app.api.schemas.records import DELIVERY_EXAMPLES, DeliveryOut, DeliveryRecordBody
from app.api.strict_route import StrictRoute
from app.api.text import Identifier
from app.services.assembling import delivery_row
from app.services.showing_records import delivery_document
from app.store.record_rows import DeliveryRow

router = APIRouter(
    prefix="/v1/deliveries",
    tags=["records"],
    route_class=StrictRoute,
    dependencies=[Depends(refuse_unknown_parameters)],
)

Number = Annotated[
    Identifier, Path(description="发货单号 · The site's own.", openapi_examples={"example": {"value": "D-2001"}})
]


@router.put(
    "/{delivery_no}",
    summary="保存发货 · Store a delivery",
    response_model=DeliveryOut,
    responses=put_answers(DeliveryOut),
)
async def put_delivery(
    delivery_no: Number,
    body: Annotated[DeliveryRecordBody, Body(openapi_examples=DELIVERY_EXAMPLES)],
    records: OfSite,
    expected: ExpectedVersion,
) -> Response:
    """Send a delivery when goods were issued or credited, and again when their use becomes known.

    发货、到账或使用状态变化时提交。Never send the card itself: send a fingerprint, so that a card that is sold twice is
    found out. 请勿提交卡密明文，只提交指纹。
    """
    refuse_another_number("delivery_no", body.delivery_no, delivery_no)
    row = delivery_row(body.with_number(delivery_no), body.order_no, body.card_fingerprint)
    return await records.put(DeliveryRow, row, delivery_no, delivery_document, expected)


@router.get("/{delivery_no}", summary="查询发货 · Read a delivery", response_model=DeliveryOut, responses=GET_ANSWERS)
async def get_delivery(delivery_no: Number, records: OfSite) -> Response:
    """One delivery as the site last told it. 返回最近一次提交的发货记录。"""
    return await records.get(DeliveryRow, delivery_no, delivery_document)
