"""The reconciliation of a day over HTTP: page by page, and as a sheet that a clerk opens."""

import base64
import csv
import io
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote, urlencode

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.schemas.reconciliation import ReconciliationOut
from app.ids import read
from app.models.closed_sets import BillState, Scope
from app.rules.decision import instant
from app.services import reconciliation_sheet
from app.services.billing import MOST_DAYS
from app.services.channel_accounts import ACCOUNT
from app.services.reconciliation_sheet import harmless
from app.store.bills import BillStore
from app.store.engine import transaction
from tests.api.conftest import Access
from tests.api.desk import A_TUESDAY, Desk
from tests.channels import alipay_keys, wechat_pay_keys
from tests.database_clock import DatabaseClock

TUESDAY: Final = "2026-03-10"
FEN: Final = 20_000
GROUPS: Final = {
    "已到账": "settled",
    "未完结": "open",
    "已停止": "stopped",
    "结果矛盾": "conflict",
    "他人退款": "found",
    "超额退款": "overdrawn",
}
NOTHING: Final = {group: {"count": 0, "amount": 0} for group in GROUPS.values()}
Row = dict[str, Any]

_FOUND = text("""
    INSERT INTO found_refunds (site_id, payment_no, reference, amount, refunded_at, found_at)
    VALUES (:site_id, :payment_no, :reference, :amount, :at, :at)""")
_OVERDRAW = text("""
    UPDATE payments SET found_amount = :amount, overdrawn_amount = greatest(0, :amount + reserved_amount - amount)
    WHERE site_id = :site_id AND payment_no = :payment_no""")
_COPIES = text("""
    WITH copied AS (
        INSERT INTO payments (site_id, payment_no, order_no, channel, status, amount, refunded_amount, paid_at, version,
                              created_at, updated_at)
        SELECT site_id, payment_no || '-' || g, order_no, channel, status, amount, 0, paid_at, 1, created_at, updated_at
        FROM payments, generate_series(1, :count) g WHERE site_id = :site_id
        RETURNING site_id, payment_no
    )
    INSERT INTO refunds (site_id, refund_id, refund_no, case_id, payment_no, amount, currency, channel, state,
                         created_at, updated_at, reported_at, settled_at)
    SELECT c.site_id, gen_random_uuid(), left('rf' || md5(c.payment_no), 28), r.case_id, c.payment_no, 100 + n, 'CNY',
           r.channel, CASE WHEN n % 3 = 0 THEN 'processing' ELSE 'succeeded' END, r.created_at, r.created_at,
           r.created_at, r.created_at
    FROM (SELECT *, row_number() OVER () AS n FROM copied) c JOIN refunds r ON r.site_id = c.site_id
    WHERE r.site_id = :site_id""")


@pytest.fixture
async def desk(clock: DatabaseClock, site: Access, engine: AsyncEngine) -> Desk:
    await clock.set(A_TUESDAY)
    return Desk(site, clock, engine)


async def a_refund(desk: Desk, **changes: Any) -> Row:
    """A claim that is granted at once: its refund."""
    case = await desk.file("not_delivered", **changes)
    [refund] = case["refunds"]
    return {**refund, "order_no": case["order_no"]}


async def tell(desk: Desk, refund: Row, state: str, at: datetime, **changes: Any) -> int:
    """What the adapter says of it; the status that it is answered with."""
    number = f"50-{refund['order_no']}" if state in {"processing", "succeeded"} else None
    said = {"state": state, "amount": FEN, "currency": "CNY", "at": at.isoformat(), "channel_refund_no": number}
    body = {name: value for name, value in {**said, **changes}.items() if value is not None}
    once = f"tell-{next(desk.numbers)}"
    answer = await desk.site.post(f"/v1/refunds/{refund['id']}/result", body, once=once)
    return answer.status_code


