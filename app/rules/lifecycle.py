"""The life of a case as one table: (status, event) → status. What is absent cannot happen.

Whether an event that the table has may happen *now* depends on little more: a time limit that has run out, an appeal
that was made already. `obstacle` says so, and `allowed_now` is the table less its obstacles.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from app.rules.findings import Outcome


class CaseStatus(StrEnum):
    """案件状态."""

    FILED = "filed"
    AWAITING_MERCHANT = "awaiting_merchant"
    AWAITING_EVIDENCE = "awaiting_evidence"
    WAITING = "waiting"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    REJECTED = "rejected"
    APPEALED = "appealed"
    REFUNDING = "refunding"
    REFUND_FAILED = "refund_failed"
    REFUNDED = "refunded"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


class CaseEvent(StrEnum):
    """案件事件: what happens to a case. Judgements are by the rules, rulings by people."""

    JUDGED_APPROVE = "judged_approve"
    JUDGED_REJECT = "judged_reject"
    JUDGED_WAIT = "judged_wait"
    JUDGED_REQUEST_EVIDENCE = "judged_request_evidence"
    JUDGED_AWAIT_MERCHANT = "judged_await_merchant"
    JUDGED_MANUAL_REVIEW = "judged_manual_review"
    MERCHANT_RESPONDED = "merchant_responded"
    EVIDENCE_SUPPLIED = "evidence_supplied"
    RULING_PROPOSED = "ruling_proposed"
    RULED_APPROVE = "ruled_approve"
    RULED_REJECT = "ruled_reject"
    APPEAL_MADE = "appeal_made"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    ESCALATED = "escalated"
    REFUND_UNDER_WAY = "refund_under_way"
    REFUND_STOPPED = "refund_stopped"
    REFUND_RETRIED = "refund_retried"
    REFUND_GIVEN_UP = "refund_given_up"
    REFUNDS_SETTLED = "refunds_settled"


# The rules may still come to another result; once they or a person have decided, only an appeal brings a case back.
UNDECIDED = (
    CaseStatus.AWAITING_MERCHANT,
    CaseStatus.AWAITING_EVIDENCE,
    CaseStatus.WAITING,
    CaseStatus.IN_REVIEW,
    CaseStatus.APPEALED,
)
FOR_A_PERSON = (CaseStatus.IN_REVIEW, CaseStatus.APPEALED)
WAITING_FOR_THE_BUYER = (CaseStatus.AWAITING_EVIDENCE, CaseStatus.WAITING)
# Granted, and the money is not back yet.
PAYING_BACK = (CaseStatus.APPROVED, CaseStatus.REFUNDING, CaseStatus.REFUND_FAILED)
# Nothing goes on before a person has done something: ruled, or let a refund go on.
AT_THE_DESK = (*FOR_A_PERSON, CaseStatus.REFUND_FAILED)


def _table() -> Iterator[tuple[tuple[CaseStatus, CaseEvent], CaseStatus]]:
    for status in (CaseStatus.FILED, *UNDECIDED):
        yield (status, CaseEvent.JUDGED_APPROVE), CaseStatus.APPROVED
        yield (status, CaseEvent.JUDGED_WAIT), CaseStatus.WAITING
        yield (status, CaseEvent.JUDGED_REQUEST_EVIDENCE), CaseStatus.AWAITING_EVIDENCE
        yield (status, CaseEvent.JUDGED_AWAIT_MERCHANT), CaseStatus.AWAITING_MERCHANT
        if status is CaseStatus.APPEALED:  # an appeal is answered by a person, and never rejected by rule again
            yield (status, CaseEvent.JUDGED_MANUAL_REVIEW), CaseStatus.APPEALED
        else:
            yield (status, CaseEvent.JUDGED_MANUAL_REVIEW), CaseStatus.IN_REVIEW
            yield (status, CaseEvent.JUDGED_REJECT), CaseStatus.REJECTED
    for status in UNDECIDED:
        yield (status, CaseEvent.MERCHANT_RESPONDED), status
        yield (status, CaseEvent.EVIDENCE_SUPPLIED), status
        yield (status, CaseEvent.WITHDRAWN), CaseStatus.WITHDRAWN
    for status in FOR_A_PERSON:
        yield (status, CaseEvent.RULING_PROPOSED), status
        yield (status, CaseEvent.RULED_APPROVE), CaseStatus.APPROVED
        yield (status, CaseEvent.RULED_REJECT), CaseStatus.REJECTED
    yield (CaseStatus.AWAITING_EVIDENCE, CaseEvent.LAPSED), CaseStatus.LAPSED
    yield (CaseStatus.REJECTED, CaseEvent.APPEAL_MADE), CaseStatus.APPEALED
    for status in PAYING_BACK:
        yield (status, CaseEvent.REFUND_UNDER_WAY), CaseStatus.REFUNDING
        yield (status, CaseEvent.REFUND_STOPPED), CaseStatus.REFUND_FAILED
        yield (status, CaseEvent.REFUNDS_SETTLED), CaseStatus.REFUNDED
    yield (CaseStatus.REFUND_FAILED, CaseEvent.REFUND_RETRIED), CaseStatus.REFUNDING
    yield (CaseStatus.REFUND_FAILED, CaseEvent.REFUND_GIVEN_UP), CaseStatus.REFUND_FAILED
    for status in (*FOR_A_PERSON, *PAYING_BACK, CaseStatus.REJECTED, CaseStatus.LAPSED):
        yield (status, CaseEvent.ESCALATED), status


TABLE: Mapping[tuple[CaseStatus, CaseEvent], CaseStatus] = MappingProxyType(dict(_table()))

# What people do, in the words of `next`, and who does it.
ACTIONS: Mapping[CaseEvent, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        CaseEvent.MERCHANT_RESPONDED: ("respond", ("merchant",)),
        CaseEvent.EVIDENCE_SUPPLIED: ("supply_evidence", ("buyer", "merchant")),
        CaseEvent.RULED_APPROVE: ("rule", ("platform",)),
        CaseEvent.APPEAL_MADE: ("appeal", ("buyer",)),
        CaseEvent.WITHDRAWN: ("withdraw", ("buyer",)),
        CaseEvent.ESCALATED: ("escalate", ("buyer",)),
        CaseEvent.REFUND_RETRIED: ("retry_refund", ("platform",)),
        CaseEvent.REFUND_GIVEN_UP: ("close_refund", ("platform",)),
    }
)
# Which of a case's deadlines ends what may be done.
_ENDED_BY: Mapping[tuple[CaseStatus, CaseEvent], str] = MappingProxyType(
    {
        (CaseStatus.AWAITING_EVIDENCE, CaseEvent.EVIDENCE_SUPPLIED): "evidence_supplement",
        (CaseStatus.AWAITING_MERCHANT, CaseEvent.MERCHANT_RESPONDED): "merchant_turn",
        (CaseStatus.REJECTED, CaseEvent.APPEAL_MADE): "appeal",
    }
)
# A promise to the buyer that has to be broken before a case which is still under way can be taken elsewhere.
_OVERDUE: Mapping[CaseStatus, str] = MappingProxyType(
    {**dict.fromkeys(FOR_A_PERSON, "review"), **dict.fromkeys(PAYING_BACK, "money_back")}
)
# By when something should be done, although it may still be done afterwards.
_PROMISED_BY: Mapping[CaseEvent, str] = MappingProxyType({CaseEvent.RULED_APPROVE: "review"})


@dataclass(frozen=True, slots=True)
class Allowed:
    """下一步: an action, who may take it, and until when (None: nothing ends it)."""

    action: str
    by: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides, beside the table, whether something may happen now. `deadlines`: of the case, by name.

    `merchant_is_heard`: the reason names a fault of the merchant's. `appealed`: an appeal was made before.
    `filed_again`: the same claim is open or granted in another case. `reissue_offered`: the merchant's last word is an
    offer that the buyer may take instead of the money. `ruling_proposed`: one person has ruled, and a second one has
    to agree. `refund_can_be_given_up`: one has stopped and is not closed.
    """

    status: CaseStatus
    now: datetime
    merchant_is_heard: bool = True
    appealed: bool = False
    filed_again: bool = False
    reissue_offered: bool = False
    ruling_proposed: bool = False
    refund_can_be_given_up: bool = False
    deadlines: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))


