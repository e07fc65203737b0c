"""Writes `docs/lifecycle.md` from the table of the life of a case: `python -m tests.docs.write_lifecycle`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.rules.lifecycle import (
    TABLE,
    UNDECIDED,
    Allowed,
    CaseEvent,
    CaseStatus,
    Situation,
    allowed_now,
)
from tests.docs.write_rules import table

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "lifecycle.md"
S, E = CaseStatus, CaseEvent

HEAD = """\
# The life of a case · 案件进程

Generated from the code by `python -m tests.docs.write_lifecycle`; a test keeps the two equal. The life of a case is
one table, (status, event) → status, in `app/rules/lifecycle.py`: what is absent from it is refused with 409 and an
answer that names what is allowed now. `GET /v1/cases/{case_id}` lists that under `next`: each action, by whom, until
when.

本页由代码生成。案件进程是一张“（状态，事件）→ 状态”的表；表中没有的操作以 409 拒绝，并告知当前可以做什么。
`GET /v1/cases/{case_id}` 的 `next` 列出当前可执行的操作、由谁执行、最迟何时。
"""
PICTURE_HEAD = """\
## The picture · 状态图

A case that is still open is judged anew whenever a fact arrives, by evidence, an answer, a record or a deadline; what
the rules come to is the event. An event that changes no status is not drawn.
尚未结案的案件，每有新的事实（证据、答复、记录、期限届满）即按规则重新裁定；不改变状态的事件未画出。
"""
STATUS_HEAD = "## Statuses · 状态\n"
MOVES_HEAD = """\
## What leads from one status to another · 状态变更

Once a claim is granted, its refunds move the case: it has failed while any of them has stopped, and is paid back when
all have arrived. A refund in whose place another was asked for does not count any more.
申请通过后，案件状态随其退款单变化：任一退款单受阻即为“退款失败”，全部到账即为“已退款”；已被取代的退款单不再计入。
"""
STAYS_HEAD = """\
## What leaves the status as it is · 不改变状态的事件

After an answer or a piece of evidence the case is judged anew; a judgement that comes to the same leaves it where it
is.
商家答复或补充证据后随即重新裁定；裁定结果不变的，案件状态不变。
"""
ACTIONS_HEAD = """\
## Who may do what, and until when · 谁可以做什么，最迟何时

An instant that ends something is itself still in time; what is only promised by a time may still be done after it.
Where a claim names no fault of the merchant's, the merchant is not heard; a case is appealed once.
期限届满的那一刻仍为有效；仅为承诺的时限，过后仍可办理。不涉及商家过错的申请无需商家答复；每个案件只能申诉一次。
"""
DEADLINES_HEAD = """\
## Deadlines · 期限