async def find(desk: Desk, payment_no: str, reference: str, amount: int, at: datetime) -> None:
    """A refund that somebody else made, as it is kept when a channel tells of it."""
    found = {"site_id": desk.site.site_id, "payment_no": payment_no, "amount": amount}
    async with transaction(desk.engine) as connection:
        await connection.execute(_FOUND, {**found, "reference": reference, "at": at})
        await connection.execute(_OVERDRAW, found)


async def reported(desk: Desk, **query: str) -> dict[str, Any]:
    """The whole report, three rows at a time."""
    address = f"/v1/reconciliation?{urlencode({'day': TUESDAY, 'limit': '3', **query})}"
    page = await desk.read(address)
    ReconciliationOut.model_validate(page)
    rows = page["rows"]
    while page["next_cursor"] is not None:
        page = await desk.read(f"{address}&cursor={page['next_cursor']}")
        rows += page["rows"]
    return {**page, "rows": rows}


async def sheet(desk: Desk, **query: str) -> list[dict[str, str]]:
    """The lines of the sheet, by the names of its columns."""
    answer = await desk.site.get("/v1/reconciliation.csv", params={"day": TUESDAY, **query})
    assert answer.status_code == 200, answer.text
    return lines_of(answer.content)


def lines_of(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def summed(lines: list[dict[str, str]]) -> dict[str, Any]:
    """The sums of a sheet, which must be those of the report; fen and yuan must agree."""
    counts, amounts = Counter[str](), Counter[str]()
    for line in lines:
        counts[GROUPS[line["分组"]]] += 1
        amounts[GROUPS[line["分组"]]] += int(line["金额（分）"])
        assert Decimal(line["金额（元）"]) * 100 == int(line["金额（分）"])
    return {group: {"count": counts[group], "amount": amounts[group]} for group in NOTHING}


async def a_day_of_everything(desk: Desk) -> dict[str, Row]:
    """One of each kind, by what became of it."""
    now = await desk.clock.now()
    refunds = {name: await a_refund(desk) for name in ("back", "waits", "failed", "closed", "odd")}
    assert await tell(desk, refunds["back"], "succeeded", now) == 200
    for state in ("failed", "closed"):
        failure = {"code": "insufficient_balance", "message": "余额不足，请充值"}
        assert await tell(desk, refunds[state], state, now, failure=failure) == 200
    assert await tell(desk, refunds["odd"], "succeeded", now, amount=1) == 409
    await find(desk, refunds["waits"]["payment_no"], "4200001", 700, now)
    return refunds


async def test_a_day_of_everything(desk: Desk) -> None:
    refunds = await a_day_of_everything(desk)
    found = await reported(desk)
    assert (found["day"], found["channel"]) == (TUESDAY, None)
    names = {refund["refund_no"]: name for name, refund in refunds.items()}
    told = [(row["group"], names.get(row["refund_no"]), row["amount"]) for row in found["rows"]]
    assert sorted(told, key=str) == sorted(
        [
            ("settled", "back", FEN), ("open", "waits", FEN), ("open", "odd", FEN), ("stopped", "failed", FEN),
            ("stopped", "closed", FEN), ("conflict", "odd", FEN), ("found", None, 700), ("overdrawn", None, 700),
        ],
        key=str,
    )  # fmt: skip
    assert found["totals"] == {
        **{group: {"count": 1, "amount": FEN} for group in ("settled", "conflict")},
        **{group: {"count": 2, "amount": 2 * FEN} for group in ("open", "stopped")},
        **{group: {"count": 1, "amount": 700} for group in ("found", "overdrawn")},
    }
    assert summed(await sheet(desk)) == found["totals"]


async def test_a_row_tells_what_a_clerk_looks_for(desk: Desk) -> None:
    refunds = await a_day_of_everything(desk)
    rows = {(row["group"], row["refund_no"]): row for row in (await reported(desk))["rows"]}
    back = rows["settled", refunds["back"]["refund_no"]]
    shown = await desk.read(f"/v1/refunds/{refunds['back']['id']}")
    for name in ("refund_no", "channel_refund_no", "payment_no", "order_no", "channel", "state", "case_id", "amount"):
        assert back[name] == shown[name]
    assert (back["channel_at"], back["told_at"], back["refund_id"]) == (
        shown["reported_at"], shown["settled_at"], shown["id"],
    )  # fmt: skip
    assert (back["merchant_id"], back["age_days"], back["overdue"], back["payment"]) == ("m-7", None, False, None)
    odd = rows["conflict", refunds["odd"]["refund_no"]]
    assert (odd["amount"], odd["state"], odd["conflict"]["code"], odd["conflict"]["amount"]) == (
        FEN, "requested", "amount", 1,
    )  # fmt: skip
    assert rows["stopped", refunds["failed"]["refund_no"]]["failure"]["code"] == "insufficient_balance"
    others = rows["found", None]
    assert (others["channel_refund_no"], others["payment_no"], others["order_no"], others["merchant_id"]) == (
        "4200001", refunds["waits"]["payment_no"], refunds["waits"]["order_no"], "m-7",
    )  # fmt: skip
    assert others["payment"] == {
        "amount": FEN, "reserved_amount": FEN, "refunded_amount": 0, "found_amount": 700, "overdrawn_amount": 700,
    }  # fmt: skip


async def test_a_line_of_the_sheet_says_the_same(desk: Desk) -> None:
    refunds = await a_day_of_everything(desk)
    lines = {(line["分组"], line["退款单号"]): line for line in await sheet(desk)}
    odd, failed = (
        lines["结果矛盾", refunds["odd"]["refund_no"]],
        lines["已停止", refunds["failed"]["refund_no"]],
    )
    assert (odd["支付渠道"], odd["矛盾"], odd["所报来源"], odd["所报状态"]) == (
        "支付宝", "金额不符", "渠道适配器", "已到账",
    )  # fmt: skip
    assert (odd["金额（分）"], odd["金额（元）"], odd["所报金额（分）"], odd["所报金额（元）"]) == (
        "20000", "200.00", "1", "0.01",
    )  # fmt: skip
    assert (failed["退款状态"], failed["失败原因"], failed["失败说明"]) == (
        "退款失败", "退款账户余额不足", "余额不足，请充值",
    )  # fmt: skip
    assert lines["未完结", refunds["waits"]["refund_no"]]["是否逾期"] == "否"
    assert lines["超额退款", ""]["超额（分）"] == "700"


async def test_a_success_counts_on_the_day_that_the_channel_says(desk: Desk) -> None:
    """The day's last instant and the next one's first, both heard of a day later."""
    midnight = datetime.fromisoformat("2026-03-11T00:00:00+08:00")
    last, first = await a_refund(desk), await a_refund(desk)
    await desk.clock.set(midnight + timedelta(days=1))
    assert await tell(desk, last, "succeeded", midnight - timedelta(microseconds=1)) == 200
    assert await tell(desk, first, "succeeded", midnight) == 200
    for day, refund, time in (
        (TUESDAY, last, "2026-03-10 23:59:59"),
        ("2026-03-11", first, "2026-03-11 00:00:00"),
    ):
        found = await reported(desk, day=day)
        assert [(row["group"], row["refund_no"]) for row in found["rows"]] == [("settled", refund["refund_no"])]
        [line] = await sheet(desk, day=day)
        assert line["渠道时间"] == time
        assert line["得知时间"].startswith("2026-03-12 00:00:")
    assert (await reported(desk, day="2026-03-12"))["totals"] == NOTHING


async def test_what_is_open_stays_in_sight_until_it_is_over(desk: Desk) -> None:
    refund, start = await a_refund(desk), await desk.clock.now()
    assert await tell(desk, refund, "abnormal", start, failure={"code": "account_gone"}) == 200
    await desk.clock.advance(timedelta(days=9, hours=23))
    [then], [now] = (await reported(desk))["rows"], (await reported(desk, day="2026-03-19"))["rows"]
    assert (then["group"], now["group"], now["state"], now["age_days"]) == ("stopped", "open", "abnormal", 9)
    assert now["overdue"] is True
    assert (await reported(desk, day="2026-03-09"))["totals"] == NOTHING
    assert await tell(desk, refund, "succeeded", await desk.clock.now()) == 200
    assert (await reported(desk))["totals"] == NOTHING
    assert [row["group"] for row in (await reported(desk, day="2026-03-20"))["rows"]] == ["settled"]


async def test_one_channel_and_an_empty_day(desk: Desk) -> None:
    await a_day_of_everything(desk)
    everything = await reported(desk)
    assert {**await reported(desk, channel="alipay"), "channel": None, "as_of": ""} == {**everything, "as_of": ""}
    for query in ({"channel": "wechat_pay"}, {"day": "2026-03-09"}):
        empty = await reported(desk, **query)
        assert (empty["totals"], empty["rows"], empty["next_cursor"]) == (NOTHING, [], None)
        assert await sheet(desk, **query) == []
    answer = await desk.site.get("/v1/reconciliation.csv", params={"day": "2026-03-09"})
    assert answer.content.decode("utf-8-sig").count("\r\n") == 1


async def test_each_account_tells_how_it_stands_with_the_bill_of_the_day(desk: Desk, engine: AsyncEngine) -> None:
    ids = {}
    for kind, keys in (("wechat_pay", wechat_pay_keys), ("alipay", alipay_keys)):
        told = {"kind": kind, "channel": kind, "credentials": keys.credentials_document()}
        ids[kind] = (await desk.site.post("/v1/channel-accounts", told, once=kind)).json()["id"]
    awaited = {"state": "awaited", "refunds": None, "read_at": None}
    bills = {kind: {"account_id": account_id, "channel": kind, **awaited} for kind, account_id in ids.items()}
    assert (await reported(desk))["bills"] == list(bills.values())
    assert (await reported(desk, channel="alipay"))["bills"] == [bills["alipay"]]
    assert (await reported(desk, day="2026-03-09"))["bills"] == []

    await desk.clock.advance(timedelta(days=1))
    async with transaction(engine) as connection:
        account_id = read(ACCOUNT, ids["alipay"])
        assert account_id is not None
        store, now = BillStore(connection, desk.site.site_id), await desk.clock.now()
        day = date.fromisoformat(TUESDAY)
        assert await store.claim(account_id, first=day, last=day, now=now, until=now + timedelta(hours=1)) is not None
        await store.end(account_id, day, BillState.READ, refunds=3, ended_at=now)
    done = {"state": "read", "refunds": 3, "read_at": instant(now)}
    assert (await reported(desk))["bills"] == [bills["wechat_pay"], {**bills["alipay"], **done}]

    await desk.clock.advance(timedelta(days=MOST_DAYS - 1))
    assert (await reported(desk, channel="wechat_pay"))["bills"] == [bills["wechat_pay"]]
    await desk.clock.advance(timedelta(days=1))
    missing = {**bills["wechat_pay"], "state": "missing"}
    assert (await reported(desk, channel="wechat_pay"))["bills"] == [missing]


async def test_nothing_of_another_site_appears(desk: Desk, other_site: Access) -> None:
    await a_day_of_everything(Desk(other_site, desk.clock, desk.engine))
    assert (await reported(desk))["totals"] == NOTHING
    assert await sheet(desk) == []
    theirs = await reported(Desk(other_site, desk.clock, desk.engine))
    own = await a_refund(desk)
    [row] = (await reported(desk))["rows"]
    assert row["refund_no"] == own["refund_no"]
    assert own["refund_no"] not in {row["refund_no"] for row in theirs["rows"]}


HOSTILE: Final = (
    "=cmd|'/C calc'!A0", "+1+1", "-2+3", "@SUM(1)", '=HYPERLINK("http://x","y")', '1,2;"3"', "${jndi:ldap}",
    "'=1",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_others_wrote_is_a_text_in_the_sheet(desk: Desk, text: str) -> None:
    now, refund = await desk.clock.now(), await a_refund(desk)
    failure = {"code": "other", "message": f"{text}\n第二行\t"}
    number = text.replace(" ", "")
    assert await tell(desk, refund, "failed", now, channel_refund_no=number, failure=failure) == 200
    [row], [line] = (await reported(desk))["rows"], await sheet(desk)
    assert (row["channel_refund_no"], row["failure"]["message"]) == (number, failure["message"])
    mark = "'" if text[0] in "=+-@" else ""
    assert (line["渠道退款单号"], line["失败说明"]) == (mark + number, mark + failure["message"])


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("=1", "'=1"), ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("\t=1", "'\t=1"), ("\r=1", "'\r=1"),
        ("\tx", "'\tx"), ("\rx", "'\rx"), ("\nx", "'\nx"), ("  =1", "'  =1"), ("\uff1d1", "'\uff1d1"), ("－1", "'－1"),
        ("50300001", "50300001"), ("123456789012345", "123456789012345"), ("1234567890123456", "'1234567890123456"),
        ("007", "'007"), ("0", "0"), ("12E5", "'12E5"), ("1e-5", "'1e-5"), ("E5", "E5"), ("rf01a", "rf01a"),
        ("a=1", "a=1"), ("m-7", "m-7"), ("", ""), (None, None),
    ],
)  # fmt: skip
def test_a_cell_is_neither_run_nor_read_as_a_number(cell: str | None, shown: str | None) -> None:
    assert harmless(cell) == shown


