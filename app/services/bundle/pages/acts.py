"""当事人行为: what the merchant, the buyer and the people of the platform did in the case, in their own words."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.models.closed_sets import ActKind
from app.rules.escalation import Venue
from app.rules.facts import Position, Ruled, RulingCode
from app.rules.settlement import FailureCode, RefundState
from app.services.bundle.pages.markup import Child, Html, pairs, said, tag
from app.services.bundle.pages.papers import Papers
from app.services.bundle.pages.refunds import account_in_words
from app.services.bundle.pages.sheet import page
from app.services.bundle.pages.words import beijing, beijing_of, word, word_of, yuan
from app.services.parties import Because
from app.store.case_rows import ActRow

_BY: Mapping[ActKind, str] = {
    ActKind.MERCHANT_RESPONSE: "商家",
    ActKind.RULING: "裁定人",
    ActKind.RULING_PROPOSAL: "裁定人",
    ActKind.APPEAL: "买家",
    ActKind.WITHDRAWAL: "买家",
    ActKind.ESCALATION: "提出人",
    ActKind.REFUND_RETRY: "操作人",
    ActKind.REFUND_CLOSING: "操作人",
}
_CALLED = {
    "position": "立场",
    "message": "说明",
    "because": "原因",
    "note": "备注",
    "outcome": "裁定结果",
    "code": "裁定理由",
    "text": "裁定说明",
    "amount": "支持金额",
    "overturned": "推翻的规则",
    "venue": "途径",
    "reference": "受理编号",
    "raised_at": "提出时间",
    "open_until": "该途径的期限",
    "refund_no": "退款单号",
    "state": "此前的状态",
    "new_refund_no": "新的退款单号",
    "other_account": "改退至",
    "failure": "关闭原因",
    "despite_dispute": "已向渠道核实未付款",
}
_SETS = {
    "position": Position,
    "because": Because,
    "outcome": Ruled,
    "code": RulingCode,
    "venue": Venue,
    "state": RefundState,
    "failure": FailureCode,
}
_INSTANTS = frozenset({"raised_at", "open_until"})


def acts_page(papers: Papers) -> bytes:
    """The page; one that says so where nobody has done anything."""
    acts = papers.view.acts
    nothing = tag("p", "除提交申请与证据外，各方在本案中尚无其他行为。")
    return page("当事人行为", papers.under, *([_act(number, act) for number, act in enumerate(acts, 1)] or [nothing]))


def _act(number: int, act: ActRow) -> Html:
    by = None if act.by is None else said(act.by)
    rows: list[tuple[str, Child]] = [("时间", beijing(act.created_at)), (_BY.get(act.kind, "行为人"), by)]
    return tag("section", tag("h2", f"{number}. {word(act.kind)}"), pairs([*rows, *_details(act.details)]))


def _details(details: Mapping[str, Any]) -> Iterator[tuple[str, Child]]:
    """In the order above; what is not known there comes last, as it is."""
    for name in [*_CALLED, *sorted(details.keys() - _CALLED)]:
        if details.get(name) is not None:
            yield _CALLED.get(name, name), _detail(name, details[name])


def _detail(name: str, value: Any) -> Child:
    if name in _SETS:
        return word_of(_SETS[name], value)
    if name in _INSTANTS:
        return beijing_of(value)
    if name == "other_account":
        return account_in_words(value)
    return yuan(value) if name == "amount" else said(str(value))
