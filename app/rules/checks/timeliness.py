"""Stages 3 and 4: too early, or too late."""

from collections.abc import Iterator
from datetime import datetime

from app.rules.calendar import Moment, in_shanghai
from app.rules.facts import Reason
from app.rules.findings import Effect, Finding, Outcome, Rule, Stage, Value
from app.rules.lengths import Exact
from app.rules.policy import Strictness
from app.rules.reasons import PAYMENT_REASONS
from app.rules.standing import Standing
from app.rules.windows import report_window

AWAITED = frozenset({Reason.NOT_DELIVERED, Reason.DELIVERED_LATE})
LAGGING = frozenset({Reason.CHARGED_WITHOUT_ORDER, Reason.DUPLICATE_CHARGE})

NOT_YET_DUE = Rule(
    "not-yet-due",
    Stage.TOO_EARLY,
    Effect.DEFERS,
    "seed 004 §一.1",
    en="Delivery is promised by {due_at}; at {as_of} that is still {remaining} away.",
    zh="约定的发货时间为 {due_at}；截至 {as_of} 还有 {remaining}。",
    when_en="nothing is delivered and the promised time has not come",
    when_zh="尚未发货且约定时间未到",
    reasons=AWAITED,
    looks_at=("due_at", "delivered_at"),
)
SETTLEMENT_LAG = Rule(
    "settlement-lag",
    Stage.TOO_EARLY,
    Effect.DEFERS,
    "seed 003 §四 误区一",
    en="The charge of {paid_at} may take up to {lag} to reach the order; until {until} it may be late, not lost.",
    zh="{paid_at} 的扣款最多需 {lag}才同步到订单；{until} 之前可能只是延迟，并未丢失。",
    when_en="a charge is younger than the settlement lag",
    when_zh="扣款距今未超过结算时间差",
    reasons=LAGGING,
    looks_at=("last_paid_at", "settlement_lag"),
)
REPORT_WINDOW = Rule(
    "report-window",
    Stage.TOO_LATE,
    Effect.BLOCKS,
    "seed 002 §二.3 关键细节; seed 003 §二; seed 004 §一 不可退款",
    en="Filed at {filed_at}; the window of {window} from {started_at} ended at {ended_at}: {late_by} too late.",
    zh="申请于 {filed_at} 提交；期限为自 {started_at} 起 {window}，已于 {ended_at} 截止，逾期 {late_by}。",
    when_en="the claim was filed after its window had ended",
    when_zh="申请提交时已超过期限",
    reasons=frozenset(set(Reason) - {Reason.ORDER_CANCELLED, Reason.OTHER}),
    looks_at=("filed_at", "window_ends_at"),
)
RULES = (NOT_YET_DUE, SETTLEMENT_LAG, REPORT_WINDOW)


def too_early(standing: Standing) -> Iterator[Finding]:
    """What has to be waited for; at the named moment itself the wait is over."""
    if standing.reason in AWAITED:
        yield from _not_yet_due(standing)
    elif standing.reason in LAGGING:
        yield from _settlement_lag(standing)


def _not_yet_due(standing: Standing) -> Iterator[Finding]:
    due_at = standing.due_at
    if due_at is None or standing.delivered or standing.as_of >= due_at:
        return
    facts: dict[str, Value] = {"due_at": due_at, "as_of": standing.as_of, "remaining": due_at - standing.as_of}
    yield Finding(NOT_YET_DUE, Outcome.WAIT, facts, until=Moment(in_shanghai(due_at), provisional=False))


def _settlement_lag(standing: Standing) -> Iterator[Finding]:
    paid_at = _youngest_charge(standing)
    if paid_at is None:
        return
    lag = standing.policy.settlement_lag
    until = paid_at + lag
    if standing.as_of < until:
        facts: dict[str, Value] = {"paid_at": paid_at, "lag": Exact(lag), "until": until}
        yield Finding(SETTLEMENT_LAG, Outcome.WAIT, facts, until=Moment(in_shanghai(until), provisional=False))


def _youngest_charge(standing: Standing) -> datetime | None:
    """The charge that may still be on its way: any for a missing order, a pending one for a second charge."""
    if standing.reason is Reason.CHARGED_WITHOUT_ORDER:
        charges = standing.succeeded + standing.pending
    else:
        charges = standing.pending if len(standing.succeeded) < 2 else ()
    return max((payment.paid_at for payment in charges), default=None)


def too_late(standing: Standing) -> Iterator[Finding]:
    """A claim filed after its window."""
    window = report_window(standing)
    filed_at = standing.claim.filed_at
    if window is None or filed_at <= window.ended_at:
        return
    facts: dict[str, Value] = {
        "filed_at": filed_at,
        "window": Exact(window.length),
        "started_at": window.started_at,
        "ended_at": window.ended_at,
        "late_by": filed_at - window.ended_at,
    }
    yield Finding(REPORT_WINDOW, _late_outcome(standing), facts)


def _late_outcome(standing: Standing) -> Outcome:
    reviewed = standing.reason in PAYMENT_REASONS and standing.policy.payment_late is Strictness.MANUAL_REVIEW
    return Outcome.MANUAL_REVIEW if reviewed else Outcome.REJECT
