"""Merchants: who sells, and what stands behind it."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path
from starlette.responses import Response

from app.api.dependencies import ExpectedVersion, refuse_unknown_parameters
from app.api.recording import GET_ANSWERS, OfSite, put_answers, refuse_another_number
from app.api.schemas.records import MERCHANT_EXAMPLES, MerchantOut, MerchantRecordBody
from app.api.strict_route import StrictRoute
from app.api.text import Identifier
from app.services.assembling import merchant_row
from app.services.showing_records import merchant_document
from app.store.record_rows import MerchantRow

router = APIRouter(
    prefix="/v1/merchants", tags=["records"], route_class=StrictRoute, dependencies=[Depends(refuse_unknown_parameters)]
)

Number = Annotated[
    Identifier, Path(description="商家编号 · The site's own.", openapi_examples={"example": {"value": "m-7"}})
]


@router.put(
    "/{merchant_id}",
    summary="保存商家 · Store a merchant",
    response_model=MerchantOut,
    responses=put_answers(MerchantOut),
)
async def put_merchant(
    merchant_id: Number,
    body: Annotated[MerchantRecordBody, Body(openapi_examples=MERCHANT_EXAMPLES)],
    records: OfSite,
    expected: ExpectedVersion,
) -> Response:
    """Send a merchant when it joins, and again when its status, verification or deposit changes.

    商家入驻及状态、核验结果、保证金变化时提交。
    """
    refuse_another_number("merchant_id", body.merchant_id, merchant_id)
    row = merchant_row(body.with_id(merchant_id))
    return await records.put(MerchantRow, row, merchant_id, merchant_document, expected)


@router.get("/{merchant_id}", summary="查询商家 · Read a merchant", response_model=MerchantOut, responses=GET_ANSWERS)
async def get_merchant(merchant_id: Number, records: OfSite) -> Response:
    """One merchant as the site last told it. 返回最近一次提交的商家记录。"""
    return await records.get(MerchantRow, merchant_id, merchant_document)
