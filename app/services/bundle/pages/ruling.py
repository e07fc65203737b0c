"""裁定书: one decision as it was made, with every finding, what it rests on, and its receipt."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.rules.facts import Channel, EvidenceKind, Reason
from app.rules.findings import Effect, Outcome
from app.rules.liability import Funding, Liability
from app.services.bundle.pages.fact_words import fact_in_words
from app.services.bundle.pages.markup import Child, Html, bullets, link, pairs, section, table, tag
from app.services.bundle.pages.papers import Document, Papers
from app.services.bundle.pages.sheet import page
from app.services.bundle.pages.words import ACTIONS, ACTORS, DEADLINES, beijing_of, moment_of, word_of, yuan

_HOW_TO_READ = tag(
    "p",
    "以下逐项列出规则的认定、认定所用的事实，以及规则的编号与出处（平台规则所依据的条文来源）。",
    class_="quiet small",
)


def ruling_page(papers: Papers, document: Document) -> bytes:
    """The page of one decision."""
    body = document.body
    return page(
        f"裁定书（第 {document.text.n} 次裁定）",
        papers.under,
        _result(document),
        section("认定与理由", _HOW_TO_READ, *(_finding(finding) for finding in body["findings"])),
        section("退款安排", *_refund(body["refund"])),
        section("证据", *_evidence(document)),
        section("期限与下一步", *_deadlines(body)),
        _would_change(body),
        section("凭据", *_receipt(papers, document)),
    )


def _result(document: Document) -> Html:
    body = document.body
    return tag(
        "div",
        tag("p", "裁定结果：", tag("strong", word_of(Outcome, body["outcome"]))),
        pairs(
            (
                ("裁定时间", beijing_of(body["judged_at"])),
                ("决定性规则", tag("code", body["decisive_rule"])),
                ("责任认定", word_of(Liability, body["liability"])),
                ("适用规则", f"{body['policy']['name']}，第 {body['policy']['version']} 版"),
                ("建议改用的事由", _reason(body["suggested_reason"])),
            )
        ),
        class_=f"box result {body['outcome']}",
    )


def _reason(suggested: str | None) -> str | None:
    return None if suggested is None else word_of(Reason, suggested)


def _finding(finding: Mapping[str, Any]) -> Html:
    facts = [fact_in_words(name, value) for name, value in finding["facts"].items()]
    leads_to = finding["leads_to"]
    decisive = "（决定本次裁定）" if finding["decisive"] else ""
    effect = word_of(Effect, finding["effect"])
    towards = "" if leads_to is None else f"，指向：{word_of(Outcome, leads_to)}"
    return tag(
        "div",
        tag("h3", f"{effect}{towards}{decisive}"),
        tag("p", finding["message"]),
        pairs(facts) if facts else None,
        tag("p", "规则 ", tag("code", finding["rule"]), f"；出处：{finding['source']}", class_="quiet small"),
        class_="box result" if finding["decisive"] else "box",
    )


def _refund(refund: Mapping[str, Any] | None) -> Iterator[Html]:
    if refund is None:
        yield tag("p", "本次裁定不涉及退款。")
        return
    funding = word_of(Funding, refund["funding"])
    yield tag("p", f"退款金额 {yuan(refund['amount'])}，原路退回；资金来源：{funding}。")
    rows = (
        (
            share["payment_no"],
            word_of(Channel, share["channel"]),
            yuan(share["amount"]),
            moment_of({"at": share["expected_by"], "provisional": share["provisional"]}),
        )
        for share in refund["allocations"]
    )
    yield table(("原支付单号", "渠道", "退回金额", "承诺最迟到账"), rows)


def _evidence(document: Document) -> Iterator[Child]:
    told = document.body["evidence"]
    yield tag("p", f"该事由需要：{_kinds(told['required'])}。尚缺：{_kinds(told['missing'])}。")
    numbers = "、".join(str(n) for n in document.pieces) or "无"
    yield tag("p", f"裁定时已提交的证据（编号见“证据链与时间线”）：{numbers}。")
    yield bullets(
        f"证据 {_number(document, piece['index'])}（{word_of(EvidenceKind, piece['kind'])}）{piece['message']}"
        for piece in told["discounted"]
    )


def _kinds(kinds: list[str]) -> str:
    return "、".join(word_of(EvidenceKind, kind) for kind in kinds) or "无"


def _number(document: Document, index: int) -> str:
    return str(document.pieces[index]) if index < len(document.pieces) else f"第 {index + 1} 项"


def _deadlines(body: Mapping[str, Any]) -> Iterator[Child]:
    deadlines, following = body["deadlines"], body["next"]
    if deadlines:
        rows = ((DEADLINES.get(each["name"], each["name"]), moment_of(each)) for each in deadlines)
        yield table(("期限", "最迟"), rows)
    yield bullets(_step(step) for step in following)
    if not deadlines and not following:
        yield tag("p", "本次裁定未设期限。")


def _step(step: Mapping[str, Any]) -> str:
    who, what = ACTORS.get(step["by"], step["by"]), ACTIONS.get(step["action"], step["action"])
    until = beijing_of(step["until"])
    return f"{who}：{what}" if until is None else f"{who}：{what}（最迟 {until}）"


def _would_change(body: Mapping[str, Any]) -> Html | None:
    found = bullets(change["message"] for change in body["would_change"])
    return None if found is None else section("若情况不同", found)


def _receipt(papers: Papers, document: Document) -> Iterator[Html]:
    receipt = document.body["receipt"]
    policy: Child = link(papers.policy_path, papers.policy_path)
    if receipt["policy_sha256"] != papers.policy.sha256:
        policy = "平台现存的规则文本与裁定时不同，未附"
    yield table(
        ("依据", "SHA-256", "文件"),
        (
            ("事实", tag("code", receipt["facts_sha256"]), link(document.facts, document.facts)),
            ("规则", tag("code", receipt["policy_sha256"]), policy),
        ),
    )
    yield tag("p", f"裁定程序：{receipt['engine']}。裁定原文见 ", link(document.original, document.original), "。")
