"""The same report as a sheet: CSV for a clerk's spreadsheet, whole and of one moment.

It is written before its first byte is sent, page by page into a temporary file. So no connection waits for a slow
reader, what is sent is never half a report, and no refund is in it twice or left out because it moved meanwhile.
"""

import asyncio
import csv
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from io import StringIO
from tempfile import SpooledTemporaryFile
from types import MappingProxyType
from typing import IO, Any, Final, TypeAlias
from uuid import UUID

from app.errors import Fault, FilesUnavailable, Invalid, Place
from app.models.closed_sets import ReportSource
from app.outbound.channels.yuan import yuan
from app.rules.facts import Channel
from app.rules.settlement import ConflictCode, FailureCode, RefundState
from app.services.bundle.pages.words import word_of
from app.services.reconciliation import Wanted, row_document
from app.store.engine import Engine
from app.store.reconciliation import ReconciliationRow, ReconciliationStore, one_moment
from app.store.reconciliation_sql import ReconciliationGroup

MOST_ROWS: Final = 200_000
ROWS_AT_A_TIME: Final = 500
_IN_MEMORY: Final = 1024 * 1024
_BLOCK: Final = 64 * 1024
_CODING: Final = "utf-8-sig"
"""With a mark in front: without it a spreadsheet takes UTF-8 for the local code page."""
# What a spreadsheet takes for a formula, in either width; and what it takes for a number, so that digits get lost.
_FORMULA: Final = re.compile(r"[\t\r\n]|\s*[=+\-@＝＋－＠]")  # noqa: RUF001 - both widths are meant
_MISTAKEN: Final = re.compile(r"0[0-9]+|[0-9]{16,}|[0-9.]+[eE][+-]?[0-9]+")

Cell: TypeAlias = str | int | None
Row: TypeAlias = Mapping[str, Any]

