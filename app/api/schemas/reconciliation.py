"""The reconciliation of a day, as it is asked for and answered."""

import re
from datetime import date
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from app.api.schemas.base import BodyIn, BodyOut
from app.api.schemas.pages import PageQuery
from app.api.schemas.refunds import RefundFailureOut
from app.api.text import refuse
from app.models.closed_sets import BillState, ReportSource
from app.rules.facts import Channel
from app.rules.settlement import ConflictCode, RefundState
from app.store.reconciliation_sql import ReconciliationGroup

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _read_day(value: object) -> date:
    """One spelling of a day, the plain one."""
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise refuse("day", en="Must be a day such as 2026-03-10.", zh="须为日期，例如 2026-03-10。")


Day = Annotated[
    date,
    BeforeValidator(_read_day),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-03-10"]}),
]


class SheetQuery(BodyIn):
    """Which day, and which channel."""

    day: Day = Field(description="日期（北京时间） · A day in Shanghai, from 2000 to today.")
    channel: Channel | None = Field(default=None, description="支付渠道 · Left out: all channels.")


class ReconciliationQuery(PageQuery):
    """Which report, and which page of it."""

    day: Day = Field(description="日期（北京时间） · A day in Shanghai, from 2000 to today.")
    channel: Channel | None = Field(default=None, description="支付渠道 · Left out: all channels.")


class TotalOut(BodyOut):
    """合计 of one group."""

    count: int = Field(description="笔数.")
    amount: int = Field(description="金额合计（分） · The sum of `amount` over the group's rows.")


class TotalsOut(BodyOut):
    """各组合计, of the whole report whatever the page."""

    settled: TotalOut = Field(description="已到账 · Succeeded that day, by the moment that the channel gave.")
    open: TotalOut = Field(description="未完结 · Asked for by the end of that day, and not over now.")
    stopped: TotalOut = Field(
        description="已停止 · Failed, abnormal or closed, the channel's last word being of that day."
    )
    conflict: TotalOut = Field(
        description="结果矛盾 · Contradictions that came in that day, with the amounts of the refunds contradicted."
    )
    found: TotalOut = Field(description="他人退款 · Made or found that day, by nobody's instruction of ours.")
    overdrawn: TotalOut = Field(
        description="超额退款 · Payments of which more went back, or is promised, than was paid; by how much."
    )


class ReportedOut(BodyOut):
    """矛盾的另一方: what was said against the refund. The row itself is the refund's side."""

    code: ConflictCode | None = Field(description="矛盾之处.")
    source: ReportSource = Field(description="所报来源.")
    state: RefundState = Field(description="所报状态.")
    amount: int | None = Field(description="所报金额（分）.")
    currency: str | None = Field(description="所报币种.")
    channel_refund_no: str | None = Field(description="所报渠道退款单号.")
    times: int = Field(description="收到次数.")


class ReconciledPaymentOut(BodyOut):
    """支付单的金额, in fen."""

    amount: int = Field(description="支付金额（分）.")
    reserved_amount: int = Field(description="本服务已承诺退款（分） · Paid back by this service, or promised.")
    refunded_amount: int = Field(description="站点所报其他已退金额（分） · What the site told of others' refunds.")
    found_amount: int = Field(description="渠道查得其他已退金额（分） · What the channel told of them.")
    overdrawn_amount: int = Field(description="超额（分） · By how much all that exceeds the payment.")


class ReconciliationRowOut(BodyOut):
    """对账明细. What does not concern a row's group is null."""

    group: ReconciliationGroup = Field(description="分组.")
    channel: Channel = Field(description="支付渠道.")
    refund_id: str | None = Field(description="退款编号 · null: no refund of this service.")
    refund_no: str | None = Field(description="退款单号.")
    channel_refund_no: str | None = Field(
        description="渠道退款单号 · null: not known yet; of a refund by others, the channel told a sum alone."
    )
    payment_no: str = Field(description="支付单号.")
    order_no: str | None = Field(description="订单号.")
    merchant_id: str | None = Field(description="商家编号.")
    case_id: str | None = Field(description="案件编号.")
    amount: int = Field(description="金额（分） · Of the refund; of an overdrawn payment, by how much.")
    state: RefundState | None = Field(description="退款状态 · As it is now.")
    channel_at: str | None = Field(
        description="渠道时间 · The moment that the channel gave: of the success, the last word, the refund by others."
    )
    told_at: str | None = Field(
        description="得知时间 · When this service heard of it: of the end, the contradiction, the refund by others."
    )
    instructed_at: str | None = Field(description="指令时间 · When it was last asked for.")
    expected_by: str | None = Field(description="预计到账时间.")
    age_days: int | None = Field(
        description="未完结天数 · Whole days since it was first asked for; null: it is over, or none of ours."
    )
    overdue: bool | None = Field(description="是否逾期 · Not taken, or not arrived, in the time that was promised.")
    failure: RefundFailureOut | None = Field(description="失败原因.")
    conflict: ReportedOut | None = Field(description="矛盾结果.")
    payment: ReconciledPaymentOut | None = Field(description="支付单 · With refunds by others and overdrawn payments.")


class BillOut(BodyOut):
    """渠道账单: how a built-in account stands with the channel's own list of that day."""

    account_id: str = Field(description="渠道账户编号.")
    channel: Channel = Field(description="支付渠道.")
    state: BillState = Field(
        description="账单状态 · `read`: held against our refunds; `missing`: it never came, so compare by hand."
    )
    refunds: int | None = Field(description="账单所列退款笔数 · null: it was not read.")
    read_at: str | None = Field(description="核对时间.")


class ReconciliationOut(BodyOut):
    """对账报告 of a day, as its refunds stand now."""

    day: str = Field(description="日期（北京时间）.")
    channel: Channel | None = Field(description="支付渠道 · null: all channels.")
    as_of: str = Field(description="统计时刻 · The report shows what was known then.")
    totals: TotalsOut = Field(description="各组合计.")
    bills: list[BillOut] = Field(
        description="渠道账单 · Of the accounts whose bills this service reads; others are held against it by you."
    )
    rows: list[ReconciliationRowOut] = Field(description="明细 · By group, in the order of the totals.")
    next_cursor: str | None = Field(description="下一页游标 · null on the last page.")
