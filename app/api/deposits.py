"""Deposits (保证金): a merchant's balances, the journal behind them, and what a site tells of them."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query
from starlette.responses import Response

from app.api.answers import entity_tag, json_answer
from app.api.dependencies import Once, RecordsCaller, Transaction, once, refuse_unknown_parameters
from app.api.merchants import Number
from app.api.pages import cursor_after, last_of
from app.api.recording import ETAG
from app.api.schemas.deposits import ENTRY_EXAMPLES, DepositOut, EntryIn, EntryOut, EntryPageOut, EntryQuery
from app.api.strict_route import StrictRoute
from app.models.closed_sets import Scope
from app.rules.deposits import DepositKind
from app.services.deposits import Statement, book_statement, deposit_of, page_of_entries
from app.services.showing_deposits import deposit_document, entry_document
from app.store.deposits import DepositStore

router = APIRouter(
    prefix="/v1/merchants/{merchant_id}/deposit",
    tags=["records"],
    route_class=StrictRoute,
    dependencies=[Depends(refuse_unknown_parameters)],
)
# As the journal numbers its entries.
_HIGHEST: Final = 2**31 - 1
_ENTRY_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "此前已入账 · Booked before, and the same"},
    201: {"description": "已入账 · Booked", "model": EntryOut},
    409: {"description": "余额不足，或流水号已用于其他内容 · Not enough there, or the reference was used for another"},
}


@router.get(
    "",
    summary="查询保证金 · Read a deposit",
    response_model=DepositOut,
    responses={200: {"description": "保证金 · The deposit", "headers": ETAG}},
)
async def get_deposit(merchant_id: Number, connection: Transaction, caller: RecordsCaller) -> Response:
    """A merchant's deposit: what is free, frozen, used and owed, and what has to be topped up.

    商家保证金：可用、冻结、已用、待追偿与应补缴金额。
    """
    account = await deposit_of(DepositStore(connection, caller.site.site_id), merchant_id)
    # A deposit that nothing was booked on has a version, too.
    return json_answer(deposit_document(account), 200, {"ETag": entity_tag(account.entries + 1)})


@router.get("/entries", summary="保证金分录列表 · List a deposit's entries", response_model=EntryPageOut)
async def list_entries(
    merchant_id: Number, connection: Transaction, caller: RecordsCaller, query: Annotated[EntryQuery, Query()]
) -> Response:
    """Every booking of a merchant's deposit, newest first. The balances are their sum.

    全部分录，最新的在前；各账户余额即分录之和。
    """
    deposits = DepositStore(connection, caller.site.site_id)
    data, last = await page_of_entries(deposits, merchant_id, limit=query.limit, before=_read(query.cursor))
    return json_answer({"data": data, "next_cursor": _written(last)})


@router.post("/entries", summary="提交保证金分录 · Tell an entry", response_model=EntryOut, responses=_ENTRY_ANSWERS)
async def add_entry(
    merchant_id: Number,
    body: Annotated[EntryIn, Body(openapi_examples=ENTRY_EXAMPLES)],
    request: Annotated[Once, Depends(once(Scope.RECORDS, required=True))],
) -> Response:
    """A top-up, a withdrawal, or what became of money that the platform advanced. `reference` is booked once.

    补缴、退还，或垫付款的归还与核销；同一 `reference` 只入账一次。A new level of the deposit itself is told by
    `PUT /v1/merchants/{merchant_id}`. 约定金额的变化请更新商家记录。
    """
    if request.replay is not None:
        return request.replay
    deposits = DepositStore(request.connection, request.caller.site.site_id)
    wanted = Statement(DepositKind(body.kind.value), body.amount, body.reference, body.by, body.note)
    row, is_new = await book_statement(deposits, merchant_id, wanted, request.caller.now)
    return await request.answer(entry_document(row), 201 if is_new else 200)


def _read(cursor: str | None) -> int | None:
    """The number of an entry, in the form in which cursors hold ids."""
    found = last_of(cursor)
    return None if found is None else min(found.int, _HIGHEST)


def _written(last: int | None) -> str | None:
    return cursor_after(None if last is None else UUID(int=last))
