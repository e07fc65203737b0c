"""What Alipay keeps of payments and refunds, and the bill that it makes of them."""

import io
import zipfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal

SHANGHAI = timezone(timedelta(hours=8))
BILL_COLUMNS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)


@dataclass
class Refunded:
    """`by` is the merchant's back office where the refund was made by hand."""

    refund_no: str
    amount: int
    at: datetime
    by: str = "api"


@dataclass
class Trade:
    """One payment as Alipay keeps it."""

    payment_no: str
    trade_no: str
    amount: int
    paid_at: datetime
    refunds: list[Refunded] = field(default_factory=list)

    @property
    def refunded(self) -> int:
        return sum(refund.amount for refund in self.refunds)

    @property
    def status(self) -> str:
        return "TRADE_CLOSED" if self.refunded >= self.amount else "TRADE_SUCCESS"


def bill_row(trade: Trade, kind: str, amount: str, at: datetime, refund_no: str) -> str:
    """One line of the details; a comma in the title is not escaped, and numbers end with a tab."""
    cells = [f"{trade.trade_no}\t", f"{trade.payment_no}\t", kind, "点卡,100元", wall_clock_of(at), wall_clock_of(at)]
    cells += ["", "", "", "", "buy***@example.com", amount, amount, *["0.00"] * 5, "", "0.00", "0.00"]
    return ",".join([*cells, f"{refund_no}\t" if refund_no else "", "-0.12", "0.00", ""])


def bill_zip(rows: list[str]) -> bytes:
    """The archive as it is downloaded: the details and a summary, both in GBK."""
    details = [
        "#支付宝业务明细查询",
        "#账号：[20880000000000000156]",
        "#-----------------------------------------业务明细列表----------------------------------------",
        BILL_COLUMNS,
        *rows,
        "#-----------------------------------------业务明细列表结束------------------------------------",
    ]
    summary = [
        "#支付宝业务汇总查询",
        "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）",
        "合计,,1,1,0.00",
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("20880000000000000156_业务明细(汇总).csv", "\r\n".join(summary).encode("gbk"))
        archive.writestr("20880000000000000156_业务明细.csv", "\r\n".join(details).encode("gbk"))
    return packed.getvalue()


def yuan_of(fen: int) -> str:
    """By Decimal, so that it is not our own writing that is tested against itself."""
    return str((Decimal(fen) / 100).quantize(Decimal("0.01")))


def wall_clock_of(at: datetime) -> str:
    """`yyyy-MM-dd HH:mm:ss` in Shanghai."""
    return at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
