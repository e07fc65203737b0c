"""Refunds on the wire: as they stand, what is reported of them, what a person decides where one has stopped."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, StrictStr, WithJsonSchema, model_validator

from app.api.schemas.base import BodyIn, BodyOut
from app.api.schemas.flags import QueryFlag
from app.api.schemas.pages import PageQuery
from app.api.text import Amount, Flag, FreeText, Identifier, Instant, refuse
from app.models.closed_sets import ReportSource
from app.rules.facts import Channel
from app.rules.settlement import (
    REPORTABLE,
    STOPPED,
    ConflictCode,
    Failure,
    FailureCode,
    RefundState,
    Report,
    ReportVerdict,
)
from app.services.examples import REPORTED_AT
from app.services.repair import OtherAccount

_DIGITS: Final = re.compile(r"\d[\d \-]{6,}")
_CHANNEL_NO: Final = re.compile(r"[!-~]{1,64}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


def _channel_number(value: str) -> str:
    if not _CHANNEL_NO.fullmatch(value):
        en, zh = "Must be 1 to 64 visible ASCII characters.", "须为 1 至 64 个可见 ASCII 字符。"
        raise refuse("channel_refund_no", en=en, zh=zh)
    return value


def _currency(value: str) -> str:
    if not _CURRENCY.fullmatch(value):
        raise refuse("currency", en="Must be three capital letters, such as CNY.", zh="须为三位大写字母，如 CNY。")
    return value


def _reportable(value: RefundState) -> RefundState:
    if value not in REPORTABLE:
        en, zh = "This state is the service's own word and cannot be reported.", "该状态由本服务设定，不能上报。"
        raise refuse("not_reportable", en=en, zh=zh)
    return value


def _without_a_number(value: str) -> str:
    """An account's number has no business here: what people need is its last four digits."""
    if _DIGITS.search(value):
        en = "Leave the account's number out: at most the last four digits."
        raise refuse("account_number", en=en, zh="请勿填写完整账号，至多保留末四位。")
    return value


ChannelNumber = Annotated[
    StrictStr,
    AfterValidator(_channel_number),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]{1,64}$"}),
]
Currency = Annotated[
    StrictStr,
    AfterValidator(_currency),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["CNY"]}),
]
Shown = Annotated[StrictStr, Field(min_length=1, max_length=100), AfterValidator(_without_a_number)]
Reported = Annotated[
    RefundState, AfterValidator(_reportable), WithJsonSchema({"type": "string", "enum": sorted(REPORTABLE)})
]


class FailureIn(BodyIn):
    """失败原因: why a refund does not go on."""

    code: FailureCode = Field(description="原因代码 · `account_gone`: 原支付账户已注销或失效.")
    message: Annotated[FreeText, Field(max_length=300)] = Field(default="", description="渠道原文 · In its own words.")


class RefundResultIn(BodyIn):
    """退款结果: what an adapter says of a refund."""

    state: Reported = Field(
        description="状态 · `accepted`: the adapter has it; `processing`: the channel has it; `succeeded`: it is back."
    )
    amount: Amount = Field(description="金额（分） · Of this refund; another one than was instructed is a conflict.")
    currency: Currency = Field(description="币种.")
    at: Instant = Field(description="时间 · When the channel, or the adapter, came to this state.")
    channel_refund_no: ChannelNumber | None = Field(
        default=None, description="渠道退款单号 · The channel's own number; required with `succeeded`."
    )
    refund_no: Identifier | None = Field(
        default=None, description="退款单号 · Checked where given; required where reports are signed."
    )
    payment_no: Identifier | None = Field(default=None, description="支付单号 · Checked where given.")
    channel: Channel | None = Field(default=None, description="支付渠道 · Checked where given.")
    failure: FailureIn | None = Field(default=None, description="失败原因 · Required where the refund has stopped.")

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        if self.state is RefundState.SUCCEEDED and self.channel_refund_no is None:
            en, zh = "A success names the channel's number.", "退款成功须提供渠道退款单号。"
            raise refuse("channel_refund_no_missing", en=en, zh=zh)
        if (self.state in STOPPED) != (self.failure is not None):
            en = "failure belongs to abnormal, failed and closed, and to nothing else."
            raise refuse("failure_of_state", en=en, zh="状态为 abnormal、failed、closed 时须填 failure，其余不填。")
        elsewhere = self.failure is not None and self.failure.code is FailureCode.REFUNDED_ELSEWHERE
        if elsewhere and self.state is not RefundState.CLOSED:
            en = "Where the money came back by another way, the refund is closed."
            raise refuse("elsewhere_is_closed", en=en, zh="款项已经其他途径退回时，状态须为 closed。")
        return self

    def report(self) -> Report:
        """As the rules know it."""
        failure = None if self.failure is None else Failure(self.failure.code, self.failure.message)
        return Report(
            state=self.state,
            at=self.at,
            amount=self.amount,
            currency=self.currency,
            channel_refund_no=self.channel_refund_no,
            failure=failure,
            payment_no=self.payment_no,
            channel=self.channel,
        )