class NotAllowed(Exception):
    """An event that cannot happen to a case now; the message names what can."""

    def __init__(self, code: str, *, en: str, zh: str) -> None:
        super().__init__(code)
        self.code = code
        self.en = en
        self.zh = zh


def judged(outcome: Outcome) -> CaseEvent:
    """The event that a judgement with this outcome is."""
    return CaseEvent(f"judged_{outcome.value}")


def advance(status: CaseStatus, event: CaseEvent) -> CaseStatus:
    """The status after an event. Raises NotAllowed for one that the table does not have."""
    after = TABLE.get((status, event))
    if after is None:
        raise _absent(status)
    return after


def require(event: CaseEvent, situation: Situation) -> None:
    """Raises NotAllowed if the event cannot happen now, saying why and what can."""
    found = obstacle(event, situation)
    if found is not None:
        raise found


def obstacle(event: CaseEvent, situation: Situation) -> NotAllowed | None:
    """What keeps an event from happening now; None: nothing."""
    status = situation.status
    if (status, event) not in TABLE:
        return _absent(status, allowed_now(situation))
    if event is CaseEvent.MERCHANT_RESPONDED and not situation.merchant_is_heard:
        return NotAllowed(
            "merchant_not_heard",
            en="The claim names no fault of the merchant's, so the merchant's answer decides nothing.",
            zh="该申请事由不涉及商家过错，无需商家答复。",
        )
    if event is CaseEvent.APPEAL_MADE and situation.appealed:
        return NotAllowed("appealed_before", en="A case can be appealed once.", zh="每个案件只能申诉一次。")
    if event is CaseEvent.APPEAL_MADE and situation.filed_again:
        return NotAllowed(
            "case_open",
            en="The same claim was filed again, and that case is open or granted. Go on with it.",
            zh="同一申请已重新提交（处理中或已支持），请在新案件中继续。",
        )
    if event is CaseEvent.REFUND_GIVEN_UP and not situation.refund_can_be_given_up:
        return NotAllowed(
            "refund_closed",
            en="Every refund that has stopped is closed already. It can be replaced: retry it.",
            zh="已停下的退款均已关闭，可重试以新单号退款。",
        )
    return _too_late(event, situation) or _too_early(event, situation)


