"""Whatever goes wrong, and in whatever order: every refund ends, and none is paid twice.

A small worker drives the adapter as the real one does: ask before trying again, hold every answer against the refund.
"""

import random
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.outbound.channels.exchange import Reply
from app.outbound.channels.said import Instruction, NoticeRefused, NotNow, Said, Told, Unclear, Unknown
from app.outbound.channels.wechat_pay import WechatPay
from app.outbound.channels.wechat_pay.answers import read_queried
from app.rules.facts import Channel
from app.rules.settlement import FINAL, STOPPED, RefundState, Report, ReportVerdict, Standing, weigh
from tests.channels.wechat_pay_faults import Fault
from tests.channels.wechat_pay_scene import DAY, MINUTE, PAYMENT, Scene, part, scene

T = TypeVar("T")
ENOUGH = 400
AMOUNTS = (20_000, 20_000, 10_000)


def at_once(coroutine: Coroutine[object, object, T]) -> T:
    """The result of a coroutine that waits for nothing, as all of the fake's do."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


@dataclass
class Worker:
    """Follows refunds to their end; `begun`: those that were ever submitted, with when."""

    made: Scene
    luck: random.Random
    standing: dict[str, Standing] = field(default_factory=dict)
    begun: dict[str, datetime] = field(default_factory=dict)
    asked: int = 0

    def take(self, instruction: Instruction) -> None:
        self.asked += instruction.amount
        for _ in range(ENOUGH):
            assert self.made.gateway.paid_out(PAYMENT.payment_no) <= self.asked, "paid twice"
            self._hear_notices()
            if self._standing(instruction).state in FINAL:
                return
            self._step(instruction)
            self.made.pass_by(timedelta(seconds=self.luck.choice((1, 30, 61, 200, 4_000))))
        raise AssertionError("a refund without an end")

    def _standing(self, instruction: Instruction) -> Standing:
        first = Standing(instruction.payment_no, Channel.WECHAT_PAY, instruction.amount, "CNY", RefundState.REQUESTED)
        return self.standing.setdefault(instruction.refund_no, first)

    def _step(self, instruction: Instruction) -> None:
        refund, now = self._standing(instruction), self.made.now
        if instruction.refund_no in self.begun:
            said = at_once(self.made.adapter.query(instruction, now))
            self._weigh(refund, instruction.refund_no, said)
            if not isinstance(said, Unknown):
                self._mend(instruction)
                return
        last = max((at for number, at in self.begun.items() if number != instruction.refund_no), default=None)
        obstacle = self.made.adapter.obstacle(replace(instruction, last_begun_at=last), now)
        if isinstance(obstacle, NotNow):
            self.made.now = obstacle.until
            return
        assert obstacle is None
        self.begun.setdefault(instruction.refund_no, now)
        self._weigh(
            self._standing(instruction), instruction.refund_no, at_once(self.made.adapter.submit(instruction, now))
        )

    def _mend(self, instruction: Instruction) -> None:
        """Somebody enters another card for the buyer in the merchant's console."""
        gateway = self.made.gateway
        if self._standing(instruction).state is RefundState.ABNORMAL:
            gateway.refunds[instruction.refund_no].settles_at = self.made.now + gateway.settles_after
            gateway.refunds[instruction.refund_no].ends = "SUCCESS"

    def _hear_notices(self) -> None:
        """Each notice comes, or does not, or comes again; in any order; probes come with them."""
        gateway = self.made.gateway
        notices = [one for one in gateway.notices(again=self.luck.random() < 0.3) if self.luck.random() < 0.5]
        self.luck.shuffle(notices)
        for notice in notices:
            proof = self.made.adapter.read_notice(notice, self.made.now)
            if proof.refund_no in self.standing:
                self._weigh(self.standing[proof.refund_no], proof.refund_no, proof.told)
            with pytest.raises(NoticeRefused):
                self.made.adapter.read_notice(gateway.probe(proof.refund_no), self.made.now)

    def _weigh(self, refund: Standing, number: str, said: Said) -> None:
        if not isinstance(said, Told):
            return
        report = Report(
            said.state,
            said.at or self.made.now,
            amount=said.amount,
            currency=said.currency,
            channel_refund_no=said.channel_refund_no,
            failure=said.failure,
        )
        weighed = weigh(refund, report)
        assert weighed.verdict is not ReportVerdict.CONFLICT
        # A retry begins as the instruction did.
        after = weighed.after
        again = after.state is RefundState.FAILED
        self.standing[number] = replace(after, state=RefundState.REQUESTED) if again else after