class OtherAccountIn(BodyIn):
    """其他收款账户: where the money goes when the account that it came from is gone. Its number never comes here."""

    account_ref: Identifier = Field(description="账户引用 · The site's own name for the account.")
    display: Shown = Field(description="账户展示 · For people, such as 招商银行 尾号 1234; no full number.")
    consented_at: Instant = Field(description="买家同意时间.")
    consent: Annotated[FreeText, Field(min_length=1, max_length=500)] = Field(
        description="同意依据 · Where the buyer's consent is on record."
    )

    def account(self) -> OtherAccount:
        """As the service knows it."""
        return OtherAccount(self.account_ref, self.display, self.consented_at, self.consent)


class RetryIn(BodyIn):
    """重试退款: what a person decides about a refund that has stopped."""

    by: Identifier = Field(description="经办人 · The site's own id of the person.")
    note: FreeText | None = Field(default=None, description="说明.")
    other_account: OtherAccountIn | None = Field(
        default=None, description="其他收款账户 · By the buyer's consent; left out: the way that the money came."
    )
    despite_dispute: Flag = Field(
        default=False, description="已核实未付款 · It was also reported as paid, and the channel says that it was not."
    )


class ClosingIn(BodyIn):
    """关闭退款: a person ends a refund that has stopped."""

    by: Identifier = Field(description="经办人 · The site's own id of the person.")
    code: FailureCode = Field(
        description="原因 · `refunded_elsewhere`: 买家已通过其他途径收到退款, the case then counts as refunded."
    )
    note: Annotated[FreeText, Field(min_length=1, max_length=300)] = Field(description="说明.")


class RefundFailureOut(BodyOut):
    """失败原因."""

    code: FailureCode = Field(description="原因代码.")
    message: str = Field(description="渠道原文.")


class OtherAccountOut(BodyOut):
    """其他收款账户."""

    account_ref: str = Field(description="账户引用.")
    display: str = Field(description="账户展示.")
    consented_at: str = Field(description="买家同意时间.")
    consent: str = Field(description="同意依据.")


class RefundInstructionOut(BodyOut):
    """退款单: money on its way back over one payment."""

    id: str = Field(description="退款编号.")
    refund_no: str = Field(description="退款单号 · The number to give to the payment channel; it never changes.")
    case_id: str = Field(description="案件编号.")
    payment_no: str = Field(description="支付单号.")
    amount: int = Field(description="金额（分）.")
    currency: Literal["CNY"] = Field(description="币种.")
    channel: Channel = Field(description="支付渠道.")
    state: RefundState = Field(description="退款状态.")
    channel_refund_no: str | None = Field(description="渠道退款单号.")
    failure: RefundFailureOut | None = Field(description="失败原因 · Why it has stopped; null: it has not.")
    handled_by: Literal["adapter", "service"] = Field(
        description="执行方 · `adapter`: who hears `refund.requested` at a channel endpoint; `service`: this service."
    )
    last_said: str | None = Field(
        description="渠道未明确答复的原因 · Why the channel's last answer settled nothing; null: it did."
    )
    replaces: str | None = Field(description="所取代的退款编号 · The closed refund whose place this one takes.")
    other_account: OtherAccountOut | None = Field(description="其他收款账户 · null: the way that the money came.")
    accept_by: str | None = Field(description="受理时限 · By when somebody should have taken the instruction.")
    expected_by: str | None = Field(description="预计到账时间.")
    reported_at: str | None = Field(description="最近一次有效结果的时间.")
    settled_at: str | None = Field(description="终结时间 · When it was known to have succeeded, or to be closed.")
    created_at: str = Field(description="创建时间.")
    updated_at: str = Field(description="最近变更时间.")
    version: int = Field(description="版本 · Counts the changes; the same as in `ETag`.")


