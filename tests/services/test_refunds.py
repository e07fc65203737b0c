"""Reports of one refund at once, over connections of their own: one end, and all that is said is kept beside it."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import Busy, Conflict, Invalid, NotFound, Stale
from app.models.closed_sets import ReportSource
from app.rules.facts import Claim, Reason
from app.rules.settlement import ConflictCode, Failure, FailureCode, RefundState, Report, ReportVerdict
from app.services import refunds, repair
from app.services.assembling import PutForward
from app.services.filing import Filing
from app.services.refunds import Taken
from app.services.repair import OtherAccount, Repair
from app.store.case_rows import RefundRow
from app.store.cases import CaseStore
from app.store.engine import transaction
from app.store.record_rows import Told
from app.store.refunds import RefundView
from app.store.sites import database_now
from tests.database_clock import DatabaseClock
from tests.services.test_filing import CHAT, FILED_AT, ORDER, PAYMENT, filed
from tests.store.rows import MERCHANT, OTHER_SITE, SITE, until_somebody_waits

S, V = RefundState, ReportVerdict
FEN = PAYMENT.amount
AT_ONCE = 16
ROUNDS = 6
OTHER = Failure(FailureCode.OTHER)


async def granted(engine: AsyncEngine, order_no: str = "A-1") -> RefundRow:
    """The refund of a claim that the rules granted."""
    payment = replace(PAYMENT, order_no=order_no, payment_no=f"P-{order_no}")
    told = Told((replace(ORDER, order_no=order_no),), (payment,), (), (MERCHANT,))
    evidence = (PutForward(replace(CHAT, order_no=order_no)),)
    view = await filed(engine, Filing(Claim(Reason.NOT_DELIVERED, FILED_AT), order_no, (), evidence, told, None))
    [refund] = view.refunds
    return refund


def said(refund: RefundRow, state: RefundState, number: str | None = "50-1", seconds: float = 0) -> Report:
    """A report that agrees with the instruction."""
    stopped = state in {S.ABNORMAL, S.FAILED, S.CLOSED}
    at = refund.created_at + timedelta(seconds=seconds)
    return Report(state, at, refund.amount, "CNY", number, OTHER if stopped else None)


async def report(engine: AsyncEngine, refund: RefundRow, said: Report, site_id: UUID = SITE) -> Taken:
    """In a transaction of its own, as a request takes it: a deadlock would be Busy, and is not tried again."""
    async with transaction(engine) as connection:
        return await refunds.report(CaseStore(connection, site_id), refund.refund_id, said, ReportSource.ADAPTER)


async def at_once(engine: AsyncEngine, refund: RefundRow, said: Sequence[Report]) -> list[Taken]:
    return await asyncio.gather(*(report(engine, refund, each) for each in said))


async def retry(engine: AsyncEngine, refund: RefundRow, *, version: int | None = None, **wanted: Any) -> UUID:
    async with transaction(engine) as connection:
        by = Repair("cs-12", **wanted)
        return await repair.retry(CaseStore(connection, SITE), refund.refund_id, by, version=version)


async def shown(engine: AsyncEngine, refund_id: UUID) -> RefundView:
    async with transaction(engine) as connection:
        return await refunds.get(CaseStore(connection, SITE), refund_id)


@dataclass(frozen=True, slots=True)
class Trace:
    """What is left: the case's status, what it told of its refunds in order, and what is reserved on each payment."""

    status: str
    told: tuple[str, ...]
    reserved: int


async def trace(engine: AsyncEngine, refund: RefundRow) -> Trace:
    """Read from the tables, after checking that the events have no gap and the reserve is that of the refunds."""
    own = {"case_id": refund.case_id, "payment_no": refund.payment_no}
    async with engine.connect() as connection:
        status = await connection.scalar(text("SELECT status FROM cases WHERE case_id = :case_id"), own)
        query = "SELECT type, sequence FROM events WHERE case_id = :case_id ORDER BY sequence"
        events = (await connection.execute(text(query), own)).all()
        query = "SELECT reserved_amount FROM payments WHERE payment_no = :payment_no"
        reserved = await connection.scalar(text(query), own)
        query = "SELECT coalesce(sum(amount), 0) FROM refunds WHERE payment_no = :payment_no AND state <> 'closed'"
        assert reserved == await connection.scalar(text(query), own)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    told = tuple(event.type for event in events if event.type.startswith("refund."))
    return Trace(str(status), told, int(reserved or 0))


