"""交易账单: the refunds of a day, those of other people among them."""

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest

from app.outbound.channels.exchange import Reply, Request
from app.outbound.channels.said import FoundRefund, Unclear
from app.outbound.channels.wechat_pay import WechatPay
from app.outbound.channels.wechat_pay.bill import read_bill
from app.rules.settlement import RefundState
from tests.channels.wechat_pay_books import HEAD, TOTALS
from tests.channels.wechat_pay_faults import Fault, error, says
from tests.channels.wechat_pay_scene import DAY, NOON, PAYMENT, Scene, our_credentials, scene

TODAY = date(2026, 3, 10)
TEN = datetime(2026, 3, 11, 2, tzinfo=UTC)  # 10:00 in Shanghai, the day after
OLD_HEAD = (
    "交易时间,公众账号ID,商户号,子商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,总金额,"
    "企业红包金额,退款申请时间,退款成功时间,微信退款单号,商户退款单号,退款金额,企业红包退款金额,退款类型,退款状态,商品名称,"
    "商户数据包,手续费,费率"
)


async def busy_day() -> Scene:
    """One refund of ours, one by hand, and one of the next day."""
    made = scene(settles_after=timedelta(minutes=2))
    await made.adapter.submit(PAYMENT, made.now)
    made.pass_by(timedelta(hours=1))
    made.gateway.refund_by_hand("P-1001", 5)
    made.pass_by(timedelta(hours=12))
    made.gateway.refund_by_hand("P-1001", 700)
    made.now = TEN
    return made


async def test_ours_and_others_are_found_with_the_amount_that_was_asked_for() -> None:
    made = await busy_day()
    found = await made.adapter.refunds_of_day(TODAY, made.now)
    ours, by_hand = (made.gateway.refunds[number] for number in (PAYMENT.refund_no, "hand00000002"))
    assert found == (
        (
            "P-1001",
            FoundRefund(
                ours.refund_id,
                PAYMENT.refund_no,
                20_000,
                RefundState.SUCCEEDED,
                NOON.replace(microsecond=0) + timedelta(minutes=2),
            ),
        ),
        (
            "P-1001",
            FoundRefund(
                by_hand.refund_id,
                "hand00000002",
                5,
                RefundState.SUCCEEDED,
                NOON.replace(microsecond=0) + timedelta(hours=1, minutes=2),
            ),
        ),
    )
    assert [request.method for request in made.gateway.requests] == ["POST", "GET", "GET"]
    assert made.gateway.requests[1].url.endswith("/v3/bill/tradebill?bill_date=2026-03-10&bill_type=REFUND")


@pytest.mark.parametrize(
    ("status", "state"),
    [("ABNORMAL", RefundState.ABNORMAL), ("CLOSED", RefundState.CLOSED), ("PROCESSING", RefundState.PROCESSING)],
)
async def test_what_has_not_arrived_has_no_moment(status: str, state: RefundState) -> None:
    made = await busy_day()
    made.gateway.end(PAYMENT.refund_no, status)
    found = await made.adapter.refunds_of_day(TODAY, made.now)
    assert isinstance(found, tuple)
    assert (found[0][1].state, found[0][1].at) == (state, None)


async def test_before_ten_nobody_is_asked() -> None:
    made = scene()
    early = await made.adapter.refunds_of_day(TODAY, TEN - timedelta(seconds=90))
    assert early == Unclear("bill_not_ready", timedelta(seconds=90))
    assert made.gateway.requests == []


async def test_a_day_without_a_bill_is_a_day_without_refunds_only_when_it_stays_so() -> None:
    made = scene()
    made.now = TEN
    assert await made.adapter.refunds_of_day(TODAY, made.now) == Unclear("no_statement_exist")
    assert await made.adapter.refunds_of_day(TODAY, made.pass_by(DAY)) == ()


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("fault", [Fault.TIME_OUT_BEFORE, Fault.SERVER_ERROR, Fault.BAD_GATEWAY, Fault.TIME_OUT_AFTER])
async def test_trouble_on_either_way_is_unclear(place: int, fault: Fault) -> None:
    made = await busy_day()
    made.gateway.faults.extend([Fault.NONE] * place + [fault])
    assert isinstance(await made.adapter.refunds_of_day(TODAY, made.now), Unclear)


@pytest.mark.parametrize(
    ("fault", "place", "code"),
    [
        (Fault.WRONG_SIGNATURE_AFTER, 0, "bad_signature"),
        (Fault.UNSIGNED_AFTER, 0, "bad_signature"),
        (Fault.STALE_AFTER, 0, "stale_signature"),
        (Fault.GARBAGE_AFTER, 0, "malformed_answer"),
        (Fault.TRUNCATED_AFTER, 1, "bill_hash_differs"),
        (Fault.GARBAGE_AFTER, 1, "bill_hash_differs"),
    ],
)
async def test_a_bill_is_believed_by_its_signed_hash(fault: Fault, place: int, code: str) -> None:
    made = await busy_day()
    made.gateway.faults.extend([Fault.NONE] * place + [fault])
    assert await made.adapter.refunds_of_day(TODAY, made.now) == Unclear(code)


