"""The reconciliation of a day: in pages, and as a sheet to be saved."""

from typing import Annotated, Any, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.answers import json_answer
from app.api.dependencies import RefundsCaller, Transaction, refuse_unknown_parameters
from app.api.pages import cursor_of, position_of
from app.api.schemas.reconciliation import ReconciliationOut, ReconciliationQuery, SheetQuery
from app.services.reconciliation import Wanted, report, wanted_of
from app.services.reconciliation_sheet import sheet_of
from app.store.bills import BillStore
from app.store.case_rows import CasePosition
from app.store.engine import Engine
from app.store.reconciliation import ReconciliationPosition, ReconciliationStore
from app.store.reconciliation_sql import SECTIONS

router = APIRouter(prefix="/v1", tags=["refunds"], dependencies=[Depends(refuse_unknown_parameters)])

_CSV: Final = "text/csv"
_SHEET: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "对账单 · CSV in UTF-8 with a byte order mark, to be saved",
        "content": {_CSV: {"schema": {"type": "string"}}},
    },
    503: {"description": "暂不可用 · The database, or room for temporary files"},
}
_HARMLESS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",
    "Cache-Control": "private, no-store",
}


@router.get("/reconciliation", summary="退款对账 · Reconcile a day's refunds", response_model=ReconciliationOut)
async def reconcile(
    connection: Transaction, caller: RefundsCaller, query: Annotated[ReconciliationQuery, Query()]
) -> Response:
    """What a day's refunds come to, to be held against the channel's own statement of that day.

    某日（北京时间）、某渠道的退款对账：当日到账、未完结、当日失败或关闭、结果矛盾、他人退款、超额退款，各组合计与明细。
    到账日期以渠道给出的时间为准，与渠道账单一致；本服务得知的时间另列。A success counts on the day on which the channel
    says that it happened, whenever it was heard of here. `bills` says of each built-in account whether its own list of
    that day was held against our refunds. All is as it stands now: a refund that is over has left
    `open`, and news that comes late still adds to a day that has passed. A key needs the scope `cases` or `report`.
    """
    wanted = wanted_of(query.day, query.channel, now=caller.now)
    store, bills = ReconciliationStore(connection, caller.site.site_id), BillStore(connection, caller.site.site_id)
    document, last = await report(wanted, store, bills, now=caller.now, limit=query.limit, after=_read(query.cursor))
    return json_answer({**document, "next_cursor": _written(last)})


@router.get(
    "/reconciliation.csv",
    summary="下载对账单 · Download the reconciliation",
    response_class=StreamingResponse,
    responses=_SHEET,
)
async def download_reconciliation(
    request: Request, connection: Transaction, caller: RefundsCaller, query: Annotated[SheetQuery, Query()]
) -> Response:
    """All rows of the report in one file for a spreadsheet, of one moment; its sums are the report's.

    对账明细的全部行，可直接用电子表格打开；金额以分（整数）和元两种方式给出，时间为北京时间。以 =、+、-、@ 等开头的
    文本，以及会被当作数字而丢失位数的编号，前加单引号。Text that a spreadsheet would run as a formula, or would read as
    a number and lose digits of, has an apostrophe in front. More than 200,000 rows are refused with 422.
    """
    wanted = wanted_of(query.day, query.channel, now=caller.now)
    return _Download(request.app.state.engine, caller.site.site_id, wanted)


class _Download(Response):
    """A sheet that is made and sent when the route's transaction has ended; a Refusal is answered like any other."""

    def __init__(self, engine: Engine, site_id: UUID, wanted: Wanted) -> None:
        super().__init__()
        self._engine = engine
        self._site_id = site_id
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make the sheet, send it, and let go of it, whether or not the reader stays to its end."""
        async with sheet_of(self._engine, self._site_id, self._wanted) as sheet:
            headers = {**_HARMLESS, **_name_of(self._wanted), "Content-Length": str(sheet.length)}
            await StreamingResponse(sheet.blocks(), 200, headers, _CSV)(scope, receive, send)


def _name_of(wanted: Wanted) -> dict[str, str]:
    channel = "all" if wanted.channel is None else wanted.channel.value
    plain, chinese = f"reconciliation-{wanted.day}-{channel}.csv", f"退款对账-{wanted.day}-{channel}.csv"
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(chinese, safe='')}"
    return {"Content-Disposition": disposition}


def _read(cursor: str | None) -> ReconciliationPosition | None:
    """A section before an instant and an id, which are written as in the cursor of the list of cases."""
    if cursor is None:
        return None
    section, _, rest = cursor.partition(".")
    found = position_of(rest if section in _PLACES else "")
    return None if found is None else ReconciliationPosition(_PLACES[section], found.created_at, found.case_id)


def _written(last: ReconciliationPosition | None) -> str | None:
    return None if last is None else f"{last.section}.{cursor_of(CasePosition(last.at, last.id))}"


_PLACES: Final = {str(place): place for place in range(len(SECTIONS))}
