"""The life of a case: the table against the written-down transitions, and what may happen now at every instant."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.rules.adjudicate import judge
from app.rules.facts import Course, Facts
from app.rules.findings import Outcome
from app.rules.lifecycle import (
    ACTIONS,
    FOR_A_PERSON,
    PAYING_BACK,
    TABLE,
    UNDECIDED,
    WAITING_FOR_THE_BUYER,
    Allowed,
    CaseEvent,
    CaseStatus,
    NotAllowed,
    Situation,
    advance,
    allowed_now,
    judged,
    obstacle,
    require,
)
from app.rules.policy import Policy
from tests.rules.building import AS_OF
from tests.rules.strategies import POLICIES, facts_under_way
from tests.rules.test_properties import steady

S, E = CaseStatus, CaseEvent
A_MOMENT = timedelta(microseconds=1)
AROUND = (AS_OF - A_MOMENT, AS_OF, AS_OF + A_MOMENT)
OVER = {S.WITHDRAWN, S.LAPSED, S.REFUNDED}
# The money of an approved claim is on its way; whatever its refunds come to, it is not back yet.
UNDER_WAY = {S.APPROVED, S.REFUNDING, S.REFUND_FAILED}
OF_THE_MONEY = {E.REFUND_UNDER_WAY, E.REFUND_STOPPED, E.REFUND_RETRIED, E.REFUNDS_SETTLED}
ENDS = {S.REFUNDED, S.REJECTED, S.WITHDRAWN, S.LAPSED}
BEFORE_APPROVAL = {S.AWAITING_MERCHANT, S.AWAITING_EVIDENCE, S.WAITING, S.IN_REVIEW, S.APPEALED}
DEADLINES = ("wait", "evidence_supplement", "merchant_turn", "review", "first_answer", "appeal", "money_back")
PEOPLE_DO = {
    "respond": {"merchant"},
    "supply_evidence": {"buyer", "merchant"},
    "rule": {"platform"},
    "confirm_ruling": {"platform"},
    "appeal": {"buyer"},
    "withdraw": {"buyer"},
    "accept_reissue": {"buyer"},
    "escalate": {"buyer"},
    "retry_refund": {"platform"},
    "close_refund": {"platform"},
}


def targets(event: CaseEvent) -> dict[CaseStatus, CaseStatus]:
    """Where an event leads from each status that knows it."""
    return {before: after for (before, each), after in TABLE.items() if each is event}


def staying(*statuses: CaseStatus) -> dict[CaseStatus, CaseStatus]:
    return {status: status for status in statuses}


# --- the table, written down a second time

JUDGED_FROM = {S.FILED} | BEFORE_APPROVAL
WRITTEN: dict[CaseEvent, dict[CaseStatus, CaseStatus]] = {
    E.JUDGED_APPROVE: dict.fromkeys(JUDGED_FROM, S.APPROVED),
    E.JUDGED_REJECT: dict.fromkeys(JUDGED_FROM - {S.APPEALED}, S.REJECTED),
    E.JUDGED_WAIT: dict.fromkeys(JUDGED_FROM, S.WAITING),
    E.JUDGED_REQUEST_EVIDENCE: dict.fromkeys(JUDGED_FROM, S.AWAITING_EVIDENCE),
    E.JUDGED_AWAIT_MERCHANT: dict.fromkeys(JUDGED_FROM, S.AWAITING_MERCHANT),
    E.JUDGED_MANUAL_REVIEW: dict.fromkeys(JUDGED_FROM, S.IN_REVIEW) | {S.APPEALED: S.APPEALED},
    E.MERCHANT_RESPONDED: staying(*BEFORE_APPROVAL),
    E.EVIDENCE_SUPPLIED: staying(*BEFORE_APPROVAL),
    E.RULING_PROPOSED: staying(S.IN_REVIEW, S.APPEALED),
    E.RULED_APPROVE: {S.IN_REVIEW: S.APPROVED, S.APPEALED: S.APPROVED},
    E.RULED_REJECT: {S.IN_REVIEW: S.REJECTED, S.APPEALED: S.REJECTED},
    E.APPEAL_MADE: {S.REJECTED: S.APPEALED},
    E.WITHDRAWN: dict.fromkeys(BEFORE_APPROVAL, S.WITHDRAWN),
    E.LAPSED: {S.AWAITING_EVIDENCE: S.LAPSED},
    E.ESCALATED: staying(S.IN_REVIEW, S.APPEALED, *UNDER_WAY, S.REJECTED, S.LAPSED),
    E.REFUND_UNDER_WAY: dict.fromkeys(UNDER_WAY, S.REFUNDING),
    E.REFUND_STOPPED: dict.fromkeys(UNDER_WAY, S.REFUND_FAILED),
    E.REFUND_RETRIED: {S.REFUND_FAILED: S.REFUNDING},
    E.REFUND_GIVEN_UP: staying(S.REFUND_FAILED),
    E.REFUNDS_SETTLED: dict.fromkeys(UNDER_WAY, S.REFUNDED),
}


@pytest.mark.parametrize("event", CaseEvent)
def test_an_event_leads_where_it_is_written(event: CaseEvent) -> None:
    assert targets(event) == WRITTEN[event]


def test_every_event_happens_to_some_case() -> None:
    assert {event for _, event in TABLE} == set(CaseEvent)


def test_the_first_judgement_leads_to_each_place_where_a_case_waits_or_ends() -> None:
    after = {TABLE[S.FILED, judged(outcome)] for outcome in Outcome}
    assert after == {S.AWAITING_MERCHANT, S.AWAITING_EVIDENCE, S.WAITING, S.IN_REVIEW, S.APPROVED, S.REJECTED}


def test_a_judgement_is_an_event_of_its_own() -> None:
    assert {judged(outcome) for outcome in Outcome} == {each for each in CaseEvent if each.startswith("judged_")}
    assert judged(Outcome.AWAIT_MERCHANT) is E.JUDGED_AWAIT_MERCHANT


def test_nothing_leaves_an_end() -> None:
    for (before, _), after in TABLE.items():
        assert before not in OVER or before is after


def test_every_status_before_the_approval_can_be_withdrawn_and_none_after() -> None:
    assert set(targets(E.WITHDRAWN)) == set(UNDECIDED) == BEFORE_APPROVAL


def test_every_status_that_is_no_end_can_reach_each_end() -> None:
    for status in set(UNDECIDED) | {S.FILED}:
        assert reached_from(status) >= ENDS
    assert reached_from(S.REJECTED) >= ENDS


def reached_from(status: CaseStatus) -> set[CaseStatus]:
    """Every status that a case in this one may come to, by whatever events."""
    reached, fresh = {status}, {status}
    while fresh:
        fresh = {after for (before, _), after in TABLE.items() if before in fresh} - reached
        reached |= fresh
    return reached


def test_a_filed_case_can_come_to_every_status() -> None:
    assert reached_from(S.FILED) == set(CaseStatus)


def test_what_was_decided_comes_back_by_an_appeal_alone() -> None:
    moves = {event for (before, event), after in TABLE.items() if before is S.REJECTED and after is not S.REJECTED}
    assert moves == {E.APPEAL_MADE}


def test_what_was_granted_never_comes_back_and_moves_with_its_refunds_alone() -> None:
    assert set(PAYING_BACK) == UNDER_WAY
    for status in UNDER_WAY:
        assert reached_from(status) == {status, S.REFUNDING, S.REFUND_FAILED, S.REFUNDED}
    moves = {event for (before, event), after in TABLE.items() if before in UNDER_WAY and after is not before}
    assert moves == OF_THE_MONEY
    assert {before for before, event in TABLE if event in OF_THE_MONEY} == UNDER_WAY


def test_only_a_refund_that_has_stopped_is_asked_for_again() -> None:
    for status in CaseStatus:
        retries = [each for each in allowed_now(situation(status)) if each.action == "retry_refund"]
        assert retries == ([Allowed("retry_refund", "platform", None)] if status is S.REFUND_FAILED else [])


def test_no_appeal_is_rejected_by_rule() -> None:
    with pytest.raises(NotAllowed):
        advance(S.APPEALED, E.JUDGED_REJECT)
    assert advance(S.APPEALED, E.JUDGED_MANUAL_REVIEW) is S.APPEALED
    assert advance(S.APPEALED, E.RULED_REJECT) is S.REJECTED


@settings(steady, max_examples=200)
@given(facts_under_way(), POLICIES, st.sampled_from(UNDECIDED))
def test_every_judgement_has_its_place(drawn: Facts, policy: Policy, status: CaseStatus) -> None:
    """Whatever the rules come to while no person has ruled, the table knows where it leads."""
    appealed_at = drawn.as_of if status is S.APPEALED else None
    drawn = replace(drawn, course=Course(appealed_at=appealed_at))
    after = advance(status, judged(judge(drawn, policy).outcome))
    assert after in {*UNDECIDED, S.APPROVED, S.REJECTED}


def test_who_waits_for_whom() -> None:
    assert set(FOR_A_PERSON) == set(targets(E.RULED_APPROVE)) == set(targets(E.RULED_REJECT))
    assert set(WAITING_FOR_THE_BUYER) == {S.AWAITING_EVIDENCE, S.WAITING}


# --- what may happen now


def situation(status: CaseStatus, now: datetime = AS_OF, **changes: Any) -> Situation:
    """A case in this status, each of whose deadlines is at the same instant."""
    deadlines = changes.pop("deadlines", dict.fromkeys(DEADLINES, AS_OF))
    return Situation(status, now, deadlines=deadlines, **changes)


def codes(event: CaseEvent, status: CaseStatus, **changes: Any) -> list[str | None]:
    """What stands in the way a microsecond before the deadline, at it, and after it."""
    found = [obstacle(event, situation(status, now, **changes)) for now in AROUND]
    return [None if each is None else each.code for each in found]


LATE = [None, None, "deadline_passed"]
EARLY = ["not_overdue", "not_overdue", None]
FREE = [None, None, None]


@pytest.mark.parametrize(
    ("event", "status", "expected"),
    [
        (E.EVIDENCE_SUPPLIED, S.AWAITING_EVIDENCE, LATE),
        (E.MERCHANT_RESPONDED, S.AWAITING_MERCHANT, LATE),
        (E.APPEAL_MADE, S.REJECTED, LATE),
        (E.EVIDENCE_SUPPLIED, S.AWAITING_MERCHANT, FREE),
        (E.EVIDENCE_SUPPLIED, S.WAITING, FREE),
        (E.EVIDENCE_SUPPLIED, S.IN_REVIEW, FREE),
        (E.EVIDENCE_SUPPLIED, S.APPEALED, FREE),
        (E.MERCHANT_RESPONDED, S.AWAITING_EVIDENCE, FREE),
        (E.MERCHANT_RESPONDED, S.IN_REVIEW, FREE),
        (E.ESCALATED, S.IN_REVIEW, EARLY),
        (E.ESCALATED, S.APPEALED, EARLY),
        (E.ESCALATED, S.APPROVED, EARLY),
        (E.ESCALATED, S.REFUNDING, EARLY),
        (E.ESCALATED, S.REFUND_FAILED, EARLY),
        (E.REFUND_RETRIED, S.REFUND_FAILED, FREE),
        (E.ESCALATED, S.REJECTED, FREE),
        (E.ESCALATED, S.LAPSED, FREE),
        (E.RULED_APPROVE, S.IN_REVIEW, FREE),
        (E.RULED_REJECT, S.APPEALED, FREE),
        (E.WITHDRAWN, S.AWAITING_EVIDENCE, FREE),
    ],
    ids=str,
)
def test_an_instant_ends_or_opens_what_may_be_done(
    event: CaseEvent, status: CaseStatus, expected: list[str | None]
) -> None:
    assert codes(event, status) == expected
    if expected is not FREE:
        assert codes(event, status, deadlines={}) == FREE


@pytest.mark.parametrize(
    ("event", "status", "deadline"),
    [
        (E.EVIDENCE_SUPPLIED, S.AWAITING_EVIDENCE, "evidence_supplement"),
        (E.MERCHANT_RESPONDED, S.AWAITING_MERCHANT, "merchant_turn"),
        (E.APPEAL_MADE, S.REJECTED, "appeal"),
        (E.ESCALATED, S.IN_REVIEW, "review"),
        (E.ESCALATED, S.APPEALED, "review"),
        (E.ESCALATED, S.APPROVED, "money_back"),
        (E.ESCALATED, S.REFUNDING, "money_back"),
        (E.ESCALATED, S.REFUND_FAILED, "money_back"),
    ],
)
def test_it_is_this_deadline_and_no_other(event: CaseEvent, status: CaseStatus, deadline: str) -> None:
    assert codes(event, status, deadlines={deadline: AS_OF}) != FREE
    others = {name: AS_OF for name in DEADLINES if name != deadline}
    assert codes(event, status, deadlines=others) == FREE


def test_a_case_is_appealed_once() -> None:
    assert codes(E.APPEAL_MADE, S.REJECTED, appealed=True) == ["appealed_before"] * 3
    assert codes(E.APPEAL_MADE, S.REJECTED, filed_again=True) == ["case_open"] * 3
    assert "appeal" not in {each.action for each in allowed_now(situation(S.REJECTED, appealed=True))}


def test_a_merchant_is_heard_only_on_claims_about_its_fault() -> None:
    for status in UNDECIDED:
        assert codes(E.MERCHANT_RESPONDED, status, merchant_is_heard=False) == ["merchant_not_heard"] * 3


def test_until_when_something_may_be_done() -> None:
    def until(status: CaseStatus) -> set[Allowed]:
        return set(allowed_now(situation(status, AS_OF - A_MOMENT)))

    withdraw = Allowed("withdraw", "buyer", None)
    by_both = {Allowed("supply_evidence", "buyer", None), Allowed("supply_evidence", "merchant", None)}
    respond = Allowed("respond", "merchant", None)
    assert until(S.AWAITING_MERCHANT) == {withdraw, *by_both, Allowed("respond", "merchant", AS_OF)}
    assert until(S.AWAITING_EVIDENCE) == {
        withdraw,
        respond,
        Allowed("supply_evidence", "buyer", AS_OF),
        Allowed("supply_evidence", "merchant", AS_OF),
    }
    assert until(S.WAITING) == {withdraw, respond, *by_both}
    for status in FOR_A_PERSON:
        assert until(status) == {withdraw, respond, *by_both, Allowed("rule", "platform", AS_OF)}
    assert until(S.APPROVED) == until(S.REFUNDING) == set()
    assert until(S.REFUND_FAILED) == {Allowed("retry_refund", "platform", None)}
    assert until(S.REJECTED) == {Allowed("appeal", "buyer", AS_OF), Allowed("escalate", "buyer", None)}
    assert until(S.LAPSED) == {Allowed("escalate", "buyer", None)}
    assert until(S.WITHDRAWN) == until(S.FILED) == until(S.REFUNDED) == set()


def test_a_review_that_is_overdue_may_still_be_ruled_and_may_be_taken_elsewhere() -> None:
    allowed = allowed_now(situation(S.IN_REVIEW, AS_OF + A_MOMENT))
    assert {("rule", AS_OF), ("escalate", None)} <= {(each.action, each.until) for each in allowed}


def test_what_was_offered_or_proposed_can_be_taken_up() -> None:
    def actions(status: CaseStatus, **changes: Any) -> set[tuple[str, str]]:
        return {(each.action, each.by) for each in allowed_now(situation(status, **changes))}

    for status in UNDECIDED:
        offered, plain = actions(status, reissue_offered=True), actions(status)
        assert offered - plain == {("accept_reissue", "buyer")}
        proposed = actions(status, ruling_proposed=True) - plain
        assert proposed == ({("confirm_ruling", "platform")} if status in FOR_A_PERSON else set())
    for status in set(CaseStatus) - set(UNDECIDED):
        assert actions(status, reissue_offered=True, ruling_proposed=True) == actions(status)


SITUATIONS = st.builds(
    Situation,
    status=st.sampled_from(CaseStatus),
    now=st.sampled_from(AROUND),
    merchant_is_heard=st.booleans(),
    appealed=st.booleans(),
    reissue_offered=st.booleans(),
    ruling_proposed=st.booleans(),
    deadlines=st.dictionaries(st.sampled_from(DEADLINES), st.sampled_from(AROUND)),
)
# Actions that come along with the event of another one.
ALONG_WITH = {"accept_reissue": "withdraw", "confirm_ruling": "rule"}


@settings(max_examples=1000, deadline=None, derandomize=True, database=None)
@given(SITUATIONS)
def test_what_is_listed_is_exactly_what_nothing_stands_in_the_way_of(now: Situation) -> None:
    listed = {each.action for each in allowed_now(now)}
    assert listed - ALONG_WITH.keys() == {
        action for event, (action, _) in ACTIONS.items() if obstacle(event, now) is None
    }
    for action in listed & ALONG_WITH.keys():
        assert ALONG_WITH[action] in listed
    for each in allowed_now(now):
        assert each.by in PEOPLE_DO[each.action]
        if each.by != "platform":  # what a person promised may be done afterwards
            assert each.until is None or each.until >= now.now
    for event in CaseEvent:
        assert (obstacle(event, now) is None) <= ((now.status, event) in TABLE)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(SITUATIONS, st.sampled_from(CaseEvent))
def test_what_is_refused_is_refused_by_name_in_both_languages(now: Situation, event: CaseEvent) -> None:
    found = obstacle(event, now)
    if found is None:
        require(event, now)
        if event is not E.RULING_PROPOSED:
            assert advance(now.status, event) is TABLE[now.status, event]
        return
    with pytest.raises(NotAllowed) as refused:
        require(event, now)
    assert refused.value.code == found.code
    assert any("\u4e00" <= letter <= "\u9fff" for letter in found.zh)
    assert not any("\u4e00" <= letter <= "\u9fff" for letter in found.en)
    if found.code == "not_allowed_now":
        assert now.status in found.en
        assert now.status in found.zh
        for each in allowed_now(now):
            assert each.action in found.en
            assert each.action in found.zh


def test_an_event_that_cannot_happen_names_what_can_and_until_when() -> None:
    refused = obstacle(E.WITHDRAWN, situation(S.REJECTED))
    assert refused is not None
    assert refused.en == "The case is rejected. Allowed now: appeal (until 2026-04-13T15:00:00+08:00); escalate."
    assert refused.zh == "案件状态为 rejected。当前可执行：appeal（最迟 2026-04-13T15:00:00+08:00）；escalate。"
    by_two = obstacle(E.APPEAL_MADE, situation(S.WAITING))
    assert by_two is not None
    assert by_two.en == "The case is waiting. Allowed now: respond; supply_evidence; withdraw."
    nothing = obstacle(E.WITHDRAWN, situation(S.WITHDRAWN))
    assert nothing is not None
    assert nothing.en.endswith("Allowed now: nothing.")
    assert nothing.zh.endswith("当前可执行：无。")


def test_only_what_has_stopped_and_is_not_closed_can_be_given_up() -> None:
    stopped = Situation(S.REFUND_FAILED, AS_OF, refund_can_be_given_up=True)
    closed = replace(stopped, refund_can_be_given_up=False)
    assert obstacle(E.REFUND_GIVEN_UP, stopped) is None
    found = obstacle(E.REFUND_GIVEN_UP, closed)
    assert found is not None
    assert found.code == "refund_closed"
    assert {each.action for each in allowed_now(stopped)} - {each.action for each in allowed_now(closed)} == {
        "close_refund"
    }
