"""Alipay's bill of a day (业务明细): a zip of CSV files in GBK, one with every payment and refund."""

import re
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from app.outbound.channels.alipay.numbers import channel_refund_no
from app.outbound.channels.alipay.wall_clock import instant
from app.outbound.channels.said import FoundRefund
from app.outbound.channels.yuan import fen
from app.rules.settlement import RefundState

LARGEST_ARCHIVE_BYTES: Final = 16 * 1024 * 1024
LARGEST_UNPACKED_BYTES: Final = 64 * 1024 * 1024
MOST_FILES: Final = 16
_ENCRYPTED: Final = 0x1
_URL: Final = re.compile(r"[!-\[\]-~]{1,2048}")
_ALIPAY_HOST: Final = re.compile(r"(?:[a-z0-9-]+\.)+alipay(?:dev)?\.com")
_REFUND: Final = "退款"
_TITLE: Final = "商品名称"
_NEEDED: Final = frozenset(
    {"支付宝交易号", "商户订单号", "业务类型", _TITLE, "完成时间", "订单金额", "退款批次号/请求号"}
)


class BillUnreadable(ValueError):
    """A bill that cannot be read to its end; `code` says why. Half a bill would hide refunds."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def bill_address(text: str, base_url: str) -> str | None:
    """Where to fetch a bill: on Alipay's own hosts, always over TLS, or on the gateway's; None for anything else."""
    if not _URL.fullmatch(text):
        return None
    try:
        parts, gateway = urlsplit(text), urlsplit(base_url)
    except ValueError:
        return None
    if (parts.scheme, parts.netloc) == (gateway.scheme, gateway.netloc):
        return text
    # The address is documented with http; nothing is fetched without TLS.
    if parts.scheme not in {"http", "https"} or not _ALIPAY_HOST.fullmatch(parts.netloc):
        return None
    return urlunsplit(("https", parts.netloc, parts.path, parts.query, ""))


def refunds_in(archive: bytes) -> tuple[tuple[str, FoundRefund], ...]:
    """The refunds of a bill, each with the number of its payment. Raises BillUnreadable."""
    tables = [table for text in _texts(archive) if (table := _table(text)) is not None]
    if not tables:
        raise BillUnreadable("bill_without_details")
    return tuple(found for table in tables for row in table if (found := _refund(row)) is not None)


def _texts(archive: bytes) -> Iterator[str]:
    if len(archive) > LARGEST_ARCHIVE_BYTES:
        raise BillUnreadable("bill_too_large")
    left = LARGEST_UNPACKED_BYTES
    try:
        with ZipFile(BytesIO(archive)) as bill:
            for entry in _entries(bill):
                content = _unpacked(bill, entry, left)
                left -= len(content)
                yield content.decode("gb18030", errors="replace")
    except (BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, UnicodeError):
        raise BillUnreadable("bill_unreadable") from None


def _entries(bill: ZipFile) -> list[ZipInfo]:
    entries = bill.infolist()
    if len(entries) > MOST_FILES:
        raise BillUnreadable("bill_too_large")
    if any(entry.compress_type not in {ZIP_STORED, ZIP_DEFLATED} or entry.flag_bits & _ENCRYPTED for entry in entries):
        raise BillUnreadable("bill_unreadable")
    return [entry for entry in entries if entry.filename.lower().endswith(".csv")]


def _unpacked(bill: ZipFile, entry: ZipInfo, most: int) -> bytes:
    """Reads no further than `most` bytes, whatever size the entry claims."""
    with bill.open(entry) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise BillUnreadable("bill_too_large")
    return content


def _table(text: str) -> list[dict[str, str]] | None:
    """The rows of the details by column; None for the file that only sums up."""
    rows = [_cells(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not rows:
        return None
    # "订单金额（元）" is asked for as "订单金额".
    columns = [re.split("[（(]", name)[0] for name in rows[0]]
    if not set(columns) >= _NEEDED:
        return None
    return [_row(columns, cells) for cells in rows[1:]]


def _cells(line: str) -> list[str]:
    """Alipay ends numbers with a tab, so that spreadsheets take them for text."""
    return [cell.strip(' \t"') for cell in line.split(",")]


def _row(columns: list[str], cells: list[str]) -> dict[str, str]:
    """Commas in a title are not escaped: what a row has too much of belongs to its title."""
    surplus = len(cells) - len(columns)
    if surplus < 0:
        raise BillUnreadable("bill_unreadable")
    title = columns.index(_TITLE)
    whole = [*cells[:title], ",".join(cells[title : title + surplus + 1]), *cells[title + surplus + 1 :]]
    return dict(zip(columns, whole, strict=True))


def _refund(row: Mapping[str, str]) -> tuple[str, FoundRefund] | None:
    """A refund's row, whose amount is negative; None for a payment, and for what no shop gave a number."""
    if row["业务类型"] != _REFUND or not row["商户订单号"]:
        return None
    amount = fen(row["订单金额"].removeprefix("-"))
    at = instant(row["完成时间"])
    trade_no, refund_no = row["支付宝交易号"], row["退款批次号/请求号"] or None
    if amount is None or at is None or not trade_no:
        raise BillUnreadable("bill_unreadable")
    number = channel_refund_no(trade_no, refund_no or f"{at:%Y%m%d%H%M%S}")
    return row["商户订单号"], FoundRefund(number, refund_no, amount, RefundState.SUCCEEDED, at)