def run(faults: list[Fault], ends: list[str], seed: int, kind: type[WechatPay] = WechatPay) -> None:
    """Three refunds that make up the payment, one after the other, with somebody's own in between."""
    made = scene(kind=kind)
    worker = Worker(made, random.Random(seed))
    made.gateway.faults.extend(faults)
    for place, amount in enumerate(AMOUNTS):
        instruction = part(place, amount)
        made.gateway.ends_next = ends[place]
        worker.take(instruction)
        _hold(worker, instruction)
    made.pass_by(30 * DAY)
    succeeded = [one.amount for one in worker.standing.values() if one.state is RefundState.SUCCEEDED]
    assert made.gateway.paid_out(PAYMENT.payment_no) == sum(succeeded) <= PAYMENT.payment_amount
    assert len(made.gateway.refunds) <= len(AMOUNTS)


def _hold(worker: Worker, instruction: Instruction) -> None:
    """What we believe is what is so at the channel."""
    state = worker.standing[instruction.refund_no].state
    there = worker.made.gateway.refunds.get(instruction.refund_no)
    assert there is not None
    assert (state is RefundState.SUCCEEDED) == (there.status(worker.made.now) == "SUCCESS"), "believed"
    assert (state is RefundState.CLOSED) == (there.status(worker.made.now) == "CLOSED"), "believed"


FAULTS = st.lists(
    st.sampled_from([fault for fault in Fault if fault is not Fault.NONE] + [Fault.NONE] * 8), max_size=25
)
ENDS = st.lists(st.sampled_from(["SUCCESS", "SUCCESS", "ABNORMAL", "CLOSED"]), min_size=3, max_size=3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults=FAULTS, ends=ENDS, seed=st.integers(0, 2**32))
def test_every_refund_ends_and_none_is_paid_twice(faults: list[Fault], ends: list[str], seed: int) -> None:
    run(faults, ends, seed)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_one_kind_of_trouble_after_another_is_outlived(fault: Fault) -> None:
    run([fault, Fault.NONE, fault, fault], ["SUCCESS", "ABNORMAL", "CLOSED"], 7)


class Renumbering(WechatPay):
    """The mistake that pays twice: a number of its own for every attempt."""

    attempts = count()

    async def submit(self, instruction: Instruction, now: datetime) -> Said:
        return await super().submit(replace(instruction, refund_no=f"rx{next(self.attempts)}"), now)


class Credulous(WechatPay):
    """The other one: it believes what nobody signed."""

    async def query(self, instruction: Instruction, now: datetime) -> Said:
        reply = await self._answer("GET", f"/v3/refund/domestic/refunds/{instruction.refund_no}", now)
        return read_queried(reply, instruction) if isinstance(reply, Reply) else reply


class Forgetful(WechatPay):
    """And one that takes silence for absence."""

    async def query(self, instruction: Instruction, now: datetime) -> Said:
        said = await super().query(instruction, now)
        return Told(RefundState.CLOSED) if isinstance(said, Unclear) else said


@pytest.mark.parametrize(
    ("kind", "faults", "found"),
    [
        (Renumbering, [Fault.TIME_OUT_AFTER], "paid twice"),
        (Credulous, [Fault.TIME_OUT_AFTER, Fault.FORGED_SUCCESS], "believed|CONFLICT"),
        (Forgetful, [Fault.TIME_OUT_AFTER, Fault.TIME_OUT_BEFORE], "believed|CONFLICT"),
    ],
)
def test_a_mistake_is_found_out(kind: type[WechatPay], faults: list[Fault], found: str) -> None:
    run(faults, ["SUCCESS"] * 3, 1)
    with pytest.raises(AssertionError, match=found):
        run(faults, ["SUCCESS"] * 3, 1, kind)


def test_a_refund_by_hand_in_between_leaves_less_and_is_never_overdrawn() -> None:
    made = scene()
    made.gateway.refund_by_hand(PAYMENT.payment_no, 40_000)
    made.pass_by(2 * MINUTE)
    said = at_once(made.adapter.submit(PAYMENT, made.now))
    assert isinstance(said, Told)
    assert said.state in STOPPED
    made.pass_by(DAY)
    assert made.gateway.paid_out(PAYMENT.payment_no) == 40_000