async def test_the_sheet_is_saved_rather_than_shown(desk: Desk) -> None:
    await a_refund(desk)
    answer = await desk.site.get("/v1/reconciliation.csv", params={"day": TUESDAY, "channel": "alipay"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    plain, chinese = answer.headers["content-disposition"].split("; filename*=UTF-8''")
    assert plain == 'attachment; filename="reconciliation-2026-03-10-alipay.csv"'
    assert unquote(chinese) == "退款对账-2026-03-10-alipay.csv"
    lines = answer.content.decode("utf-8-sig").split("\r\n")
    assert (len(lines), lines[-1], "\n" in "".join(lines)) == (3, "", False)
    assert ",20000,200.00," in lines[1]


@pytest.mark.parametrize("place", ["/v1/reconciliation", "/v1/reconciliation.csv"])
async def test_what_cannot_be_asked_for_is_refused(desk: Desk, place: str) -> None:
    for query, parameter in (
        ("", "day"), ("day=", "day"), ("day=today", "day"), ("day=2026-02-30", "day"), ("day=20260310", "day"),
        ("day=2026-3-10", "day"), ("day=2026-W11-2", "day"), ("day=2026-03-10T00:00:00Z", "day"),
        ("day=٢٠٢٦-03-10", "day"), ("day=2026-03-11", "day"), ("day=9999-12-31", "day"), ("day=1999-12-31", "day"),
        ("day=0000-00-00", "day"), (f"day={TUESDAY}&day={TUESDAY}", "day"),
        (f"day={TUESDAY}&channel=paypal", "channel"),
        (f"day={TUESDAY}&channel=", "channel"), (f"day={TUESDAY}&chanel=alipay", "chanel"),
    ):  # fmt: skip
        answer = await desk.site.get(f"{place}?{query}")
        assert (query, answer.status_code) == (query, 422)
        assert answer.headers["content-type"] == "application/problem+json"
        assert {error["parameter"] for error in answer.json()["errors"]} == {parameter}
    assert (await desk.site.get(f"{place}?day=2000-01-01")).status_code == 200


async def test_today_is_today_in_shanghai(desk: Desk) -> None:
    midnight = datetime.fromisoformat("2026-03-11T00:00:00+08:00")
    await desk.clock.freeze(midnight - timedelta(microseconds=1))
    asked = "/v1/reconciliation?day=2026-03-11"
    refused = await desk.site.get(asked)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "in_the_future")
    await desk.clock.freeze(midnight)
    assert (await desk.read(asked))["totals"] == NOTHING


A_PLACE: Final = base64.urlsafe_b64encode(f"2026-03-10T04:00:00+00:00_{'0' * 32}".encode()).decode().rstrip("=")
ODD_PLACES: Final = tuple(f"{section}{A_PLACE}" for section in ("", ".", "-1.", "11.", "00.", "\u0660."))
UNUSABLE: Final = ("", "x", "0", "0.", "0.!", "0.MjAyNg", *ODD_PLACES)


@pytest.mark.parametrize("cursor", UNUSABLE)
async def test_cursors_that_are_not_ours_are_refused(desk: Desk, cursor: str) -> None:
    answer = await desk.site.get("/v1/reconciliation", params={"day": TUESDAY, "cursor": cursor})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "cursor")


