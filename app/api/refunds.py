"""Refunds: where they stand, what an adapter reports of them, and what a person does where one has stopped."""

from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Header, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.api.answers import entity_tag, json_answer
from app.api.cases import example_id
from app.api.dependencies import (
    ExpectedVersion,
    KeyHeader,
    Once,
    RefundsCaller,
    ReportingCaller,
    Seals,
    Transaction,
    checked_key,
    claimed_once,
    once,
    refuse_unknown_parameters,
)
from app.api.pages import cursor_after, last_of
from app.api.recording import ETAG
from app.api.schemas.refunds import (
    CLOSING_EXAMPLES,
    RESULT_EXAMPLES,
    RETRY_EXAMPLES,
    ClosingIn,
    RefundOut,
    RefundPageOut,
    RefundQuery,
    RefundResultIn,
    ReportTakenOut,
    RetryIn,
)
from app.api.strict_route import StrictRoute
from app.errors import Conflict, Fault, IdempotencyKeyMissing, Invalid, Place, Refusal
from app.ids import read, show
from app.models.closed_sets import ReportSource, Scope
from app.outbound.signing import Signed
from app.rules.settlement import FINAL, ConflictCode, ReportVerdict
from app.services import refunds, repair
from app.services.example_cases import EXAMPLE_REFUND, GIVEN_UP_REFUND, STOPPED_REFUND
from app.services.reporting import require_signature
from app.services.showing import CASE, REFUND, refund_detail, refund_document
from app.store.cases import CaseStore
from app.store.refunds import RefundFilter, RefundStore, RefundView

router = APIRouter(
    prefix="/v1/refunds", tags=["refunds"], route_class=StrictRoute, dependencies=[Depends(refuse_unknown_parameters)]
)

_ANSWER: Final[dict[int | str, dict[str, Any]]] = {200: {"description": "退款单 · The refund", "headers": ETAG}}
_CONFLICTS: Final[dict[int | str, dict[str, Any]]] = {
    **_ANSWER,
    409: {"description": "与退款单矛盾，或退款已终结 · At odds with the refund, or after its end; nothing changed"},
}


def _refund_id(example: UUID) -> Any:
    return Path(description="退款编号.", openapi_examples=example_id(example, REFUND))


@router.get("", summary="退款列表 · List refunds", response_model=RefundPageOut)
async def page_of_refunds(
    connection: Transaction, caller: RefundsCaller, query: Annotated[RefundQuery, Query()]
) -> Response:
    """Refunds, newest first: by state, channel, payment or case, and what is overdue.

    按状态、渠道、支付单、案件筛选退款，最新的在前。A key needs the scope `cases` or `report`.
    """
    wanted = RefundFilter(
        now=caller.now,
        states=None if query.state is None else (query.state,),
        channel=query.channel,
        payment_no=query.payment_no,
        case_id=_case_id(query.case_id),
        overdue=query.overdue,
    )
    store = RefundStore(connection, caller.site.site_id)
    rows = await store.page(wanted, limit=query.limit + 1, after=last_of(query.cursor))
    page = rows[: query.limit]
    last = page[-1].refund_id if len(rows) > query.limit else None
    return json_answer({"data": [refund_document(row) for row in page], "next_cursor": cursor_after(last)})


def _case_id(told: str | None) -> UUID | None:
    found = None if told is None else read(CASE, told)
    if told is not None and found is None:
        en, zh = "This is not the id of a case.", "不是有效的案件编号。"
        raise Invalid(Fault("case_id", "unknown_case", en, zh, Place.PARAMETER))
    return found


@router.get("/{refund_id}", summary="查询退款 · Read a refund", response_model=RefundOut, responses=_ANSWER)
async def get_refund(
    refund_id: Annotated[str, _refund_id(EXAMPLE_REFUND)], connection: Transaction, caller: RefundsCaller
) -> Response:
    """One refund with every report that came of it. 查询退款及其全部结果记录。"""
    view = await refunds.get(CaseStore(connection, caller.site.site_id), read(REFUND, refund_id))
    return json_answer(refund_detail(view), headers=_tag(view))


@dataclass(frozen=True, slots=True)
class Reporting:
    """A report that is what it claims to be, taken in once."""

    cases: CaseStore
    request: Request
    once: Once
    is_signed: bool

    def require_name(self, refund_no: str | None) -> None:
        """A signature does not cover the path: a report that is signed says itself which refund it is of. Invalid."""
        if self.is_signed and refund_no is None:
            en, zh = "A signed report names its refund.", "签名的上报须写明退款单号。"
            raise Invalid(Fault("/refund_no", "refund_no_missing", en=en, zh=zh))


