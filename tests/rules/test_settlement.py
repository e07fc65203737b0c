"""What a report changes: every state against every report, and that neither order nor repetition of reports matters."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations_with_replacement, product
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rules.facts import Channel
from app.rules.lifecycle import CaseEvent
from app.rules.settlement import (
    ACCEPTED_WITHIN,
    FINAL,
    REPORTABLE,
    STOPPED,
    ConflictCode,
    Failure,
    FailureCode,
    RefundState,
    Report,
    ReportVerdict,
    Standing,
    Weighed,
    event_of,
    first_overdue,
    weigh,
)

S, V = RefundState, ReportVerdict
NOON: Final = datetime(2026, 3, 10, 4, tzinfo=UTC)
A_SECOND: Final = timedelta(seconds=1)
MOMENTS: Final = (NOON - A_SECOND, NOON, NOON + A_SECOND)
REPORTED: Final = (S.ACCEPTED, S.PROCESSING, S.ABNORMAL, S.FAILED, S.SUCCEEDED, S.CLOSED)
VERDICTS: Final = {"A": V.APPLIED, "R": V.REPEATED, "L": V.LATE, "C": V.CONFLICT}
AGAIN: Final = "requested again"
# What becomes of a report (columns as in REPORTED) that agrees with the instruction, and is of a moment before, at and
# after the last word. Success and closing are applied whenever they come; what leads back from a stop, or on from a
# new instruction, has to be younger than the last word; what else is no older than it goes on.
TABLE: Final = {
    "requested":  "AAA AAA AAA AAA AAA AAA",
    AGAIN:        "LLA LLA LLA LLA AAA AAA",
    "accepted":   "RRR LAA LAA LAA AAA AAA",
    "processing": "LLL RRR LAA LAA AAA AAA",
    "abnormal":   "LLA LLA RRR LAA AAA AAA",
    "failed":     "LLA LLA LAA RRR AAA AAA",
    "succeeded":  "LLL LLL CCC CCC RRR CCC",
    "closed":     "LLL LLL LLL LLL CCC RRR",
}  # fmt: skip
# The state that is reported brings a number of the channel's that was not known: that is news, unless it is old news.
WITH_A_NUMBER: Final = TABLE | {
    "accepted":   "LAA LAA LAA LAA AAA AAA",
    "processing": "LLL LAA LAA LAA AAA AAA",
    "abnormal":   "LLA LLA LAA LAA AAA AAA",
    "failed":     "LLA LLA LAA LAA AAA AAA",
}  # fmt: skip
CELLS: Final = [
    (row, state, at, VERDICTS[cell.split()[column][moment]])
    for row, cell in TABLE.items()
    for column, state in enumerate(REPORTED)
    for moment, at in enumerate(MOMENTS)
]


def standing(row: str, number: str | None = "50-1") -> Standing:
    """A refund whose last word is of noon; one that was just asked for has none."""
    state = S.REQUESTED if row == AGAIN else S(row)
    is_new = row == S.REQUESTED
    return Standing(
        payment_no="P-1",
        channel=Channel.ALIPAY,
        amount=20_000,
        currency="CNY",
        state=state,
        reported_at=None if is_new else NOON,
        channel_refund_no=None if is_new else number,
        failure=Failure(FailureCode.INSUFFICIENT_BALANCE, "before") if state in STOPPED else None,
    )


def said(state: RefundState, at: datetime = NOON, number: str | None = "50-1") -> Report:
    """A report that agrees with the instruction."""
    failure = Failure(FailureCode.INSUFFICIENT_BALANCE, "余额不足") if state in STOPPED else None
    return Report(state, at, 20_000, "CNY", number, failure, "P-1", Channel.ALIPAY)


def applied(refund: Standing, report: Report) -> Standing:
    """The refund after a report that counts: its state, its moment, its failure, and a number if there was none."""
    number = refund.channel_refund_no if refund.channel_refund_no is not None else report.channel_refund_no
    failure = report.failure if report.state in {S.ABNORMAL, S.FAILED, S.CLOSED} else None
    return replace(
        refund, state=report.state, reported_at=report.at, channel_refund_no=number, failure=failure
    )  # fmt: skip


def repeated(refund: Standing, report: Report) -> Standing:
    """A refund of which the same is said again, later, is known to stand so until then; its end has one moment."""
    if refund.state in {S.SUCCEEDED, S.CLOSED} or refund.reported_at is None:
        return refund
    return replace(refund, reported_at=max(refund.reported_at, report.at))


def conflict_of(row: str) -> ConflictCode:
    return ConflictCode.AFTER_SUCCESS if row == S.SUCCEEDED else ConflictCode.AFTER_CLOSED


def expected(row: str, refund: Standing, report: Report, verdict: ReportVerdict) -> Weighed:
    if verdict is V.APPLIED:
        return Weighed(verdict, applied(refund, report))
    if verdict is V.REPEATED:
        return Weighed(verdict, repeated(refund, report))
    return Weighed(verdict, refund, conflict_of(row) if verdict is V.CONFLICT else None)


def test_the_table_covers_every_state_and_every_report() -> None:
    assert set(REPORTED) == set(S) - {S.REQUESTED} == REPORTABLE
    assert set(TABLE) - {AGAIN} == set(S)
    assert len(CELLS) == 8 * 6 * 3


@pytest.mark.parametrize(("row", "state", "at", "verdict"), CELLS)
def test_a_report_that_agrees(row: str, state: RefundState, at: datetime, verdict: ReportVerdict) -> None:
    refund, report = standing(row), said(state, at)
    assert weigh(refund, report) == expected(row, refund, report, verdict)


@pytest.mark.parametrize(("row", "state", "at", "verdict"), CELLS)
@pytest.mark.parametrize("left_out", ["amount", "currency", "channel_refund_no", "payment_no", "channel"])
def test_what_a_report_leaves_out_is_no_contradiction(
    row: str, state: RefundState, at: datetime, verdict: ReportVerdict, left_out: str
) -> None:
    refund = standing(row)
    without: dict[str, Any] = {left_out: None}
    report = replace(said(state, at), **without)
    assert weigh(refund, report) == expected(row, refund, report, verdict)


@pytest.mark.parametrize("row", TABLE)
@pytest.mark.parametrize("state", REPORTED)
def test_a_number_that_comes_later_is_taken_up(row: str, state: RefundState) -> None:
    refund = standing(row, number=None)
    cell = WITH_A_NUMBER[row].split()[REPORTED.index(state)]
    for at, letter in zip(MOMENTS, cell, strict=True):
        report = said(state, at, "50-2")
        assert weigh(refund, report) == expected(row, refund, report, VERDICTS[letter])


MISMATCHES: Final[dict[ConflictCode, dict[str, Any]]] = {
    ConflictCode.AMOUNT: {"amount": 19_999},
    ConflictCode.CURRENCY: {"currency": "USD"},
    ConflictCode.PAYMENT_NO: {"payment_no": "P-2"},
    ConflictCode.CHANNEL: {"channel": Channel.WECHAT_PAY},
    ConflictCode.CHANNEL_REFUND_NO: {"channel_refund_no": "50-2"},
}


@pytest.mark.parametrize("row", TABLE)
@pytest.mark.parametrize("state", REPORTED)
@pytest.mark.parametrize("code", MISMATCHES)
def test_what_does_not_match_the_instruction_is_a_conflict(row: str, state: RefundState, code: ConflictCode) -> None:
    if code is ConflictCode.CHANNEL_REFUND_NO and row == S.REQUESTED:
        return  # no number is known yet, so that none can be another
    refund = standing(row)
    for at in MOMENTS:
        report = replace(said(state, at), **MISMATCHES[code])
        assert weigh(refund, report) == Weighed(V.CONFLICT, refund, code)


@pytest.mark.parametrize("amount", [1, 19_999, 20_001, 10**12])
def test_neither_less_nor_more_is_the_amount(amount: int) -> None:
    refund = standing(S.PROCESSING)
    assert weigh(refund, replace(said(S.SUCCEEDED), amount=amount)).conflict is ConflictCode.AMOUNT


def test_the_first_thing_that_does_not_match_is_named() -> None:
    odd = replace(said(S.SUCCEEDED), amount=1, currency="USD", payment_no="P-2", channel_refund_no="50-2")
    assert weigh(standing(S.PROCESSING), odd).conflict is ConflictCode.AMOUNT
    assert weigh(standing(S.SUCCEEDED), replace(odd, state=S.FAILED)).conflict is ConflictCode.AMOUNT


def test_what_made_a_refund_stop_is_forgotten_when_it_goes_on() -> None:
    for state in (S.ACCEPTED, S.PROCESSING, S.SUCCEEDED):
        assert weigh(standing(S.FAILED), said(state, NOON + A_SECOND)).after.failure is None
    stopped = weigh(standing(S.PROCESSING), said(S.ABNORMAL)).after
    assert stopped.failure == Failure(FailureCode.INSUFFICIENT_BALANCE, "余额不足")


# Histories as an honest channel has them: each step a second after the one before, or in the same second.
REPORTS = st.builds(
    Report,
    state=st.sampled_from(REPORTED),
    at=st.sampled_from(MOMENTS),
    amount=st.sampled_from([None, 20_000, 1]),
    currency=st.sampled_from([None, "CNY", "USD"]),
    channel_refund_no=st.sampled_from([None, "50-1", "50-2"]),
    failure=st.sampled_from([None, Failure(FailureCode.OTHER)]),
    payment_no=st.sampled_from([None, "P-1", "P-2"]),
    channel=st.sampled_from([None, Channel.ALIPAY, Channel.WECHAT_PAY]),
)
STANDINGS = st.builds(standing, st.sampled_from(sorted(TABLE)), st.sampled_from([None, "50-1"]))


@st.composite
def histories(draw: st.DrawFn) -> list[Report]:
    """From the instruction to its end, which it may not have reached; it may have stopped in between, and gone on."""
    steps = [each for each in (S.ACCEPTED, S.PROCESSING) if draw(st.booleans())]
    for _ in range(draw(st.integers(0, 2))):
        steps.append(draw(st.sampled_from([S.FAILED, S.ABNORMAL])))
        steps += [S.PROCESSING] if draw(st.booleans()) else []
    steps += draw(st.sampled_from([[], [S.SUCCEEDED], [S.CLOSED]]))
    steps = steps or [S.ACCEPTED]
    return [said(state, NOON + n * A_SECOND) for n, state in enumerate(steps)]


def after_all(reports: Sequence[Report]) -> Standing:
    """The refund once all of that was said, in that order."""
    refund = standing(S.REQUESTED)
    for report in reports:
        refund = weigh(refund, report).after
    return refund


@given(histories().flatmap(lambda history: st.tuples(st.just(history), st.permutations(history + history))))
def test_neither_order_nor_repetition_matters_for_the_end(case: tuple[list[Report], list[Report]]) -> None:
    history, arriving = case
    last = history[-1]
    end = after_all(arriving)
    assert (end.state, end.reported_at, end.failure) == (last.state, last.at, last.failure)
    assert end.channel_refund_no == "50-1"


@given(st.permutations([S.ACCEPTED, S.PROCESSING, S.FAILED, S.SUCCEEDED]))
def test_within_one_second_the_order_does_not_matter_either(states: list[RefundState]) -> None:
    assert after_all([said(state) for state in states]).state is S.SUCCEEDED
    assert after_all([said(state) for state in states if state is not S.SUCCEEDED]).state is S.FAILED
    behind = [state for state in states if state in {S.ACCEPTED, S.PROCESSING}]
    assert after_all([said(state) for state in behind]).state is S.PROCESSING


@given(st.lists(REPORTS, max_size=8), REPORTS)
def test_said_again_at_once_nothing_changes(before: list[Report], report: Report) -> None:
    once = weigh(after_all(before), report)
    again = weigh(once.after, report)
    assert again.after == once.after
    assert again.verdict is (V.REPEATED if once.verdict is V.APPLIED else once.verdict)


@given(STANDINGS, st.lists(REPORTS, max_size=8))
def test_the_end_is_final(refund: Standing, reports: list[Report]) -> None:
    for report in reports:
        weighed = weigh(refund, report)
        if refund.state in FINAL:
            assert weighed.after == refund
            assert weighed.verdict is not V.APPLIED
        refund = weighed.after


@given(STANDINGS, REPORTS)
def test_only_what_is_applied_changes_the_state(refund: Standing, report: Report) -> None:
    weighed = weigh(refund, report)
    assert (weighed.conflict is not None) is (weighed.verdict is V.CONFLICT)
    if weighed.verdict is V.APPLIED:
        assert weighed.after == applied(refund, report)
    elif weighed.verdict is V.REPEATED:
        assert weighed.after == repeated(refund, report)
    else:
        assert weighed.after == refund


@given(STANDINGS, REPORTS)
def test_amount_currency_payment_and_channel_are_the_instructions_for_ever(refund: Standing, report: Report) -> None:
    after = weigh(refund, report).after
    assert (after.payment_no, after.channel, after.amount, after.currency) == ("P-1", Channel.ALIPAY, 20_000, "CNY")
    if refund.channel_refund_no is not None:
        assert after.channel_refund_no == refund.channel_refund_no


@given(STANDINGS, REPORTS, st.integers(-3, 3))
def test_only_the_distance_of_moments_counts(refund: Standing, report: Report, days: int) -> None:
    by = timedelta(days=days)
    told = refund.reported_at
    moved = weigh(
        replace(refund, reported_at=None if told is None else told + by), replace(report, at=report.at + by)
    )  # fmt: skip
    here = weigh(refund, report)
    assert (moved.verdict, moved.conflict, moved.after.state) == (here.verdict, here.conflict, here.after.state)


def what_they_come_to(states: Sequence[RefundState], *, under_way: bool) -> CaseEvent | None:
    """Read from the states of `api.md`: all back; or somebody has to act; or it goes on."""
    if set(states) == {S.SUCCEEDED}:
        return CaseEvent.REFUNDS_SETTLED
    if set(states) & {S.ABNORMAL, S.FAILED, S.CLOSED}:
        return CaseEvent.REFUND_STOPPED
    return CaseEvent.REFUND_UNDER_WAY if under_way or set(states) != {S.REQUESTED} else None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_the_refunds_of_a_case_come_to(number: int) -> None:
    for states, under_way in product(combinations_with_replacement(S, number), (False, True)):
        assert event_of(states, under_way=under_way) is what_they_come_to(states, under_way=under_way)
        assert event_of(states[::-1], under_way=under_way) is event_of(states, under_way=under_way)


@pytest.mark.parametrize(
    ("expected_in", "overdue_in"),
    [(None, ACCEPTED_WITHIN), (timedelta(days=3), ACCEPTED_WITHIN), (timedelta(minutes=59), timedelta(minutes=59))],
)
def test_an_instruction_that_nobody_takes_is_overdue_within_the_hour(
    expected_in: timedelta | None, overdue_in: timedelta
) -> None:
    expected_by = None if expected_in is None else NOON + expected_in
    assert first_overdue(NOON, expected_by) == NOON + overdue_in
    assert timedelta(hours=1) == ACCEPTED_WITHIN


@pytest.mark.parametrize("state", [S.FAILED, S.ABNORMAL])
def test_whoever_acts_on_a_refund_that_has_stopped_knows_the_last_reason(state: RefundState) -> None:
    refund = standing(state)
    gone = Failure(FailureCode.ACCOUNT_GONE, "已注销")
    earlier, later = (replace(said(state, at), failure=gone) for at in (NOON - A_SECOND, NOON + A_SECOND))
    assert weigh(refund, earlier).verdict is ReportVerdict.LATE
    applied = weigh(refund, later)
    assert (applied.verdict, applied.after.failure) == (ReportVerdict.APPLIED, gone)
    assert weigh(refund, replace(later, failure=None)).verdict is ReportVerdict.REPEATED
    unexplained = replace(refund, failure=None)
    assert weigh(unexplained, later) == applied
    assert weigh(unexplained, replace(later, failure=None)).verdict is ReportVerdict.REPEATED