async def test_a_report_can_be_gone_on_with_from_every_section(desk: Desk) -> None:
    for section in range(11):
        answer = await desk.read(f"/v1/reconciliation?day={TUESDAY}&cursor={section}.{A_PLACE}")
        assert (answer["rows"], answer["totals"]) == ([], NOTHING)


async def test_either_scope_opens_it(desk: Desk, key_with: Callable[..., Awaitable[Access]]) -> None:
    for scope in Scope:
        key = await key_with(scope)
        for place in ("/v1/reconciliation", "/v1/reconciliation.csv"):
            answer = await key.get(place, params={"day": TUESDAY})
            assert answer.status_code == (200 if scope in {Scope.CASES, Scope.REPORT} else 403)
            assert (await key.http.get(place, params={"day": TUESDAY})).status_code == 401


async def many(desk: Desk, count: int) -> None:
    await a_refund(desk)
    async with transaction(desk.engine) as connection:
        await connection.execute(_COPIES, {"site_id": desk.site.site_id, "count": count})


async def test_a_slow_reader_of_a_large_sheet_holds_no_connection_and_gets_it_in_parts(
    desk: Desk, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation_sheet, "_IN_MEMORY", 10_000)
    await many(desk, 3_000)
    totals = (await desk.read(f"/v1/reconciliation?day={TUESDAY}&limit=1"))["totals"]
    parts: list[bytes] = []

    async def send(message: Any) -> None:
        assert desk.engine.sync_engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        parts.append(message.get("body", b""))

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": "/v1/reconciliation.csv", "raw_path": b"/v1/reconciliation.csv", "root_path": "",
        "query_string": f"day={TUESDAY}".encode(), "server": ("service.test", 80), "client": ("127.0.0.1", 1),
        "headers": [(b"authorization", f"Bearer {desk.site.key}".encode())],
    }  # fmt: skip
    await app(scope, receive, send)
    assert max(map(len, parts)) <= 64 * 1024
    assert len(parts) > 8
    assert summed(lines_of(b"".join(parts))) == totals
    assert (totals["settled"]["count"], totals["open"]["count"]) == (2_000, 1_001)


