"""Two who want the same things at the same moment, brought about on purpose: whoever is second waits, and goes on.

A third party holds what both of them come to. The first one waits for it, then the second; then it is let go, and each
wants what the other may have by now.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeAlias

from sqlalchemy import text

from app import clock, ids
from app.models.closed_sets import DispatchState, RecordKind
from app.outbound.channels.said import FoundRefund, PaymentSeen
from app.outbound.schedule import DisableReason
from app.rules.settlement import RefundState
from app.services import dispatching, timing
from app.services.dispatching import Leased, Settled
from app.services.reconciling import take_in
from app.store.deposits import DepositStore
from app.store.dispatches import Result
from app.store.engine import transaction
from app.store.record_rows import MerchantRow
from app.store.records import RecordStore
from tests.failures.market import Market, by_reference, claim_of, piece

LONGEST: Final = 10.0
ENDPOINT: Final = {"url": "http://127.0.0.1:18099/", "role": "site"}
_OPENED: Final = """
    INSERT INTO deposit_accounts (site_id, merchant_id, told, last_entry, updated_at, external, available, held,
                                  refunds, recourse, platform)
    SELECT site_id, 'm-2', 0, 0, now(), 0, 0, 0, 0, 0, 0 FROM sites"""
Party: TypeAlias = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Meeting:
    """`held`: the statement that takes what is held until both have come."""

    held: str
    first: Party
    second: Party


async def meet(market: Market, meeting: Meeting) -> list[Any]:
    """What both are answered with."""
    async with market.engine.connect() as blocker:
        await blocker.begin()
        await blocker.execute(text(meeting.held))
        first = asyncio.create_task(_of(meeting.first))
        assert await _waits(market, 1, first), "the first does not come by what is held"
        second = asyncio.create_task(_of(meeting.second))
        await _waits(market, 2, second)
        await blocker.rollback()
    return [await first, await second]


def _row(named: str) -> str:
    return f"SELECT FROM {named} FOR UPDATE"


async def _of(party: Party) -> Any:
    return await party()


async def _waits(market: Market, number: int, party: asyncio.Task[Any]) -> bool:
    """Whether it comes to wait; who does not, and is done, did not need what is held."""
    async with asyncio.timeout(LONGEST):
        while not party.done():
            if await market.waiting() >= number:
                return True
            await asyncio.sleep(0.01)
    return False


async def a_claim_brings_the_merchant(market: Market) -> Meeting:
    """Beside an import of the order and the merchant."""
    body = claim_of("A-1", "m-1")
    await market.told(body)
    merchant = body["merchant"]
    records = {"orders": [{**body["order"], "amount": 20_001}], "merchants": [{**merchant, "deposit": 888}]}
    return Meeting(
        _row("orders WHERE order_no = 'A-1'"),
        lambda: market.post("/v1/records", records),
        lambda: market.post("/v1/cases", by_reference(body, merchant={**merchant, "deposit": 777})),
    )


async def a_claim_brings_the_merchant_of_an_open_case(market: Market) -> Meeting:
    """Which is to be judged anew for it, and is taking a step."""
    body = claim_of("A-1", "m-1", reason="not_working")
    case = await market.filed({**body, "evidence": []})
    news = by_reference(claim_of("A-1", "m-1", reason="other"), merchant={**body["merchant"], "deposit": 4_242})
    return Meeting(
        _row("payments WHERE payment_no = 'P-A-1'"),
        lambda: market.post(f"/v1/cases/{case['id']}/evidence", {"evidence": [piece("A-1")]}),
        lambda: market.post("/v1/cases", news),
    )


async def a_claim_brings_a_payment_of_no_order(market: Market) -> Meeting:
    """Which an open case of the same order has named."""
    body = claim_of("A-1", "m-1", reason="not_working")
    free = {**body["payments"][0], "payment_no": "P-free", "order_no": None}
    case = await market.filed({**body, "payments": [*body["payments"], free], "evidence": []})
    news = by_reference(claim_of("A-1", "m-1", reason="other"), payments=[{**free, "refunded_amount": 5}])
    return Meeting(
        _row("orders WHERE order_no = 'A-1'"),
        lambda: market.post(f"/v1/cases/{case['id']}/evidence", {"evidence": [piece("A-1")]}),
        lambda: market.post("/v1/cases", news),
    )


async def a_claim_brings_one_payment_and_names_another(market: Market) -> Meeting:
    """Beside a step of a case of the other one's order, which names the first."""
    body, other = claim_of("A-1", "m-1", reason="other"), claim_of("B-1", "m-1", reason="not_working")
    body["payments"][0]["payment_no"], other["payments"][0]["payment_no"] = "P-9", "P-1"
    await market.told(body)
    case = await market.filed({**other, "payment_nos": ["P-9"], "evidence": []})
    brought = [{**body["payments"][0], "refunded_amount": 3}]
    return Meeting(
        _row("payments WHERE payment_no = 'P-9'"),
        lambda: market.post("/v1/cases", by_reference(body, payments=brought, payment_nos=["P-1"])),
        lambda: market.post(f"/v1/cases/{case['id']}/evidence", {"evidence": [piece("B-1")]}),
    )