WORDS: Final[Mapping[type[StrEnum], Mapping[str, str]]] = MappingProxyType(
    {
        ReconciliationGroup: {
            "settled": "已到账",
            "open": "未完结",
            "stopped": "已停止",
            "conflict": "结果矛盾",
            "found": "他人退款",
            "overdrawn": "超额退款",
        },
        ConflictCode: {
            "amount": "金额不符",
            "currency": "币种不符",
            "payment_no": "支付单号不符",
            "channel": "支付渠道不符",
            "channel_refund_no": "渠道退款单号不符",
            "channel_refund_no_taken": "渠道退款单号属于另一笔退款",
            "after_success": "到账后又报其他结果",
            "after_closed": "关闭后又报到账",
            "refunded_elsewhere": "款项已经其他途径退回",
        },
        ReportSource: {
            "adapter": "渠道适配器",
            "channel": "渠道查询",
            "notice": "渠道通知",
            "reconciliation": "对账",
            "person": "人工",
        },
    }
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A finished sheet. `length` in bytes."""

    length: int
    _file: IO[bytes]

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Its bytes, once."""
        while block := await asyncio.to_thread(self._file.read, _BLOCK):
            yield block


@asynccontextmanager
async def sheet_of(engine: Engine, site_id: UUID, wanted: Wanted) -> AsyncIterator[Sheet]:
    """The sheet, for as long as the block lasts. Invalid for more than MOST_ROWS rows; Busy, Unavailable.

    FilesUnavailable where there is no room for temporary files.
    """
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        await _add(file, head().encode(_CODING))
        async with one_moment(engine) as connection:
            store = ReconciliationStore(connection, site_id)
            _refuse_too_many(sum(total.count for total in (await store.totals(wanted.span)).values()))
            async for rows in store.pages(wanted.span, size=ROWS_AT_A_TIME):
                await _add(file, await asyncio.to_thread(_encoded, rows))
        length = file.tell()
        file.seek(0)
        yield Sheet(length, file)


async def _add(file: IO[bytes], block: bytes) -> None:
    try:
        await asyncio.to_thread(file.write, block)
    except OSError as error:
        raise FilesUnavailable from error


def _refuse_too_many(rows: int) -> None:
    if rows > MOST_ROWS:
        en = f"This day has more than {MOST_ROWS} rows; ask for one channel, or page through the report."
        zh = f"当日记录超过 {MOST_ROWS} 行，请指定支付渠道，或分页查询。"
        raise Invalid(Fault("day", "too_many_rows", en, zh, Place.PARAMETER))


def _encoded(rows: Iterable[ReconciliationRow]) -> bytes:
    return lines_of(map(row_document, rows)).encode()


def head() -> str:
    """The first line."""
    return _written([list(_COLUMNS)])


def lines_of(rows: Iterable[Row]) -> str:
    """A line for each row of the report, as the service shows it."""
    return _written([column(row) for column in _COLUMNS.values()] for row in rows)


def _written(lines: Iterable[Iterable[Cell]]) -> str:
    text = StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue()


def harmless(text: str | None) -> str | None:
    """Others' text as a cell that a spreadsheet shows as it is: neither run as a formula nor read as a number.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    if text is None or not (_FORMULA.match(text) or _MISTAKEN.fullmatch(text)):
        return text
    return f"'{text}"


def _text(name: str) -> Callable[[Row], Cell]:
    return lambda row: harmless(row[name])


def _named(name: str, kind: type[StrEnum]) -> Callable[[Row], Cell]:
    return lambda row: _word(kind, row[name])


def _word(kind: type[StrEnum], value: str | None) -> str | None:
    if value is None:
        return None
    return WORDS[kind][value] if kind in WORDS else word_of(kind, value)


def _moment(name: str) -> Callable[[Row], Cell]:
    return lambda row: row[name] and f"{datetime.fromisoformat(row[name]):%Y-%m-%d %H:%M:%S}"


def _within(part: str, cell: Callable[[Row], Cell]) -> Callable[[Row], Cell]:
    """A cell of what a row may have inside it."""
    return lambda row: None if row[part] is None else cell(row[part])


def _fen(name: str) -> Callable[[Row], Cell]:
    return lambda row: row[name]


def _yuan(name: str) -> Callable[[Row], Cell]:
    return lambda row: None if row[name] is None else yuan(row[name])


def _overdue(row: Row) -> Cell:
    return None if row["overdue"] is None else "是" if row["overdue"] else "否"


_COLUMNS: Final[Mapping[str, Callable[[Row], Cell]]] = MappingProxyType(
    {
        "分组": _named("group", ReconciliationGroup),
        "支付渠道": _named("channel", Channel),
        "退款单号": _text("refund_no"),
        "渠道退款单号": _text("channel_refund_no"),
        "支付单号": _text("payment_no"),
        "订单号": _text("order_no"),
        "商家编号": _text("merchant_id"),
        "金额（分）": _fen("amount"),
        "金额（元）": _yuan("amount"),
        "退款状态": _named("state", RefundState),
        "渠道时间": _moment("channel_at"),
        "得知时间": _moment("told_at"),
        "指令时间": _moment("instructed_at"),
        "预计到账时间": _moment("expected_by"),
        "未完结天数": _fen("age_days"),
        "是否逾期": _overdue,
        "失败原因": _within("failure", _named("code", FailureCode)),
        "失败说明": _within("failure", _text("message")),
        "矛盾": _within("conflict", _named("code", ConflictCode)),
        "所报来源": _within("conflict", _named("source", ReportSource)),
        "所报状态": _within("conflict", _named("state", RefundState)),
        "所报金额（分）": _within("conflict", _fen("amount")),
        "所报金额（元）": _within("conflict", _yuan("amount")),
        "所报币种": _within("conflict", _text("currency")),
        "所报渠道退款单号": _within("conflict", _text("channel_refund_no")),
        "支付金额（分）": _within("payment", _fen("amount")),
        "本服务已承诺（分）": _within("payment", _fen("reserved_amount")),
        "站点所报已退（分）": _within("payment", _fen("refunded_amount")),
        "渠道查得已退（分）": _within("payment", _fen("found_amount")),
        "超额（分）": _within("payment", _fen("overdrawn_amount")),
        "案件编号": _text("case_id"),
        "退款编号": _text("refund_id"),
    }
)