class Billed:
    """An exchange that gives out `bill` at `url`."""

    def __init__(self, bill: bytes, url: str = "https://api.mch.weixin.qq.com/v3/billdownload/file?token=x") -> None:
        self.bill = bill
        self.url = url
        self.asked: list[str] = []

    async def send(self, request: Request) -> Reply:
        self.asked.append(request.url)
        if len(self.asked) > 1:
            return Reply(200, {}, self.bill)
        digest = hashlib.sha1(self.bill, usedforsecurity=False).hexdigest()
        return says(200, {"hash_type": "SHA1", "hash_value": digest, "download_url": self.url}, TEN)


async def billed(exchange: Billed) -> object:
    return await WechatPay(our_credentials(), exchange, nonce=lambda: "n" * 32).refunds_of_day(TODAY, TEN)


async def test_the_download_goes_to_the_base_url_whatever_the_address_says() -> None:
    exchange = Billed(
        f"{HEAD}\r\n{TOTALS}\r\n`0\r\n".encode(), "https://elsewhere.example/v3/billdownload/file?token=x"
    )
    assert await billed(exchange) == ()
    assert exchange.asked[1] == "https://api.mch.weixin.qq.com/v3/billdownload/file?token=x"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://a/v3/bill?x",
        "https://a@b/v3/bill?x",
        "https://a/v3/pay?x",
        "https://a/v3/bill?x\r\nX: y",
        "/v3/bill?x",
    ],
)
async def test_an_address_of_another_form_is_not_called(url: str) -> None:
    exchange = Billed(b"", url)
    assert await billed(exchange) == Unclear("malformed_answer")
    assert len(exchange.asked) == 1


async def test_an_error_about_the_bill_is_unclear() -> None:
    class Refusing(Billed):
        async def send(self, request: Request) -> Reply:
            del request
            return error(400, "STATEMENT_CREATING", "账单生成中", TEN)

    assert await billed(Refusing(b"")) == Unclear("statement_creating")


def row(**change: str) -> str:
    fields = dict.fromkeys(OLD_HEAD.split(","), "")
    fields |= {
        "商户订单号": "P-1",
        "微信退款单号": "50",
        "商户退款单号": "rf1",
        "退款金额": "0.01",
        "退款状态": "SUCCESS",
    }
    fields |= {"退款成功时间": "2018-08-21 18:13:12", **change}
    return ",".join(f"`{value}" for value in fields.values())


def table(*rows: str, head: str = OLD_HEAD, totals: str = "总交易单数\r\n`1") -> bytes:
    return "\r\n".join([head, *rows, totals]).encode()


def test_the_older_table_reads_too() -> None:
    ((payment_no, found),) = read_bill(table(row()))
    at = datetime(2018, 8, 21, 10, 13, 12, tzinfo=UTC)
    assert (payment_no, found) == ("P-1", FoundRefund("50", "rf1", 1, RefundState.SUCCEEDED, at))


@pytest.mark.parametrize("goods", ["a,b", "`", ",`", "a,`SUCCESS,`b,`c", '"'])
def test_what_a_shop_calls_its_goods_shifts_nothing(goods: str) -> None:
    assert read_bill(table(row(商品名称=goods))) == read_bill(table(row()))


@pytest.mark.parametrize(("number", "read"), [("", None), ("0", None), ("rf9", "rf9")])
def test_a_refund_may_have_no_number_of_the_merchant(number: str, read: str | None) -> None:
    ((_, found),) = read_bill(table(row(商户退款单号=number)))
    assert found.refund_no == read


@pytest.mark.parametrize(("yuan", "fen"), [("0.01", 1), ("1", 100), ("1.5", 150), ("9999999999.99", 999_999_999_999)])
def test_yuan_are_read_exactly(yuan: str, fen: int) -> None:
    ((_, found),) = read_bill(table(row(退款金额=yuan)))
    assert found.amount == fen


def test_a_state_that_is_not_known_counts_as_under_way() -> None:
    ((_, found),) = read_bill(table(row(退款状态="NEW")))
    assert found.state is RefundState.PROCESSING


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"",
        lambda: b"\xff",
        lambda: b"<html></html>",
        lambda: table(row(), totals=""),
        lambda: table(row(), totals=row()),
        lambda: table("`only,`three,`fields"),
        lambda: table(row(), head=OLD_HEAD.replace("退款状态", "状态")),
        lambda: table(row(退款金额="1e3")),
        lambda: table(row(退款金额="-1.00")),
        lambda: table(row(退款金额="0.001")),
        lambda: table(row(退款金额="")),
        lambda: table(row(退款成功时间="18:13")),
        lambda: table(row(微信退款单号="")),
        lambda: table(row(商户订单号="a b")),
    ],
)
async def test_a_bill_of_another_form_is_not_read_into(make: Callable[[], bytes]) -> None:
    assert await billed(Billed(make())) == Unclear("malformed_bill")
