"""Deposits (保证金): balances, the journal behind them, what a site tells of them, and what is told of a deduction."""

from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import Field

from app.api.schemas.base import BodyIn, BodyOut
from app.api.schemas.pages import PageQuery
from app.api.text import Amount, FreeText, Identifier
from app.rules.deposits import DepositKind


class StatedKind(StrEnum):
    """可提交的分录类型: what a site tells by itself."""

    TOP_UP = DepositKind.TOP_UP.value
    WITHDRAWAL = DepositKind.WITHDRAWAL.value
    RECOURSE_PAID = DepositKind.RECOURSE_PAID.value
    RECOURSE_WRITTEN_OFF = DepositKind.RECOURSE_WRITTEN_OFF.value


class BalancesOut(BodyOut):
    """各账户金额（分）: in fen; together they are always 0."""

    external: int = Field(description="商家净缴存，取负 · Less what came in from the merchant.")
    available: int = Field(description="可用保证金 · The part of the deposit that is free; never below 0.")
    held: int = Field(description="冻结保证金 · The part that is frozen for open cases; never below 0.")
    refunds: int = Field(description="已用于退款 · What refunds took: from the deposit, or advanced by the platform.")
    recourse: int = Field(description="待追偿，取负 · Less what the merchant owes for 先行赔付; never above 0.")
    platform: int = Field(description="平台自行承担，取负 · Less what the platform has written off.")


class DepositOut(BodyOut):
    """商家保证金."""

    merchant_id: str = Field(description="商家编号.")
    currency: Literal["CNY"] = Field(description="币种.")
    told: int = Field(description="约定保证金（分） · `deposit` of the merchant's record.")
    balances: BalancesOut = Field(description="各账户余额 · The sum of all entries.")
    owed: int = Field(description="商家欠款（分） · What the platform advanced and the merchant has not paid.")
    top_up_due: int = Field(description="应补缴（分） · What is missing of the deposit as it was agreed.")
    entries: int = Field(description="分录数 · How many entries there are.")
    updated_at: str = Field(description="最近变更时间.")


class EntryOut(BodyOut):
    """分录: one booking; none is ever changed or taken away."""

    n: int = Field(description="序号 · Counts the merchant's entries from 1.")
    kind: DepositKind = Field(description="分录类型.")
    moved: BalancesOut = Field(description="各账户变动 · What it moves; together 0.")
    case_id: str | None = Field(description="案件编号 · null: about no case.")
    refund_id: str | None = Field(description="退款单编号 · Where it is about a single refund of the case.")
    reference: str | None = Field(description="站点流水号 · Where the site told it.")
    by: str | None = Field(description="经办人.")
    note: str | None = Field(description="说明.")
    at: str = Field(description="入账时间.")


class EntryPageOut(BodyOut):
    """分录列表, newest first."""

    data: list[EntryOut] = Field(description="分录列表.")
    next_cursor: str | None = Field(description="下一页游标 · null on the last page.")


class EntryQuery(PageQuery):
    """Which page of a merchant's entries."""


class EntryIn(BodyIn):
    """提交分录: money that moved between the merchant and the site."""

    kind: StatedKind = Field(
        description="分录类型 · `top_up` 补缴, `withdrawal` 退还保证金, `recourse_paid` 商家归还垫付款, "
        "`recourse_written_off` 平台核销垫付款."
    )
    amount: Amount = Field(description="金额（分） · In fen.")
    reference: Identifier = Field(
        description="站点流水号 · Your own number of it, unique for the merchant. Told again it is booked once."
    )
    by: Identifier | None = Field(default=None, description="经办人 · The site's own id of the person.")
    note: FreeText | None = Field(default=None, description="说明.")


class DepositDeducted(BodyOut):
    """保证金扣除: what a refund took, and what is left."""

    merchant_id: str = Field(description="商家编号.")
    case_id: str = Field(description="案件编号.")
    order_no: str | None = Field(description="订单号.")
    currency: Literal["CNY"] = Field(description="币种.")
    deducted: int = Field(description="从保证金扣除（分） · Taken from the deposit.")
    advanced: int = Field(description="平台垫付（分） · What the platform pays in advance; the merchant owes it.")
    available: int = Field(description="可用保证金（分） · Since then.")
    held: int = Field(description="冻结保证金（分） · For other open cases.")
    owed: int = Field(description="商家欠款（分） · In all.")
    told: int = Field(description="约定保证金（分）.")
    top_up_due: int = Field(description="应补缴（分） · What is missing of the deposit as it was agreed.")


ENTRY_EXAMPLES: Final[dict[str, Any]] = {
    "top_up": {
        "summary": "商家补缴保证金 · The merchant tops its deposit up",
        "value": {"kind": "top_up", "amount": 10000, "reference": "TU-2026-0001", "by": "op-3", "note": "对公转账"},
    },
    "withdrawal": {
        "summary": "退还部分保证金 · A part of the deposit is paid back",
        "value": {"kind": "withdrawal", "amount": 5000, "reference": "WD-2026-0001", "by": "op-3"},
    },
}
