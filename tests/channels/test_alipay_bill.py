"""The bill of a day: found refunds, and archives that are meant to harm."""

import io
import zipfile
from datetime import UTC, date, datetime, timedelta

import pytest

from app.outbound.channels.alipay import Alipay, read_credentials
from app.outbound.channels.alipay.bill import LARGEST_UNPACKED_BYTES, BillUnreadable, bill_address, refunds_in
from app.outbound.channels.said import FoundRefund, Unclear
from app.rules.settlement import RefundState
from tests.channels.alipay_books import bill_row, bill_zip
from tests.channels.alipay_gateway import GATEWAY_URL, AlipayGateway, Fault
from tests.channels.alipay_keys import credentials_document

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
NEXT_NOON = NOON + timedelta(days=1)


class Scene:
    """A day with one payment."""

    def __init__(self) -> None:
        self.now = NOON
        self.gateway = AlipayGateway(lambda: self.now)
        self.trade = self.gateway.pay("P-1", 5000)
        self.adapter = Alipay(read_credentials(credentials_document()), self.gateway)

    async def bill(self, now: datetime = NEXT_NOON) -> object:
        self.now = now
        return await self.adapter.refunds_of_day(DAY, now)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_every_refund_of_the_day_is_found_by_its_payment(scene: Scene) -> None:
    scene.gateway.refund_by_hand("P-1", 100, "hand-1")
    scene.now += timedelta(minutes=1)
    scene.gateway.refund_by_hand("P-1", 4900)
    number = scene.trade.trade_no
    assert await scene.bill() == (
        ("P-1", FoundRefund(f"{number}:hand-1", "hand-1", 100, RefundState.SUCCEEDED, NOON)),
        (
            "P-1",
            FoundRefund(f"{number}:20261120120100", None, 4900, RefundState.SUCCEEDED, NOON + timedelta(minutes=1)),
        ),
    )
    assert scene.gateway.called[-1][1] == {"bill_type": "trade", "bill_date": "2026-11-20"}


async def test_the_bill_is_fetched_over_tls_though_its_address_says_http(scene: Scene) -> None:
    assert scene.gateway.bill_url.startswith("http://")
    assert await scene.bill() == ()
    assert scene.gateway.requests[-1].url.startswith("https://dwbillcenter.alipay.com/downloadBillFile.resource?")


async def test_an_address_that_was_signed_before_its_slashes_were_escaped_works(scene: Scene) -> None:
    scene.gateway.escapes_slashes_after_signing = True
    assert await scene.bill() == ()


async def test_a_day_that_is_not_over_is_not_asked_for(scene: Scene) -> None:
    said = await scene.bill(NOON)
    assert said == Unclear("bill_not_ready", timedelta(hours=22))
    assert scene.gateway.requests == []


async def test_a_missing_bill_may_still_come_and_later_means_a_day_without_trade() -> None:
    scene = Scene()
    scene.gateway.trades.clear()
    assert await scene.bill() == Unclear("bill_not_ready", timedelta(hours=1))
    assert await scene.bill(NEXT_NOON + timedelta(days=4)) == ()


async def test_a_download_that_fails_is_unclear(scene: Scene) -> None:
    for fault, code in ((Fault.TIME_OUT_AFTER, "timeout"), (Fault.SERVER_ERROR, "http_502")):
        scene.gateway.faults.extend([Fault.NONE, fault])
        assert await scene.bill() == Unclear(code)
    scene.gateway.faults.extend([Fault.NONE, Fault.TRUNCATED_AFTER])
    assert await scene.bill() == Unclear("bill_unreadable")


async def test_an_address_elsewhere_is_not_fetched(scene: Scene) -> None:
    scene.gateway.bill_url = "https://bill.example.com/x"
    assert await scene.bill() == Unclear("bill_address_refused")
    assert len(scene.gateway.requests) == 1


