"""证据链与时间线: the four links with their gaps, the evidence, the site's records, and what happened when."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from app.models.closed_sets import RecordKind, TimerKind
from app.outbound.catalogue import DESCRIPTIONS, EventType
from app.rules.chain import Link
from app.rules.chain_entries import Entry
from app.rules.chain_words import LINKS
from app.rules.facts import (
    CancelledBy,
    CardStatus,
    Channel,
    DeliveryMode,
    GoodsKind,
    MerchantStatus,
    OrderStatus,
    PaymentStatus,
    Usage,
    UsedBy,
)
from app.rules.labels import words_of
from app.services.bundle.pages.fact_words import fact_in_words
from app.services.bundle.pages.markup import Child, Html, link, pairs, said, section, table, tag, together
from app.services.bundle.pages.papers import FATES, Fate, Papers, path_of_file
from app.services.bundle.pages.sheet import page
from app.services.bundle.pages.words import DEADLINES, EVENTS, UNKNOWN, beijing, beijing_of, word, word_of, yes, yuan
from app.store.case_rows import HeldEvidence


def chain_page(papers: Papers) -> bytes:
    """The page."""
    return page(
        "证据链与时间线",
        papers.under,
        section("一、证据链", *_links(papers)),
        section("二、证据清单", _evidence(papers)),
        section("三、平台记录", *_records(papers)),
        section("四、案件时间线", _timeline(papers)),
        section("五、期限", _deadlines(papers)),
    )


def _links(papers: Papers) -> Iterator[Html]:
    yield tag("p", "支付 → 确认 → 交付 → 协商：每一环节列出平台自身的记录与各方提交的证据，按时间先后排列。")
    for number, each in enumerate(papers.links, 1):
        yield tag("h3", f"环节 {number}：{LINKS[each.name][0]}")
        yield _entries(each.entries, papers)
        yield _gap(each)
    if papers.outside:
        yield tag("h3", "未归入环节的证据")
        yield _entries(papers.outside, papers)


def _entries(entries: Iterable[Entry], papers: Papers) -> Html:
    rows = [(beijing(entry.at), entry.zh, _reference(entry, papers), _weight(entry)) for entry in entries]
    return table(("时间", "内容", "编号", "作用"), rows, class_="when") if rows else tag("p", "（无）", class_="quiet")


def _reference(entry: Entry, papers: Papers) -> Child:
    return f"证据 {papers.pieces[entry.piece]}" if entry.piece is not None else entry.ref or "—"


def _weight(entry: Entry) -> str:
    if entry.discount is not None:
        return "不计入"
    return "证明本环节" if entry.completes else "辅助"


def _gap(each: Link) -> Html:
    if each.gap is None:
        return tag("p", "本环节有记录或证据可以证明。", class_="quiet small")
    return tag("div", tag("p", tag("b", "缺口："), each.gap[0]), class_="box warn")


def _evidence(papers: Papers) -> Html:
    rows = [_piece(row, papers) for row in papers.view.evidence]
    heads = ("编号", "类型", "举证方", "取证时间", "提交时间", "文件与备注")
    return table(heads, rows) if rows else tag("p", "各方均未提交证据。", class_="quiet")


def _piece(row: HeldEvidence, papers: Papers) -> tuple[Child, ...]:
    return (
        str(row.n),
        words_of(row.kind)[0],
        word(row.party),
        beijing(row.captured_at),
        "—" if row.created_at is None else beijing(row.created_at),
        together(tag("div", remark) for remark in _remarks(row, papers)),
    )


def _remarks(row: HeldEvidence, papers: Papers) -> Iterator[Child]:
    if row.file is not None:
        fate = papers.fates.get(row.n, Fate.AWAITED)
        path = path_of_file(row, row.file)
        yield link(path, path) if fate is Fate.ENCLOSED else said(row.file.name)
        if fate is not Fate.ENCLOSED:
            yield FATES[fate]
    if row.sha256 is not None:
        yield tag("code", f"SHA-256 {row.sha256}")
    if row.order_no is not None:
        yield together(("所示订单号：", said(row.order_no)))
    if row.supports is not None:
        yield word(row.supports)
    yield from _weaknesses(row, papers)


def _weaknesses(row: HeldEvidence, papers: Papers) -> Iterator[str]:
    """What the latest decision said about it, or what it brings along itself."""
    latest = papers.documents[-1] if papers.documents else None
    told = [] if latest is None else latest.body["evidence"]["discounted"]
    discounted = [each for each in told if latest is not None and latest.pieces[each["index"]] == row.n]
    yield from (each["message"] for each in discounted)
    if row.reused and not discounted:
        yield "同一文件曾用于其他订单的案件"


def _records(papers: Papers) -> Iterator[Html]:
    yield tag("p", f"以下为平台截至 {beijing(papers.at)} 的记录；历次版本见“05-记录”。")
    shown: tuple[tuple[str, RecordKind, Callable[[dict[str, Any]], list[tuple[str, Child]]]], ...] = (
        ("订单", RecordKind.ORDER, _order),
        ("支付", RecordKind.PAYMENT, _payment),
        ("发货", RecordKind.DELIVERY, _delivery),
        ("商家", RecordKind.MERCHANT, _merchant),
    )
    for title, kind, rows_of in shown:
        for told in papers.latest(kind):
            yield tag("h3", f"{title} {told.record_no}（第 {told.version} 版，{beijing(told.recorded_at)} 记录）")
            yield pairs(rows_of(json.loads(told.record)))
        if not papers.latest(kind):
            yield tag("p", f"{title}：{UNKNOWN}", class_="quiet")


def _order(record: dict[str, Any]) -> list[tuple[str, Child]]:
    cancelled = record["cancelled_by"]
    face_value = record["face_value"]
    window = record["report_window"]
    return [
        ("商品", said(record["goods_name"])),
        ("商品类型", f"{word_of(GoodsKind, record['goods_kind'])}，{word_of(DeliveryMode, record['delivery_mode'])}"),
        ("金额", yuan(record["amount"])),
        ("面值", None if face_value is None else yuan(face_value)),
        ("状态", word_of(OrderStatus, record["status"])),
        ("下单时间", beijing_of(record["placed_at"])),
        ("约定发货时间", beijing_of(record["promised_at"])),
        ("取消", None if cancelled is None else f"{word_of(CancelledBy, cancelled)}取消"),
        ("取消时间", beijing_of(record["cancelled_at"])),
        ("商品约定的报错期限", None if window is None else fact_in_words("late_by", window)[1]),
        ("商品约定可退", None if record["refundable"] is None else yes(record["refundable"])),
    ]


def _payment(record: dict[str, Any]) -> list[tuple[str, Child]]:
    return [
        ("渠道", word_of(Channel, record["channel"])),
        ("金额", yuan(record["amount"])),
        ("状态", word_of(PaymentStatus, record["status"])),
        ("支付时间", beijing_of(record["paid_at"])),
        ("所属订单", record["order_no"] or "未载明"),
        ("本服务之外已退", yuan(record["refunded_amount"])),
    ]


def _delivery(record: dict[str, Any]) -> list[tuple[str, Child]]:
    face_value = record["face_value"]
    return [
        ("发货时间", beijing_of(record["delivered_at"]) or "未发货"),
        ("面值", None if face_value is None else yuan(face_value)),
        ("接收方", None if record["recipient"] is None else said(record["recipient"])),
        ("使用情况", word_of(Usage, record["usage"])),
        ("使用时间", beijing_of(record["used_at"])),
        ("使用者", word_of(UsedBy, record["used_by"])),
        ("卡密校验结果", word_of(CardStatus, record["card_status"])),
        ("同一卡密售出次数", str(record["times_sold"])),
    ]


def _merchant(record: dict[str, Any]) -> list[tuple[str, Child]]:
    return [
        ("状态", word_of(MerchantStatus, record["status"])),
        ("身份已核验", yes(record["identity_verified"])),
        ("保证金", yuan(record["deposit"])),
    ]


def _timeline(papers: Papers) -> Html:
    rows = [(beijing(row.created_at), _event(row.type)) for row in papers.view.timeline]
    return table(("时间", "事件"), rows, class_="when") if rows else tag("p", "（无）", class_="quiet")


def _event(kind: str) -> str:
    """As its page of documentation describes it, where that is fit for readers who are not programmers."""
    if kind in EVENTS:
        return EVENTS[kind]
    return DESCRIPTIONS[EventType(kind)].zh if kind in set(EventType) else kind


def _deadlines(papers: Papers) -> Html:
    due = [row for row in papers.view.timers if row.kind is TimerKind.DUE]
    rows = [
        (
            DEADLINES.get(row.name, row.name),
            f"{beijing(row.due_at)}（暂定）" if row.provisional else beijing(row.due_at),
            word(row.state),
        )
        for row in due
    ]
    return table(("期限", "最迟", "情况"), rows) if rows else tag("p", "（无）", class_="quiet")