async def test_the_rows_of_a_large_sheet_are_read_a_few_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation_sheet, "ROWS_AT_A_TIME", 7)
    seen: list[int] = []
    encode = reconciliation_sheet._encoded

    def counted(rows: Any) -> bytes:
        seen.append(len(rows))
        return encode(rows)

    monkeypatch.setattr(reconciliation_sheet, "_encoded", counted)
    await many(desk, 30)
    assert len(await sheet(desk)) == 31
    assert seen == [7, 7, 7, 7, 3]


async def test_more_rows_than_a_sheet_holds_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await many(desk, 10)
    monkeypatch.setattr(reconciliation_sheet, "MOST_ROWS", 11)
    assert len(await sheet(desk)) == 11
    monkeypatch.setattr(reconciliation_sheet, "MOST_ROWS", 10)
    answer = await desk.site.get("/v1/reconciliation.csv", params={"day": TUESDAY})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_many_rows")
    assert len(await sheet(desk, channel="wechat_pay")) == 0


async def test_no_room_for_temporary_files_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.services.reconciliation_sheet.asyncio.to_thread", full)
    answer = await desk.site.get("/v1/reconciliation.csv", params={"day": TUESDAY})
    assert (answer.status_code, answer.json()["code"]) == (503, "files_unavailable")
    assert "retry-after" in answer.headers
