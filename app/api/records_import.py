"""Bulk import: many records in one call."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from starlette.responses import Response

from app.api.dependencies import Once, Transaction, once, refuse_unknown_parameters
from app.api.schemas.records_import import EXAMPLES, ImportOut, RecordsIn
from app.api.strict_route import StrictRoute
from app.models.closed_sets import Scope
from app.services.assembling import delivery_row, merchant_row, order_row, payment_row
from app.services.records import import_records
from app.store.record_rows import Change, Put, Told

router = APIRouter(
    prefix="/v1/records", tags=["records"], route_class=StrictRoute, dependencies=[Depends(refuse_unknown_parameters)]
)

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "全部已保存 · All are stored"},
    409: {"description": "与已承诺的退款冲突，未保存任何记录 · At odds with a refund that is promised; none is stored"},
}


@router.post("", summary="批量导入记录 · Import records", response_model=ImportOut, responses=ANSWERS)
async def import_many(
    body: Annotated[RecordsIn, Body(openapi_examples=EXAMPLES)],
    connection: Transaction,
    request: Annotated[Once, Depends(once(Scope.RECORDS, required=False))],
) -> Response:
    """Store up to 1000 records of all kinds in one call: all of them, or none.

    一次提交至多 1000 条记录，要么全部保存，要么全部不保存。内容未变的记录不产生新版本；
    记录有变时，相关未决案件会重新裁定。
    Each row is the body of the matching `PUT`, with its number. The same row twice does no harm; two rows of one number
    with different contents are refused. Open cases that a changed record bears on are judged anew.
    """
    if request.replay is not None:
        return request.replay
    caller = request.caller
    puts = await import_records(connection, caller.site.site_id, _told(body), caller.now)
    return await request.answer(_outcome(puts))


def _told(body: RecordsIn) -> Told:
    return Told(
        orders=tuple(order_row(order.fact()) for order in body.orders),
        payments=tuple(payment_row(payment.fact()) for payment in body.payments),
        deliveries=tuple(
            delivery_row(delivery.fact(), delivery.order_no, delivery.card_fingerprint) for delivery in body.deliveries
        ),
        merchants=tuple(merchant_row(merchant.fact()) for merchant in body.merchants),
    )


def _outcome(puts: Sequence[Put]) -> dict[str, Any]:
    counts = Counter(put.change for put in puts)
    return {
        "data": [
            {"kind": put.kind, "number": put.record_no, "version": put.version, "change": put.change} for put in puts
        ],
        "counts": {change.value: counts[change] for change in Change},
    }