@pytest.mark.parametrize(
    "told",
    [
        "",
        "ftp://dwbillcenter.alipay.com/x",
        "file:///etc/passwd",
        "https://alipay.com.evil.example/x",
        "https://evilalipay.com/x",
        "https://dwbillcenter.alipay.com@evil.example/x",
        "https://user@dwbillcenter.alipay.com/x",
        "https://dwbillcenter.alipay.com:8443/x",
        "https://evil.example\\.alipay.com/x",
        "https://evil.example/x?.alipay.com",
        "https://evil.example#.alipay.com",
        "https://[::1].alipay.com/",
        "https://127.0.0.1/x",
        "//dwbillcenter.alipay.com/x",
        "https://dwbillcenter.alipay.com/x y",
        "https://dwbillcenter.alipay.com/x\r\nHost: evil",
        "https://dwbillcenter.alipay.com/" + "x" * 2048,
        "https://dwbillcenter。alipay。com/x",
    ],
)
def test_only_addresses_of_alipay_are_fetched(told: str) -> None:
    assert bill_address(told, GATEWAY_URL) is None


def test_a_gateway_elsewhere_may_hand_out_its_own_bills() -> None:
    assert bill_address("http://127.0.0.1:9/bill?x=1", "http://127.0.0.1:9/gateway.do") == "http://127.0.0.1:9/bill?x=1"
    assert bill_address("http://127.0.0.1:8/bill?x=1", "http://127.0.0.1:9/gateway.do") is None


def packed(*entries: tuple[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", kind) as writing:
        for name, content in entries:
            writing.writestr(name, content)
    return archive.getvalue()


def encrypted() -> bytes:
    """The flag of an encrypted entry, set where both its headers have it."""
    archive = bytearray(bill_zip([]))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        archive[archive.find(mark) + offset] |= 1
    return bytes(archive)


@pytest.mark.parametrize(
    ("archive", "code"),
    [
        (b"", "bill_unreadable"),
        (b"not a zip", "bill_unreadable"),
        (bill_zip([])[:-30], "bill_unreadable"),
        (packed(), "bill_without_details"),
        (packed(("a.txt", b"x")), "bill_without_details"),
        (packed(("a.csv", b"x,y\n1,2")), "bill_without_details"),
        (packed(*((f"{n}.csv", b"") for n in range(17))), "bill_too_large"),
        (packed(("a.csv", b"0" * (LARGEST_UNPACKED_BYTES + 1))), "bill_too_large"),
        (packed(*((f"{n}.csv", b"0" * (LARGEST_UNPACKED_BYTES // 4)) for n in range(5))), "bill_too_large"),
        (packed(("a.csv", b"x"), kind=zipfile.ZIP_LZMA), "bill_unreadable"),
        (encrypted(), "bill_unreadable"),
        (b"PK" + b"\x00" * (16 * 1024 * 1024), "bill_too_large"),
    ],
)
def test_an_archive_that_cannot_be_read_to_its_end_is_refused(archive: bytes, code: str) -> None:
    with pytest.raises(BillUnreadable) as caught:
        refunds_in(archive)
    assert caught.value.code == code


@pytest.mark.parametrize("amount", ["1.234", "-1e3", "--1.00", "", "1,000.00", "NaN"])
def test_a_refund_whose_amount_cannot_be_read_spoils_the_bill(scene: Scene, amount: str) -> None:
    with pytest.raises(BillUnreadable):
        refunds_in(bill_zip([bill_row(scene.trade, "退款", amount, NOON, "rf1")]))


def test_a_row_that_is_cut_off_spoils_the_bill(scene: Scene) -> None:
    row = bill_row(scene.trade, "退款", "-1.00", NOON, "rf1")
    with pytest.raises(BillUnreadable):
        refunds_in(bill_zip([row.rsplit(",", 6)[0]]))


def test_commas_and_quotes_in_a_title_move_nothing(scene: Scene) -> None:
    row = bill_row(scene.trade, "退款", "-12.34", NOON, "rf1").replace("点卡,100元", '"点卡",一,二,"三')
    ((payment_no, found),) = refunds_in(bill_zip([row]))
    assert (payment_no, found.amount, found.refund_no) == ("P-1", 1234, "rf1")


def test_payments_are_no_refunds_and_a_row_without_our_number_is_not_ours(scene: Scene) -> None:
    paid = bill_row(scene.trade, "交易", "50.00", NOON, "")
    nobodys = bill_row(scene.trade, "退款", "-1.00", NOON, "rf1").replace("P-1\t", "\t")
    assert refunds_in(bill_zip([paid, nobodys])) == ()
