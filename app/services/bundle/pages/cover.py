"""封面: what the case is about, how it was decided, what is missing, where to turn, and what lies in the bundle."""

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from app.models.closed_sets import RecordKind
from app.rules.chain_words import LINKS
from app.rules.escalation import VENUES, Way
from app.rules.explain import in_words
from app.rules.facts import PaymentStatus, Remedy, Via
from app.rules.findings import Fen, Outcome
from app.rules.labels import words_of
from app.rules.liability import Liability
from app.services.bundle.pages.markup import Child, Html, bullets, link, pairs, said, section, table, tag, together
from app.services.bundle.pages.papers import ACTS, CHAIN, FATES, MANIFEST, SUMS, Fate, Papers
from app.services.bundle.pages.refunds import is_under_way, paid_back, refunds_told
from app.services.bundle.pages.sheet import page
from app.services.bundle.pages.words import beijing, beijing_of, word, word_of, yuan

_TITLE = "退款争议案件材料"


def cover_page(papers: Papers, contents: Iterable[tuple[str, str]]) -> bytes:
    """The page; `contents` are the other files in order, each with what it is."""
    return page(
        _TITLE,
        papers.under,
        _not_real(papers),
        section("一、案件概要", _summary(papers)),
        section("二、处理结果", _result(papers), *refunds_told(papers.view.refunds)),
        section("三、阅读时请注意", _remarks(papers)),
        section("四、平台之外的途径", *_ways(papers)),
        section("五、材料目录", table(("文件", "内容"), _contents(contents))),
        section("六、如何核对", *_checking()),
    )


def _contents(contents: Iterable[tuple[str, str]]) -> Iterator[tuple[Child, Child]]:
    """Files that are the same kind of thing share a row."""
    for what, group in groupby(contents, key=itemgetter(1)):
        yield together(tag("div", link(path, path)) for path, _ in group), what


def _not_real(papers: Papers) -> Html | None:
    if papers.site.mode == "live":
        return None
    return tag("div", tag("p", "本案来自测试环境，所载均为测试数据，不具有证明效力。"), class_="box warn")


def _summary(papers: Papers) -> Html:
    case, claim = papers.view.case, papers.view.case.claim
    amount = claim["amount"]
    contact, description = claim["first_contact_at"], claim["description"]
    return pairs(
        (
            ("处理平台", said(papers.site.name)),
            ("订单号", case.order_no or "无（支付后未生成订单）"),
            *_order(papers),
            ("买家（平台编号）", None if case.buyer_id is None else said(case.buyer_id)),
            ("商家（平台编号）", None if case.merchant_id is None else said(case.merchant_id)),
            ("退款事由", words_of(case.reason)[0]),
            ("申请类型", f"{word_of(Remedy, claim['remedy'])}（{word_of(Via, claim['via'])}）"),
            ("申请金额", "按规则可退的全部金额" if amount is None else yuan(amount)),
            ("申请时间", beijing(case.filed_at)),
            ("首次联系商家", beijing_of(contact)),
            ("买家陈述", None if description is None else said(description)),
            ("当前状态", word(case.status)),
            ("适用规则", f"{papers.policy.title_zh}（{papers.policy.name}，第 {papers.policy.version} 版）"),
        )
    )


def _order(papers: Papers) -> Iterator[tuple[str, Child]]:
    for order in _documents(papers, RecordKind.ORDER):
        yield "商品", said(order["goods_name"])
        yield "订单金额", yuan(order["amount"])
        yield "下单时间", beijing_of(order["placed_at"])
    paid = [each for each in _documents(papers, RecordKind.PAYMENT) if each["status"] == PaymentStatus.SUCCEEDED]
    if paid:
        yield "支付成功金额", f"{yuan(sum(each['amount'] for each in paid))}（{len(paid)} 笔）"


def _documents(papers: Papers, kind: RecordKind) -> list[dict[str, Any]]:
    return [json.loads(told.record) for told in papers.latest(kind)]


def _result(papers: Papers) -> Html:
    if not papers.documents:
        return tag("p", "本案尚未作出裁定。")
    latest = papers.documents[-1]
    body, outcome = latest.body, latest.body["outcome"]
    why = next((finding["message"] for finding in body["findings"] if finding["decisive"]), None)
    refund = body["refund"]
    return tag(
        "div",
        tag(
            "p",
            tag("strong", word_of(Outcome, outcome)),
            f"　（第 {latest.text.n} 次裁定，{beijing_of(body['judged_at'])}）",
        ),
        None if why is None else tag("p", why),
        None if refund is None else tag("p", f"退款金额：{yuan(refund['amount'])}，原路退回。"),
        tag("p", f"责任认定：{word_of(Liability, body['liability'])}"),
        class_=f"box result {outcome}",
    )