async def a_timer_is_due_beside_a_claim(market: Market) -> Meeting:
    """The claim has the order and the second of its payments when the worker comes by."""
    body = claim_of("A-1", "m-1", reason="not_working")
    second = {**body["payments"][0], "payment_no": "P-A-1-z"}
    await market.filed({**body, "payments": [*body["payments"], second], "evidence": []})
    await market.run("UPDATE case_timers SET next_attempt_at = now() - interval '1 day'")
    news = by_reference(claim_of("A-1", "m-1", reason="other"), payments=[{**second, "refunded_amount": 5}])
    return Meeting(
        _row("payments WHERE payment_no = 'P-A-1-z'"),
        lambda: market.post("/v1/cases", news),
        lambda: timing.fire_due(market.workers[0], limit=1),
    )


async def _moved(market: Market) -> tuple[dict[str, Any], dict[str, Any]]:
    """A payment that came from another order, lower in number; and an import of both orders."""
    body, other = claim_of("A-1", "m-1"), claim_of("0-1", "m-1")
    [payment] = body["payments"]
    await market.told({**body, "payments": []}, {**other, "payments": [{**payment, "order_no": "0-1"}]})
    await market.told(body)
    orders = [{**other["order"], "amount": 5}, {**body["order"], "amount": 6}]
    return body, {"orders": orders}


async def a_refund_is_closed_whose_payment_had_another_order(market: Market) -> Meeting:
    """What was promised on it is free for other cases."""
    body, orders = await _moved(market)
    [refund] = (await market.filed({**by_reference(body), "policy": "standard"}))["refunds"]
    return Meeting(
        _row("payments WHERE payment_no = 'P-A-1'"),
        lambda: market.report(refund, "closed"),
        lambda: market.post("/v1/records", orders),
    )


async def a_refund_is_found_whose_payment_had_another_order(market: Market) -> Meeting:
    """Less is left on it for the cases that it bears on."""
    _, orders = await _moved(market)
    found = PaymentSeen(None, (FoundRefund("h-1", None, 100, RefundState.SUCCEEDED, clock.now()),))
    return Meeting(
        _row("payments WHERE payment_no = 'P-A-1'"),
        lambda: take_in(market.workers[0], market.site.site_id, "P-A-1", found),
        lambda: market.post("/v1/records", orders),
    )


async def a_card_is_sold_by_three_at_once(market: Market) -> Meeting:
    """The third of them has an order that got the card while the second waited for its turn."""
    told = [claim_of(order_no, "m-1") for order_no in ("A-1", "B-1", "C-1")]
    await market.told(*told)
    await market.post("/v1/records", {"deliveries": [_card("C-1", "D-0")]})
    return Meeting(
        _row("orders WHERE order_no = 'C-1'"),
        lambda: market.post("/v1/records", {"deliveries": [_card("A-1", "D-1")]}),
        lambda: asyncio.gather(
            market.post("/v1/records", {"deliveries": [_card("B-1", "D-2")]}),
            market.post("/v1/records", {"deliveries": [_card("A-1", "D-3")]}),
        ),
    )


def _card(order_no: str, delivery_no: str) -> dict[str, Any]:
    return {"delivery_no": delivery_no, "order_no": order_no, "card_fingerprint": "c" * 64}


async def an_endpoint_is_switched_off_when_it_first_fails(market: Market) -> Meeting:
    """By hand, while a worker writes down how its attempts ended."""
    endpoint, leased = await _attempts(market, 1)
    return Meeting(
        _row(f"webhook_endpoints WHERE url = '{ENDPOINT['url']}'"),
        lambda: market.site.call("PATCH", f"/v1/webhook-endpoints/{endpoint}", json={"enabled": False}),
        lambda: dispatching.record(market.workers[0], market.site.site_id, [ended(each) for each in leased]),
    )