Who has to act is reminded 24 hours before, or, where less than four days were given, when a quarter of the time is
left.
期限届满前 24 小时提醒；所给时间不足四天的，在剩余四分之一时提醒。
"""

STATUSES: dict[CaseStatus, tuple[str, str]] = {
    S.FILED: ("已提交", "filed, and judged at once"),
    S.AWAITING_MERCHANT: ("等待商家答复", "the merchant is asked for an answer"),
    S.AWAITING_EVIDENCE: ("等待补充证据", "the buyer is asked for evidence"),
    S.WAITING: ("等待期满", "nothing can be said before a time is over, such as that of the delivery"),
    S.IN_REVIEW: ("人工审核中", "a person looks at it"),
    S.APPROVED: ("已通过", "money goes back: its refunds are asked for"),
    S.REJECTED: ("已驳回", "no money goes back; the buyer may appeal once"),
    S.APPEALED: ("申诉中", "a person answers the appeal"),
    S.REFUNDING: ("退款中", "the money is on its way"),
    S.REFUND_FAILED: ("退款失败", "a refund has stopped, and a person is to look at it"),
    S.REFUNDED: ("已退款", "the money is back"),
    S.WITHDRAWN: ("已撤回", "the buyer took the claim back"),
    S.LAPSED: ("已逾期失效", "the evidence that was asked for did not come in time"),
}
EVENTS: dict[CaseEvent, tuple[str, str, str]] = {
    E.JUDGED_APPROVE: ("按规则通过", "the rules grant the claim", "the rules"),
    E.JUDGED_REJECT: ("按规则驳回", "the rules refuse the claim", "the rules"),
    E.JUDGED_WAIT: ("须等待", "a time has to pass first", "the rules"),
    E.JUDGED_REQUEST_EVIDENCE: ("须补充证据", "evidence is missing", "the rules"),
    E.JUDGED_AWAIT_MERCHANT: ("须商家答复", "the merchant is to be heard", "the rules"),
    E.JUDGED_MANUAL_REVIEW: ("须人工裁定", "the rules leave it to a person", "the rules"),
    E.MERCHANT_RESPONDED: ("商家答复", "the merchant accepts, contests or offers a re-issue", "the merchant"),
    E.EVIDENCE_SUPPLIED: ("补充证据", "a piece of evidence is put forward", "the buyer or the merchant"),
    E.RULING_PROPOSED: ("提出裁定", "a person rules, and a second one has to agree", "a person of the platform"),
    E.RULED_APPROVE: ("人工支持", "a person grants the claim", "a person of the platform"),
    E.RULED_REJECT: ("人工驳回", "a person refuses the claim", "a person of the platform"),
    E.APPEAL_MADE: ("申诉", "the buyer appeals, with new evidence", "the buyer"),
    E.WITHDRAWN: ("撤回", "the buyer takes the claim back, or takes a re-issue instead", "the buyer"),
    E.LAPSED: ("逾期失效", "the time to supply evidence is over", "the clock"),
    E.ESCALATED: ("升级处理", "the buyer takes the matter beyond the site", "the buyer"),
    E.REFUND_UNDER_WAY: ("退款进行", "somebody has taken the instruction, or the channel has it", "the refunds"),
    E.REFUND_STOPPED: ("退款受阻", "a refund goes on only if a person does something", "the refunds"),
    E.REFUND_RETRIED: ("重新发起退款", "a refund that has stopped is asked for again", "a person of the platform"),
    E.REFUND_GIVEN_UP: ("关闭退款", "a refund that will never be paid is closed by hand", "a person of the platform"),
    E.REFUNDS_SETTLED: ("退款到账", "every refund of the case has arrived", "the refunds"),
}
DEADLINES: dict[str, tuple[str, str]] = {
    "wait": ("等待期", "when it is over, the case is judged anew"),
    "evidence_supplement": ("补充证据期限", "when it is over, the case lapses; counted from the first request"),
    "merchant_turn": (
        "商家答复期限",
        "when it is over, the case is judged anew, and silence speaks for the buyer",
    ),
    "review": ("人工审核时限", "a promise: once it is broken, the buyer may escalate, and a person may still rule"),
    "first_answer": ("首次答复时限", "a promise: it is told when it is broken"),
    "money_back": ("退款到账时限", "a promise: once it is broken, the buyer may escalate"),
    "appeal": ("申诉期限", "when it is over, the rejection stays"),
    "channel_dispute": ("支付渠道争议期限", "the payment channel's own; nothing here ends with it"),
}
# Actions in words; those at the end come along with the action of an event, in the statuses of that event.
ACTION_WORDS = {
    "respond": "商家答复",
    "supply_evidence": "补充证据",
    "rule": "人工裁定",
    "appeal": "申诉",
    "withdraw": "撤回",
    "escalate": "升级处理",
    "accept_reissue": "接受补发（商家提出后）",
    "confirm_ruling": "复核裁定（须第二人同意时）",
    "retry_refund": "重新发起退款",
    "close_refund": "关闭退款",
}
AT = datetime(2026, 1, 1, tzinfo=UTC)
AFTER = AT + timedelta(microseconds=1)


def document() -> str:
    """The whole page."""
    parts = (
        (HEAD, PICTURE_HEAD, f"```mermaid\n{picture()}```\n"),
        (STATUS_HEAD, _statuses(), MOVES_HEAD, _moves(), STAYS_HEAD, _stays()),
        (ACTIONS_HEAD, _actions(), DEADLINES_HEAD, _deadlines()),
    )
    return "\n".join(line for part in parts for line in part)


# --- the picture


def picture() -> str:
    """The table as a Mermaid state diagram: what holds for every open case is drawn once."""
    return "".join(f"{line}\n" for line in ("stateDiagram-v2", *(f"    {line}" for line in _drawn())))


def _drawn() -> Iterator[str]:
    yield "direction LR"
    yield from (f"{status} : {status} {STATUSES[status][0]}" for status in _in_the_table())
    yield "state judged <<choice>>"
    yield f"[*] --> {S.FILED}"
    yield f"{S.FILED} --> judged"
    yield "state open {"
    yield from (f"    {status}" for status in UNDECIDED)
    yield "}"
    yield "open --> judged"
    yield from _judgements()
    yield from _other_moves()
    yield from (f"{status} --> [*]" for status in _in_the_table() if _is_left_by(status) <= {E.APPEAL_MADE})


def _in_the_table() -> list[CaseStatus]:
    known = {before for before, _ in TABLE} | set(TABLE.values())
    return [status for status in CaseStatus if status in known]


def _is_left_by(status: CaseStatus) -> set[CaseEvent]:
    return {event for (before, event), after in TABLE.items() if before is status and after is not status}


def _judgements() -> Iterator[str]:
    for event in CaseEvent:
        if event.startswith("judged_"):
            after = TABLE[S.FILED, event]
            others = [each for each in UNDECIDED if TABLE.get((each, event)) is not after]
            but = f" (not from {', '.join(others)})" if others else ""
            yield f"judged --> {after} : {event} {EVENTS[event][0]}{but}"


def _other_moves() -> Iterator[str]:
    for event in CaseEvent:
        if event.startswith("judged_"):
            continue
        for after, sources in _groups(event):
            label = f"{event} {EVENTS[event][0]}"
            if set(sources) == set(UNDECIDED):
                yield f"open --> {after} : {label}"
            else:
                yield from (f"{before} --> {after} : {label}" for before in sources)


# --- the tables


def _groups(event: CaseEvent) -> Iterator[tuple[CaseStatus, list[CaseStatus]]]:
    """Where an event leads to, and from where; without those that it leaves as they are."""
    moves = {before: after for (before, each), after in TABLE.items() if each is event and before is not after}
    for after in CaseStatus:
        sources = [before for before in CaseStatus if moves.get(before) is after]
        if sources:
            yield after, sources


def _statuses() -> str:
    rows = [(f"`{status}`", *STATUSES[status], _ways_out(status)) for status in CaseStatus]
    return table(("status", "状态", "what it means", "what leads out of it"), rows)


def _ways_out(status: CaseStatus) -> str:
    return _names([event for event in CaseEvent if event in _is_left_by(status)]) or "nothing"


def _names(values: Sequence[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _moves() -> str:
    rows = [(*_event(event), _names(sources), f"`{after}`") for event in CaseEvent for after, sources in _groups(event)]
    return table(("event", "事件", "what happens", "who", "from", "to"), rows)


def _stays() -> str:
    rows = []
    for event in CaseEvent:
        staying = [status for status in CaseStatus if TABLE.get((status, event)) is status]
        if staying:
            rows.append((*_event(event), _names(staying)))
    return table(("event", "事件", "what happens", "who", "in"), rows)


def _event(event: CaseEvent) -> tuple[str, str, str, str]:
    return (f"`{event}`", *EVENTS[event])


def _actions() -> str:
    """One row for all statuses in which the same deadlines bear on an action."""
    rows: dict[tuple[str, ...], list[CaseStatus]] = {}
    for action, words in ACTION_WORDS.items():
        for status in CaseStatus:
            parties = list(dict.fromkeys(each.by for each in _offered(status) if each.action == action))
            if parties:
                row = (f"`{action}`", words, " / ".join(parties), *_bearing(action, status))
                rows.setdefault(row, []).append(status)
    head = ("action", "动作", "by", "ended by", "promised by", "not before the end of", "in")
    return table(head, [(*row, _names(statuses)) for row, statuses in rows.items()])


def _offered(status: CaseStatus, now: datetime = AT, name: str | None = None) -> tuple[Allowed, ...]:
    """What may be done in a case whose only deadline is this one."""
    deadlines = {} if name is None else {name: AT}
    might = Situation(status, now, reissue_offered=True, ruling_proposed=True, refund_can_be_given_up=True)
    return allowed_now(replace(might, deadlines=deadlines))


def _bearing(action: str, status: CaseStatus) -> tuple[str, str, str]:
    """The deadlines that end an action, that it is promised by, that it opens after: each is tried."""
    found: dict[tuple[bool, bool], list[str]] = {}
    for name in DEADLINES:
        before, after = ([each for each in _offered(status, at, name) if each.action == action] for at in (AT, AFTER))
        if any(each.until for each in before) or not before:
            found.setdefault((bool(before), bool(after)), []).append(name)
    ends, promises, opens = (_names(found.get(key, [])) or "–" for key in ((True, False), (True, True), (False, True)))
    return ends, promises, opens


def _deadlines() -> str:
    return table(("deadline", "期限", "what it does"), [(f"`{name}`", *said) for name, said in DEADLINES.items()])


if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")