def _remarks(papers: Papers) -> Html:
    found = bullets(_gaps(papers)), bullets(_missing_files(papers)), bullets(_left_out(papers))
    shown = [each for each in found if each is not None]
    if not shown:
        return tag("p", "证据链各环节均有记录或证据，声明的文件均已收录。")
    return tag("div", *shown, class_="box warn")


def _gaps(papers: Papers) -> Iterator[str]:
    for each in papers.links:
        if each.gap is not None:
            yield f"证据链缺口（{LINKS[each.name][0]}）：{each.gap[0]}"


def _missing_files(papers: Papers) -> Iterator[Html]:
    for row in papers.view.evidence:
        fate = papers.fates.get(row.n, Fate.ENCLOSED)
        if row.file is not None and fate is not Fate.ENCLOSED:
            yield tag("span", f"证据 {row.n} 的文件“", said(row.file.name), f"”：{FATES[fate]}。")


def _left_out(papers: Papers) -> Iterator[str]:
    kept: dict[tuple[RecordKind, str], int] = {}
    for each in papers.records:
        kept[each.kind, each.record_no] = kept.get((each.kind, each.record_no), 0) + 1
    for told in (told for kind in RecordKind for told in papers.latest(kind)):
        count = kept[told.kind, told.record_no]
        if count < told.versions:
            yield f"记录 {told.record_no} 共有 {told.versions} 个版本，仅收录最近 {count} 个。"


def _ways(papers: Papers) -> Iterator[Html]:
    beyond, refunds = papers.beyond, papers.view.refunds
    back = paid_back(refunds)
    left = 0 if beyond is None else beyond.at_stake - back
    returned = f"平台发出的退款中，已到账 {yuan(back)}。" if back else ""
    if beyond is None or not beyond.ways or left <= 0:
        yield tag("p", f"{returned}按平台记录，本案已没有尚未退回的款项。")
        return
    under_way = "平台已发出退款指令，如未按期到账，可以：" if is_under_way(refunds) else "可以："
    yield tag("p", f"{returned}按平台作出最近一次裁定时的记录，尚未退回的款项为 {yuan(left)}。{under_way}")
    yield table(("途径", "期限", "说明"), (_way(way) for way in beyond.ways))
    if beyond.notarise:
        threshold = in_words(Fen(beyond.notarised_from))[0]
        yield tag("p", f"涉及金额达到 {threshold}，建议对关键证据进行公证。")


def _way(way: Way) -> tuple[str, str, str]:
    until = "不受本平台期限限制" if way.until is None else f"{beijing(way.until)} 前"
    remarks = [] if way.certain else ["部分渠道可能已不受理，请向支付渠道确认"]
    if not way.suggested:
        remarks.append("金额较小，请考虑诉讼成本")
    return VENUES[way.venue][0], until, "；".join(remarks) or "—"


def _checking() -> Iterator[Html]:
    yield tag(
        "p",
        f"{SUMS} 列出了每个文件的 SHA-256 值（相当于文件的指纹，改动一个字即不同）：在本文件夹内运行 ",
        tag("code", f"sha256sum -c {SUMS}"),
        "（Windows 可用 ",
        tag("code", "certutil -hashfile 文件名 SHA256"),
        f" 逐个计算），结果一致即说明文件未被改动；{MANIFEST} 载有同样的内容及说明。",
    )
    yield tag(
        "p",
        "每份裁定书末尾的“凭据”是裁定当时所依据的事实与规则的 SHA-256 值：对 06-裁定原文 中相应的“事实”“规则”文件计算 "
        "SHA-256，与凭据一致，即说明裁定的依据在裁定之后未被改动。",
    )


def contents_of(papers: Papers) -> Iterator[tuple[str, str]]:
    """The pages that there are beside the cover."""
    yield CHAIN, "证据链（支付、确认、交付、协商）及其缺口，证据清单，平台记录，案件时间线"
    for document in papers.documents:
        outcome = word_of(Outcome, document.body["outcome"])
        yield document.page, f"第 {document.text.n} 次裁定：{outcome}"
    yield ACTS, "商家答复、人工裁定、申诉、撤回、升级等当事人行为"