# Many at once


async def test_sixteen_different_reports_come_to_one_end(engine: AsyncEngine) -> None:
    for n in range(ROUNDS):
        refund = await granted(engine, f"A-{n}")
        different = [
            said(refund, S.SUCCEEDED, f"one-{n}"), said(refund, S.SUCCEEDED, f"two-{n}"), said(refund, S.CLOSED, None),
            said(refund, S.FAILED, None), said(refund, S.ABNORMAL, None), said(refund, S.PROCESSING, f"one-{n}"),
            said(refund, S.ACCEPTED, None), replace(said(refund, S.SUCCEEDED, f"one-{n}"), amount=FEN - 1),
        ]  # fmt: skip
        taken = await at_once(engine, refund, different * (AT_ONCE // len(different)))
        view, left = await shown(engine, refund.refund_id), await trace(engine, refund)
        assert view.refund.state in {S.SUCCEEDED, S.CLOSED}
        assert left.status == ("refunded" if view.refund.state is S.SUCCEEDED else "refund_failed")
        assert left.reserved == (FEN if view.refund.state is S.SUCCEEDED else 0)
        ends = [each for each in view.reports if each.verdict is V.APPLIED and each.state in {S.SUCCEEDED, S.CLOSED}]
        assert [each.state for each in ends] == [view.refund.state]
        assert left.told.count("refund.succeeded") == (view.refund.state is S.SUCCEEDED)
        assert sum(each.times for each in view.reports) == AT_ONCE
        assert Counter(each.verdict for each in taken) == Counter(
            verdict for each in view.reports for verdict in [each.verdict] * each.times
        )
        conflicts = [each for each in view.reports if each.verdict is V.CONFLICT]
        assert left.told.count("refund.conflict") == len(conflicts) >= 2


async def test_one_success_said_sixteen_times_at_once_is_told_once(engine: AsyncEngine) -> None:
    refund = await granted(engine)
    taken = await at_once(engine, refund, [said(refund, S.SUCCEEDED)] * AT_ONCE)
    assert Counter(each.verdict for each in taken) == {V.APPLIED: 1, V.REPEATED: AT_ONCE - 1}
    assert await trace(engine, refund) == Trace("refunded", ("refund.requested", "refund.succeeded"), FEN)
    assert (await shown(engine, refund.refund_id)).refund.version == 2


async def test_two_numbers_of_success_at_once_are_one_success_and_one_conflict(engine: AsyncEngine) -> None:
    refund = await granted(engine)
    taken = await at_once(engine, refund, [said(refund, S.SUCCEEDED, number) for number in ("50-1", "50-2")])
    assert {each.conflict for each in taken} == {None, ConflictCode.CHANNEL_REFUND_NO}
    assert (await trace(engine, refund)).told == ("refund.requested", "refund.succeeded", "refund.conflict")


async def test_two_refunds_that_want_one_number_at_once_are_one(engine: AsyncEngine) -> None:
    for n in range(ROUNDS):
        pair = [await granted(engine, f"A-{n}-{side}") for side in "ab"]
        came = await asyncio.gather(
            *(report(engine, each, said(each, S.SUCCEEDED, f"50-{n}")) for each in pair), return_exceptions=True
        )
        assert sorted(map(_outcome, came)) == ["applied", "taken"]
        states = [(await shown(engine, each.refund_id)).refund.state for each in pair]
        assert sorted(states) == [S.REQUESTED, S.SUCCEEDED]
        loser = pair[states.index(S.REQUESTED)]
        again = await report(engine, loser, said(loser, S.SUCCEEDED, f"50-{n}"))
        assert again.conflict is ConflictCode.CHANNEL_REFUND_NO_TAKEN
        assert (await report(engine, loser, said(loser, S.SUCCEEDED, f"51-{n}"))).verdict is V.APPLIED


def _outcome(came: Taken | BaseException) -> str:
    if isinstance(came, Taken):
        return "taken" if came.conflict is ConflictCode.CHANNEL_REFUND_NO_TAKEN else came.verdict.value
    assert isinstance(came, Conflict), came
    return "taken" if came.code == "channel_refund_no_taken" else came.code


async def test_who_comes_second_to_a_number_waits_and_is_refused(engine: AsyncEngine) -> None:
    """The number is looked for before the other has committed; only the index knows then."""
    first, second = await granted(engine, "A-1"), await granted(engine, "A-2")
    async with transaction(engine) as connection:
        await refunds.report(
            CaseStore(connection, SITE), first.refund_id, said(first, S.SUCCEEDED), ReportSource.ADAPTER
        )
        waiting = asyncio.create_task(report(engine, second, said(second, S.SUCCEEDED)))
        await until_somebody_waits(engine)
    with pytest.raises(Conflict) as refused:
        await waiting
    assert refused.value.code == "channel_refund_no_taken"
    assert (await shown(engine, second.refund_id)).reports == ()


async def test_sixteen_retries_at_once_are_one_new_refund(engine: AsyncEngine) -> None:
    refund = await granted(engine)
    await report(engine, refund, said(refund, S.CLOSED, None))
    came = await asyncio.gather(*(retry(engine, refund) for _ in range(AT_ONCE)), return_exceptions=True)
    assert sum(isinstance(each, UUID) for each in came) == 1
    assert {each.code for each in came if isinstance(each, Conflict)} == {"not_allowed_now"}
    assert await trace(engine, refund) == Trace(
        "refunding", ("refund.requested", "refund.failed", "refund.requested"), FEN
    )


async def test_a_retry_and_a_late_success_at_once_pay_once(engine: AsyncEngine) -> None:
    for n in range(ROUNDS):
        refund = await granted(engine, f"A-{n}")
        await report(engine, refund, said(refund, S.FAILED, None))
        came = await asyncio.gather(
            retry(engine, refund), report(engine, refund, said(refund, S.SUCCEEDED, f"50-{n}")), return_exceptions=True
        )
        assert not any(isinstance(each, Busy) for each in came)
        left = await trace(engine, refund)
        assert (left.status, left.reserved, left.told.count("refund.succeeded")) == ("refunded", FEN, 1)
        assert (await shown(engine, refund.refund_id)).refund.refund_no == refund.refund_no


async def test_reports_of_two_refunds_of_one_case_take_turns(engine: AsyncEngine) -> None:
    payments = tuple(replace(PAYMENT, payment_no=f"P-{n}", amount=FEN // 2) for n in (1, 2))
    told = Told((ORDER,), payments, (), (MERCHANT,))
    claim = Filing(Claim(Reason.NOT_DELIVERED, FILED_AT), "A-1", (), (PutForward(CHAT),), told, None)
    first, second = (await filed(engine, claim)).refunds
    await asyncio.gather(
        *(report(engine, first, said(first, S.SUCCEEDED, "50-1")) for _ in range(4)),
        *(report(engine, second, said(second, S.SUCCEEDED, "50-2")) for _ in range(4)),
    )
    expected = ("refund.requested", "refund.requested", "refund.succeeded", "refund.succeeded")
    assert await trace(engine, first) == Trace("refunded", expected, FEN // 2)


# One after the other


async def test_what_is_said_is_kept_with_what_became_of_it(engine: AsyncEngine) -> None:
    refund = await granted(engine)
    for each in (
        said(refund, S.PROCESSING, seconds=1), said(refund, S.ACCEPTED, None), said(refund, S.PROCESSING, seconds=2),
        said(refund, S.SUCCEEDED, "50-9", 3), said(refund, S.SUCCEEDED, seconds=3), said(refund, S.FAILED, seconds=4),
    ):  # fmt: skip
        await report(engine, refund, each)
    kept = (await shown(engine, refund.refund_id)).reports
    assert [(each.n, each.state.value, each.verdict.value, each.conflict) for each in kept] == [
        (1, "processing", "applied", None),
        (2, "accepted", "late", None),
        (3, "processing", "repeated", None),
        (4, "succeeded", "conflict", ConflictCode.CHANNEL_REFUND_NO),
        (5, "succeeded", "applied", None),
        (6, "failed", "conflict", ConflictCode.AFTER_SUCCESS),
    ]
    assert kept[5].failure_code is FailureCode.OTHER
    assert {each.source for each in kept} == {ReportSource.ADAPTER}


async def test_nobody_elses_refund_is_reported_or_retried(engine: AsyncEngine) -> None:
    refund = await granted(engine)
    for site_id, refund_id in ((OTHER_SITE, refund.refund_id), (SITE, UUID(int=1)), (SITE, None)):
        async with transaction(engine) as connection:
            cases = CaseStore(connection, site_id)
            with pytest.raises(NotFound):
                await refunds.report(cases, refund_id, said(refund, S.SUCCEEDED), ReportSource.ADAPTER)
            with pytest.raises(NotFound):
                await repair.retry(cases, refund_id, Repair("cs-12"))
            with pytest.raises(NotFound):
                await refunds.get(cases, refund_id)
    assert (await shown(engine, refund.refund_id)).refund == refund


async def test_a_moment_that_cannot_be_leaves_no_trace(engine: AsyncEngine) -> None:
    refund = await granted(engine)
    for at in (PAYMENT.paid_at - timedelta(microseconds=1), refund.created_at + timedelta(minutes=6)):
        with pytest.raises(Invalid):
            await report(engine, refund, replace(said(refund, S.SUCCEEDED), at=at))
    assert (await shown(engine, refund.refund_id)) == RefundView(refund, "A-1", ())


async def test_a_retry_sets_all_promises_anew(clock: DatabaseClock, engine: AsyncEngine) -> None:
    refund = await granted(engine)
    await report(engine, refund, said(refund, S.FAILED, None))
    stopped = (await shown(engine, refund.refund_id)).refund
    await clock.advance(timedelta(days=3))
    now = await clock.freeze()
    await retry(engine, refund)
    again = (await shown(engine, refund.refund_id)).refund
    assert (again.instructed_at, again.overdue_at, again.created_at) == (
        now,
        now + timedelta(hours=1),
        refund.created_at,
    )
    assert again.expected_by is not None
    assert refund.expected_by is not None
    assert again.expected_by > refund.expected_by
    assert (again.version, again.failure_code, again.reported_at) == (stopped.version + 1, None, stopped.reported_at)


async def test_a_refund_of_another_version_is_not_retried(engine: AsyncEngine) -> None:
    refund = await granted(engine)
    await report(engine, refund, said(refund, S.FAILED, None))
    with pytest.raises(Stale):
        await retry(engine, refund, version=1)
    assert await retry(engine, refund, version=2) == refund.refund_id


async def test_consent_cannot_be_given_tomorrow(engine: AsyncEngine) -> None:
    refund = await granted(engine)
    gone = Failure(FailureCode.ACCOUNT_GONE, "用户账户已注销")
    await report(engine, refund, replace(said(refund, S.ABNORMAL, None), failure=gone))

    def account(at: datetime) -> OtherAccount:
        return OtherAccount("acct-77", "招商银行 尾号 1234", at, "聊天记录")

    with pytest.raises(Invalid):
        await retry(engine, refund, other_account=account(refund.created_at + timedelta(days=1)))
    await retry(engine, refund, other_account=account(refund.created_at))
    async with transaction(engine) as connection:
        assert await database_now(connection) > refund.created_at
    assert (await shown(engine, refund.refund_id)).refund.other_account is not None