def _header(name: str) -> Any:
    return Header(alias=name, description="签名 · As Standard Webhooks says; required where the site has a secret.")


async def _reporting(
    request: Request,
    connection: Transaction,
    sealer: Seals,
    caller: ReportingCaller,
    _: KeyHeader = None,
    __: Annotated[str | None, _header("webhook-id")] = None,
    ___: Annotated[str | None, _header("webhook-timestamp")] = None,
    ____: Annotated[str | None, _header("webhook-signature")] = None,
) -> Reporting:
    """Where the site wants signatures, this one is checked first.

    The id of a signed report always serves as a key, too: in the minutes for which a signature counts, it counts once.
    """
    signed, body = _signed(request), await request.body()
    message_id = await require_signature(connection, sealer, caller.site.site_id, signed, body, now=caller.now)
    keys = tuple(dict.fromkeys(key for key in (message_id, checked_key(request)) if key is not None))
    if not keys:
        raise IdempotencyKeyMissing
    claimed = await claimed_once(request, connection, sealer, caller, keys)
    return Reporting(CaseStore(connection, caller.site.site_id), request, claimed, message_id is not None)


def _signed(request: Request) -> Signed | None:
    """The three headers, each there once."""
    values = [request.headers.getlist(f"webhook-{name}") for name in ("id", "timestamp", "signature")]
    if any(len(value) != 1 for value in values):
        return None
    [message_id], [timestamp], [signature] = values
    return Signed(message_id, timestamp, signature)


@router.post(
    "/{refund_id}/result",
    summary="上报退款结果 · Report a result",
    response_model=ReportTakenOut,
    responses=_CONFLICTS,
)
async def report_result(
    refund_id: Annotated[str, _refund_id(EXAMPLE_REFUND)],
    body: Annotated[RefundResultIn, Body(openapi_examples=RESULT_EXAMPLES)],
    reporting: Annotated[Reporting, Depends(_reporting)],
) -> Response:
    """What the channel's adapter knows of a refund: that it has it, that the channel has it, that the money is back.

    渠道适配器上报退款进展：`accepted` 适配器已受理、`processing` 渠道已受理、`succeeded` 已到账，以及 `abnormal`、
    `failed`、`closed`。重复上报无害，迟到的上报不改变状态；与退款单矛盾的上报（金额、币种、渠道单号不符，成功后又失败等）
    返回 409、不作更改、记录在案，并发送 `refund.conflict`。

    Reporting again does no harm, and what comes late changes nothing. What contradicts the refund is answered with 409,
    kept, and raised as `refund.conflict`.

    Where the site has a reporting secret (`POST /v1/reporting-secret`), the request must be signed with it as Standard
    Webhooks says, and name its `refund_no`; `webhook-id` may then stand for the `Idempotency-Key`.
    """
    if reporting.once.replay is not None:
        return reporting.once.replay
    reporting.require_name(body.refund_no)
    cases, key = reporting.cases, read(REFUND, refund_id)
    await refunds.require_adapter(cases, key, body.refund_no)
    taken = await refunds.report(cases, key, body.report(), ReportSource.ADAPTER)
    view = await refunds.get(cases, key)
    refused = _refused(taken, view)
    if refused is not None:
        return await reporting.once.refuse(reporting.request, refused)
    return await reporting.once.answer({"verdict": taken.verdict.value, "refund": refund_detail(view)}, 200, _tag(view))


