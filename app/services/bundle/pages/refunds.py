"""退款单: what was asked of the channels, and what they have said since."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from app.rules.settlement import FINAL, RefundState
from app.services.bundle.pages.markup import Child, Html, bullets, said, table, together
from app.services.bundle.pages.words import beijing, beijing_of, word, yuan
from app.store.case_rows import RefundRow

_HEADS: Final = ("退款单号", "原支付单号", "渠道", "金额", "状态", "承诺最迟到账")
_ENDED: Final = {RefundState.SUCCEEDED: "平台确认到账时间", RefundState.CLOSED: "平台确认关闭时间"}


def refunds_told(refunds: Collection[RefundRow]) -> Iterator[Html]:
    """The refunds of a case, and below them what there is to say of each; nothing where there is none."""
    if refunds:
        yield table(_HEADS, (_row(refund) for refund in refunds))
    numbers = {row.refund_id: row.refund_no for row in refunds}
    said_of = {row.refund_no: bullets(_said_of(row, numbers)) for row in refunds}
    rows = [(number, remarks) for number, remarks in said_of.items() if remarks is not None]
    if rows:
        yield table(("退款单号", "支付渠道的反馈及说明"), rows)


def paid_back(refunds: Collection[RefundRow]) -> int:
    """Fen that are back by what the channels say."""
    return sum(row.amount for row in refunds if row.state is RefundState.SUCCEEDED)


def is_under_way(refunds: Collection[RefundRow]) -> bool:
    """Whether any of it may still come."""
    return any(row.state not in FINAL for row in refunds)


def account_in_words(account: Mapping[str, Any]) -> Html:
    """Another account than the one that was paid from, and the buyer's consent to it."""
    named = said(account["display"]), "（平台编号 ", said(account["account_ref"]), "）"
    return together(
        (*named, f"；买家同意时间 {beijing_of(account['consented_at'])}，同意内容：", said(account["consent"]))
    )


def _row(refund: RefundRow) -> tuple[str, ...]:
    return (
        refund.refund_no,
        refund.payment_no,
        word(refund.channel),
        yuan(refund.amount),
        word(refund.state),
        "—" if refund.expected_by is None else beijing(refund.expected_by),
    )


def _said_of(refund: RefundRow, numbers: Mapping[Any, str]) -> Iterator[Child]:
    if refund.replaces is not None:
        yield f"取代已关闭的退款单 {numbers[refund.replaces]}"
    if refund.other_account is not None:
        yield together(("改退至其他账户：", account_in_words(refund.other_account)))
    if refund.channel_refund_no is not None:
        yield together(("渠道退款单号：", said(refund.channel_refund_no)))
    if refund.reported_at is not None:
        yield f"渠道最近一次反馈所载时间：{beijing(refund.reported_at)}"
    if refund.settled_at is not None and refund.state in _ENDED:
        yield f"{_ENDED[refund.state]}：{beijing(refund.settled_at)}"
    if refund.failure_code is not None:
        yield together((f"未能退回的原因：{word(refund.failure_code)}", *_message(refund)))


def _message(refund: RefundRow) -> tuple[Child, ...]:
    return ("，渠道说明：", said(refund.failure_message)) if refund.failure_message else ()
