"""What a fake 微信支付 writes down of payments and refunds, and the bill that it makes of a day."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from tests.channels.wechat_pay_keys import MCH_ID

SHANGHAI = timezone(timedelta(hours=8))
HEAD = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,退款申请时间,退款成功时间,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,"
    "退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"


@dataclass
class Refunding:
    """A refund at the gateway: under way until `settles_at`, and then what `ends` says."""

    refund_no: str
    refund_id: str
    payment_no: str
    amount: int
    begun_at: datetime
    settles_at: datetime
    notify_url: str | None
    ends: str = "SUCCESS"

    def status(self, now: datetime) -> str:
        return self.ends if now >= self.settles_at else "PROCESSING"


@dataclass
class Paid:
    payment_no: str
    amount: int
    paid_at: datetime
    refunds: list[Refunding] = field(default_factory=list)


def bill_of(rows: list[tuple[Refunding, Paid]], now: datetime, goods: str) -> bytes:
    """交易账单 of a day's refunds: with a byte order mark, a backquote before each field, and totals at the end."""
    total = yuan(sum(one.amount for one, _ in rows))
    totals = f"`{len(rows)},`0.00,`{total},`0.00,`0.00000,`0.00,`{total}"
    lines = [HEAD, *(_row(one, payment, now, goods) for one, payment in rows), TOTALS, totals]
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def _row(refund: Refunding, payment: Paid, now: datetime, goods: str) -> str:
    status = refund.status(now)
    done = _local(refund.settles_at) if status == "SUCCESS" else ""
    # Of every refund, one fen is taken to have been a voucher's: it is not among what the buyer gets back.
    fields = [
        *(_local(payment.paid_at), "wxd678efh567hg6787", MCH_ID, "0", "", f"42{refund.refund_id}"),
        *(refund.payment_no, "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "JSAPI", "REFUND", "CMB_DEBIT", "CNY", "0.00", "0.00"),
        *(_local(refund.begun_at), done, refund.refund_id, refund.refund_no, yuan(refund.amount - 1), "0.00"),
        *("ORIGINAL", status, goods, "", "0.00000", "0.60%", "0.00", yuan(refund.amount), ""),
    ]
    return ",".join(f"`{one}" for one in fields)


def rfc3339(at: datetime) -> str:
    return at.astimezone(SHANGHAI).isoformat(timespec="seconds")


def _local(at: datetime) -> str:
    return at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02}"