@router.post(
    "/{refund_id}/retry",
    summary="重试退款 · Retry a refund",
    response_model=RefundOut,
    responses={
        200: {"description": "继续退款 · The refund that goes on", "headers": ETAG},
        409: {"description": "当前状态不允许 · It has not stopped, or was replaced"},
    },
)
async def retry_refund(
    refund_id: Annotated[str, _refund_id(STOPPED_REFUND)],
    body: Annotated[RetryIn, Body(openapi_examples=RETRY_EXAMPLES)],
    connection: Transaction,
    request: Annotated[Once, Depends(once(Scope.RULE, required=True))],
    expected: ExpectedVersion,
) -> Response:
    """A person lets a refund go on that is `failed`, `abnormal` or `closed`; `refund.requested` is sent again.

    对已停下的退款，由人工决定继续；仅已关闭的退款会生成新的退款单号并重新占用余额。原账户已注销时，可凭买家同意记录其他
    收款账户。Under the same `refund_no` as before, so that no channel pays twice; only a closed refund gets another in
    its place, with a number of its own, reserved anew.
    """
    if request.replay is not None:
        return request.replay
    cases = CaseStore(connection, request.caller.site.site_id)
    account = None if body.other_account is None else body.other_account.account()
    wanted = repair.Repair(body.by, body.note, account, despite_dispute=body.despite_dispute)
    goes_on = await repair.retry(cases, read(REFUND, refund_id), wanted, version=expected)
    view = await refunds.get(cases, goes_on)
    place = {"Location": f"/v1/refunds/{show(REFUND, goes_on)}"}
    return await request.answer(refund_detail(view), 200, {**place, **_tag(view)})


@router.post(
    "/{refund_id}/close",
    summary="关闭退款 · Close a refund",
    response_model=RefundOut,
    responses={
        200: {"description": "已关闭 · Closed", "headers": ETAG},
        409: {"description": "当前状态不允许 · It has not stopped, or is closed"},
    },
)
async def close_refund(
    refund_id: Annotated[str, _refund_id(GIVEN_UP_REFUND)],
    body: Annotated[ClosingIn, Body(openapi_examples=CLOSING_EXAMPLES)],
    connection: Transaction,
    request: Annotated[Once, Depends(once(Scope.RULE, required=True))],
    expected: ExpectedVersion,
) -> Response:
    """A person ends a refund that is `failed` or `abnormal`, and that the channel is known never to pay.

    由人工关闭渠道确定不会再支付的退款，释放其占用的余额与保证金。

    What it was promised is free again. With the code `refunded_elsewhere` the buyer has the money by another way, and
    the case counts as refunded; otherwise the refund may be replaced (`retry`).
    """
    if request.replay is not None:
        return request.replay
    cases, key = CaseStore(connection, request.caller.site.site_id), read(REFUND, refund_id)
    await repair.close(cases, key, repair.GivenUp(body.by, body.code, body.note), version=expected)
    view = await refunds.get(cases, key)
    return await request.answer(refund_detail(view), 200, _tag(view))


def _tag(view: RefundView) -> dict[str, str]:
    return {"ETag": entity_tag(view.refund.version)}


_CONFLICT_TEXTS: Final = {
    ConflictCode.AMOUNT: ("the amount is not the instruction's", "金额与退款指令不符"),
    ConflictCode.CURRENCY: ("the currency is not the instruction's", "币种与退款指令不符"),
    ConflictCode.PAYMENT_NO: ("it is about another payment", "支付单号与退款指令不符"),
    ConflictCode.CHANNEL: ("it is about another channel", "支付渠道与退款指令不符"),
    ConflictCode.CHANNEL_REFUND_NO: ("the refund bears another number of the channel's", "渠道退款单号与已记录的不符"),
    ConflictCode.CHANNEL_REFUND_NO_TAKEN: ("the channel's number is another refund's", "渠道退款单号属于另一笔退款"),
    ConflictCode.AFTER_SUCCESS: ("the refund has succeeded", "该退款已成功"),
    ConflictCode.AFTER_CLOSED: ("the refund was closed", "该退款已关闭"),
    ConflictCode.REFUNDED_ELSEWHERE: ("the money went back by another way", "款项已经其他途径退回"),
}


def _refused(taken: refunds.Taken, view: RefundView) -> Refusal | None:
    if not taken.kept:
        en, zh = "So much was reported of this refund that no more is kept.", "该退款的结果记录过多，不再接收。"
        return Conflict("too_many_reports", en=en, zh=zh)
    if taken.conflict is not None:
        en, zh = _CONFLICT_TEXTS[taken.conflict]
        return Conflict(
            "refund_conflict",
            en=f"The report contradicts the refund: {en}. Nothing was changed; it was kept and raised.",
            zh=f"上报内容与退款单矛盾：{zh}。未作任何更改，已记录并上报冲突。",
        )
    if taken.verdict is ReportVerdict.LATE and view.refund.state in FINAL:
        state = view.refund.state.value
        en, zh = f"The refund is {state} already; nothing was changed.", f"该退款已终结（{state}），未作更改。"
        return Conflict("refund_final", en=en, zh=zh)
    return None
