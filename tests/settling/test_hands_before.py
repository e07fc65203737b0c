"""Part of a payment went back by other hands before: that is not taken for the refund of the rest, nor in its way.

An aggregator tells of an order only how much went back in all.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias
from uuid import UUID

import pytest

from app.models.closed_sets import ReportSource
from app.outbound.channels.said import PaymentSeen
from app.rules.facts import Channel, Reason
from app.rules.settlement import RefundState, Report
from app.services import refunds
from app.services.reconciling import take_in
from app.store.cases import CaseStore
from app.store.engine import transaction
from app.store.record_rows import Told
from tests.settling.gateways import BY_CHANNEL, KINDS
from tests.settling.scene import DAY, HOUR, MINUTE, Scene
from tests.store import rows

_, _, V1, V2 = (kind.channel for kind in KINDS)
FEN, HALF = 10_000, 5_000
PAYMENT_NO = "P-half"


def records(scene: Scene, channel: Channel, *, refunded: int = 0) -> Told:
    """A payment at an aggregator of which a merchant refunded half in the console; what the site tells of it."""
    paid_at = scene.time.at - HOUR
    scene.gateways.pay(channel, PAYMENT_NO, FEN, paid_at)
    scene.gateways.refund_by_hand(channel, PAYMENT_NO, HALF)
    order = replace(rows.ORDER, order_no="A-half", amount=FEN, placed_at=paid_at)
    payment = replace(
        rows.PAYMENT,
        payment_no=PAYMENT_NO,
        order_no="A-half",
        channel=channel,
        amount=FEN,
        refunded_amount=refunded,
        paid_at=paid_at,
    )
    return Told((order,), (payment,), (), (replace(rows.MERCHANT, deposit=10**9),))


async def told_by_the_site(scene: Scene, channel: Channel) -> UUID:
    """With the payment's record."""
    await scene.register(BY_CHANNEL[channel])
    [refund_id] = await scene.claimed(records(scene, channel, refunded=HALF), Reason.NOT_DELIVERED, None)
    return refund_id


async def found_at_the_channel(scene: Scene, channel: Channel) -> UUID:
    """When the order was looked at; nobody told."""
    await scene.register(BY_CHANNEL[channel])
    view = await scene.filed(records(scene, channel), Reason.OTHER, HALF)
    await take_in(scene.engine, scene.site_id, PAYMENT_NO, PaymentSeen(HALF))
    [refund] = (await scene.ruled(view.case.case_id, HALF)).refunds
    return refund.refund_id


async def by_an_adapter(scene: Scene, channel: Channel) -> UUID:
    """For a refund of ours, before the site switched the account on."""
    told = records(scene, channel)
    [first] = await scene.claimed(told, Reason.NOT_WORKING, HALF)
    async with transaction(scene.engine) as connection:
        said = Report(RefundState.SUCCEEDED, scene.time.at, HALF, "CNY", "77")
        await refunds.report(CaseStore(connection, scene.site_id), first, said, ReportSource.ADAPTER)
    await scene.register(BY_CHANNEL[channel])
    [second] = await scene.claimed(Told(told.orders), Reason.OTHER, HALF)
    return second


Before: TypeAlias = Callable[[Scene, Channel], Awaitable[UUID]]
BEFORE = pytest.mark.parametrize("before", [told_by_the_site, found_at_the_channel, by_an_adapter])


@BEFORE
async def test_without_numbers_a_person_has_to_look(bare: Scene, before: Before) -> None:
    refund_id = await before(bare, V1)
    await bare.steps(3 * DAY, every=6 * HOUR)
    row = (await bare.view(refund_id)).refund
    assert (row.amount, row.state) == (HALF, RefundState.ABNORMAL)
    assert bare.gateways.paid_out(V1, PAYMENT_NO) == HALF
    assert bare.gateways.asked_to_pay() == 0


@BEFORE
async def test_with_numbers_the_rest_is_paid(bare: Scene, before: Before) -> None:
    refund_id = await before(bare, V2)
    await bare.steps(HOUR, every=5 * MINUTE)
    row = (await bare.view(refund_id)).refund
    assert (row.amount, row.state) == (HALF, RefundState.SUCCEEDED)
    assert bare.gateways.paid_out(V2, PAYMENT_NO) == FEN
    assert bare.gateways.asked_to_pay() == 1