class RefundReportOut(BodyOut):
    """退款结果记录: something said of a refund, and what became of it."""

    n: int = Field(description="序号.")
    source: ReportSource = Field(description="来源.")
    state: RefundState = Field(description="所报状态.")
    amount: int | None = Field(description="所报金额（分）.")
    currency: str | None = Field(description="所报币种.")
    channel_refund_no: str | None = Field(description="所报渠道退款单号.")
    payment_no: str | None = Field(description="所报支付单号.")
    channel: Channel | None = Field(description="所报支付渠道.")
    failure: RefundFailureOut | None = Field(description="所报失败原因.")
    at: str = Field(description="所报时间.")
    verdict: ReportVerdict = Field(description="处理结果 · `late` and `conflict` changed nothing.")
    conflict: ConflictCode | None = Field(description="矛盾之处.")
    times: int = Field(description="收到次数.")
    received_at: str = Field(description="首次收到时间.")
    last_received_at: str = Field(description="最近收到时间.")


class RefundOut(RefundInstructionOut):
    """退款单 with all that was said of it."""

    order_no: str | None = Field(description="订单号.")
    reports: list[RefundReportOut] = Field(description="结果记录 · In the order in which they came.")


class ReportTakenOut(BodyOut):
    """退款结果已收: what became of a report, and the refund as it stands."""

    verdict: ReportVerdict = Field(description="处理结果 · `repeated` and `late` changed nothing, and need no answer.")
    refund: RefundOut = Field(description="退款单.")


class RefundPageOut(BodyOut):
    """A page of refunds, newest first."""

    data: list[RefundInstructionOut] = Field(description="退款列表.")
    next_cursor: str | None = Field(description="下一页游标 · null on the last page.")


class RefundQuery(PageQuery):
    """Which refunds to list."""

    state: RefundState | None = Field(default=None, description="退款状态.")
    channel: Channel | None = Field(default=None, description="支付渠道.")
    payment_no: Identifier | None = Field(default=None, description="支付单号.")
    case_id: Annotated[StrictStr, Field(max_length=64)] | None = Field(default=None, description="案件编号.")
    overdue: QueryFlag | None = Field(
        default=None, description="是否逾期 · true: not taken, or not arrived, in the time that was promised."
    )


class ReportingSecretOut(BodyOut):
    """结果签名: whether reports have to be signed."""

    required: bool = Field(description="是否要求签名.")
    secrets: list[str | None] = Field(description="有效密钥的截止时间 · Newest first; null: without an end.")


class NewReportingSecretOut(ReportingSecretOut):
    """新的签名密钥, shown this once."""

    secret: str = Field(description="密钥 · `whsec_…`; sign as Standard Webhooks says.")


RESULT_EXAMPLES: dict[str, Any] = {
    "succeeded": {
        "summary": "已到账 · The money is back",
        "value": {
            "state": "succeeded",
            "amount": 20000,
            "currency": "CNY",
            "channel_refund_no": "50300001",
            "at": REPORTED_AT,
        },
    },
    "accepted": {
        "summary": "适配器已受理 · The adapter has the instruction",
        "value": {"state": "accepted", "amount": 20000, "currency": "CNY", "at": REPORTED_AT},
    },
    "account_gone": {
        "summary": "原账户已注销 · The account is gone",
        "value": {
            "state": "abnormal",
            "amount": 20000,
            "currency": "CNY",
            "channel_refund_no": "50300001",
            "at": REPORTED_AT,
            "failure": {"code": "account_gone", "message": "用户账户已注销"},
        },
    },
}
CLOSING_EXAMPLES: dict[str, Any] = {
    "elsewhere": {
        "summary": "商家已线下退款 · The merchant paid by hand",
        "value": {"by": "cs-12", "code": "refunded_elsewhere", "note": "商家已在商户平台手动退款，买家确认到账"},
    },
}
RETRY_EXAMPLES: dict[str, Any] = {
    "again": {"summary": "按原路重试 · The same way again", "value": {"by": "cs-12", "note": "已补足商户余额"}},
    "other_account": {
        "summary": "经买家同意退至其他账户 · To another account, by consent",
        "value": {
            "by": "cs-12",
            "other_account": {
                "account_ref": "acct-77",
                "display": "招商银行 尾号 1234",
                "consented_at": REPORTED_AT,
                "consent": "站内聊天记录 2026-11-21，买家确认",
            },
        },
    },
}