async def an_endpoint_is_gone_for_two_workers(market: Market) -> Meeting:
    """Each has attempts of its own, and cancels what the other has."""
    _, leased = await _attempts(market, 4)
    gone = [ended(each, DisableReason.GONE) for each in leased]
    one, two = market.workers
    return Meeting(
        _row(f"webhook_endpoints WHERE url = '{ENDPOINT['url']}'"),
        lambda: dispatching.record(one, market.site.site_id, gone[:2]),
        lambda: dispatching.record(two, market.site.site_id, gone[2:]),
    )


async def _attempts(market: Market, number: int) -> tuple[str, list[Leased]]:
    """An endpoint's public id, and attempts at it that are under way."""
    answer = await market.post("/v1/webhook-endpoints", ENDPOINT)
    assert answer.status_code == 201, answer.text
    for n in range(number):
        await market.filed(claim_of(f"E-{n}", "m-1"))
    leased = [await dispatching.lease_due(each, limit=8, per_endpoint=8) for each in market.workers for _ in range(9)]
    found = [each for some in leased for each in some]
    assert len(found) >= number
    shown: str = answer.json()["id"]
    assert ids.read("we", shown)
    return shown, found


def ended(leased: Leased, disable: DisableReason | None = None) -> Settled:
    """An attempt that failed; it is made again in an hour, unless the endpoint is switched off for it."""
    due, state = leased.due, DispatchState.PENDING if disable is None else DispatchState.FAILED
    again_at = leased.claimed_at + timedelta(hours=1) if disable is None else None
    at, code = leased.claimed_at, 500 if disable is None else 410
    result = Result(due.event_id, due.endpoint_id, due.attempt, state, again_at, at, 5, code, None, "")
    return Settled(leased.site_id, result, disable)


async def a_claim_and_an_import_of_two_payments(market: Market) -> Meeting:
    """In whatever order they are told."""
    body = claim_of("A-1", "m-1")
    [payment] = body["payments"]
    payments = [{**payment, "payment_no": name, "amount": 10_000} for name in ("P-2", "P-1")]
    await market.told({**body, "payments": payments})
    changed = [{**each, "refunded_amount": 1} for each in payments]
    return Meeting(
        _row("payments WHERE payment_no = 'P-1'"),
        lambda: market.post("/v1/records", {"payments": changed}),
        lambda: market.post("/v1/cases", by_reference(body, payments=changed[::-1])),
    )


async def deposits_of_several_merchants_are_opened(market: Market) -> Meeting:
    """Of which the second one finds some open, and the first one has opened others."""
    site_id, now = market.site.site_id, await market.now()

    async def told(deposit: int, *merchant_ids: str) -> None:
        rows = [MerchantRow(merchant_id, deposit=deposit) for merchant_id in merchant_ids]
        async with transaction(market.engine) as connection:
            await RecordStore(connection, site_id).put(RecordKind.MERCHANT, rows, now)

    async def booked(*merchant_ids: str) -> None:
        async with transaction(market.engine) as connection:
            await DepositStore(connection, site_id).catch_up(merchant_ids, now)

    async def booked_before_and_again() -> None:
        await booked("m-3")
        await told(200, "m-3")
        await booked("m-1", "m-3")

    await told(100, "m-1", "m-2", "m-3")
    return Meeting(_OPENED, lambda: booked("m-1", "m-2", "m-3"), booked_before_and_again)


MEETINGS: Final[Mapping[str, Callable[[Market], Awaitable[Meeting]]]] = {
    each.__name__.replace("_", " "): each
    for each in (
        a_claim_brings_the_merchant,
        a_claim_brings_the_merchant_of_an_open_case,
        a_claim_brings_a_payment_of_no_order,
        a_claim_brings_one_payment_and_names_another,
        a_claim_and_an_import_of_two_payments,
        a_timer_is_due_beside_a_claim,
        a_refund_is_closed_whose_payment_had_another_order,
        a_refund_is_found_whose_payment_had_another_order,
        a_card_is_sold_by_three_at_once,
        an_endpoint_is_switched_off_when_it_first_fails,
        an_endpoint_is_gone_for_two_workers,
        deposits_of_several_merchants_are_opened,
    )
}