def allowed_now(situation: Situation) -> tuple[Allowed, ...]:
    """Every action that can be taken now, by whom, until when."""
    return tuple(_allowed(situation))


def _allowed(situation: Situation) -> Iterator[Allowed]:
    for event, (action, parties) in ACTIONS.items():
        if (situation.status, event) in TABLE and obstacle(event, situation) is None:
            until = situation.deadlines.get(_ENDED_BY.get((situation.status, event)) or _PROMISED_BY.get(event, ""))
            for party in parties:
                yield Allowed(action, party, until)
            if event is CaseEvent.WITHDRAWN and situation.reissue_offered:
                yield Allowed("accept_reissue", "buyer", until)
            if event is CaseEvent.RULED_APPROVE and situation.ruling_proposed:
                yield Allowed("confirm_ruling", "platform", until)


def _too_late(event: CaseEvent, situation: Situation) -> NotAllowed | None:
    until = situation.deadlines.get(_ENDED_BY.get((situation.status, event), ""))
    if until is None or situation.now <= until:
        return None
    return NotAllowed(
        "deadline_passed",
        en=f"The time for this ended at {until.isoformat()}.",
        zh=f"该操作的期限已于 {until.isoformat()} 截止。",
    )


def _too_early(event: CaseEvent, situation: Situation) -> NotAllowed | None:
    if event is not CaseEvent.ESCALATED or situation.status not in _OVERDUE:
        return None
    promised = situation.deadlines.get(_OVERDUE[situation.status])
    if promised is None or situation.now > promised:
        return None
    return NotAllowed(
        "not_overdue",
        en=f"The case is still under way here; what was promised by {promised.isoformat()} is not overdue yet.",
        zh=f"案件仍在处理中，承诺的 {promised.isoformat()} 尚未到期。",
    )


def _absent(status: CaseStatus, allowed: tuple[Allowed, ...] = ()) -> NotAllowed:
    # What two parties may do is named once.
    en = "; ".join(dict.fromkeys(_listed(each, " (until {})") for each in allowed))
    zh = "；".join(dict.fromkeys(_listed(each, "（最迟 {}）") for each in allowed))
    return NotAllowed(
        "not_allowed_now",
        en=f"The case is {status.value}. Allowed now: {en or 'nothing'}.",
        zh=f"案件状态为 {status.value}。当前可执行：{zh or '无'}。",
    )


def _listed(allowed: Allowed, until: str) -> str:
    return allowed.action if allowed.until is None else allowed.action + until.format(allowed.until.isoformat())
