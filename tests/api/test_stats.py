"""The numbers of a site, against a count of our own over what the other calls tell of its cases."""

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.closed_sets import Scope
from app.rules.findings import Outcome
from app.rules.lifecycle import CaseStatus
from app.rules.reasons import MERCHANT_FAULT
from tests.api.conftest import Access
from tests.api.desk import A_MINUTE, A_TUESDAY, PROOF, Desk, a_piece, an_order
from tests.database_clock import DatabaseClock

GRANTED = {"approved", "refunding", "refund_failed", "refunded"}
ENDS = {"case.approved", "case.rejected"}
PROMISES = ("review", "first_answer", "merchant_turn", "evidence_supplement", "money_back")
Case = dict[str, Any]


@pytest.fixture
async def desk(clock: DatabaseClock, site: Access, engine: AsyncEngine) -> Desk:
    await clock.set(A_TUESDAY)
    return Desk(site, clock, engine)


async def a_busy_week(desk: Desk) -> None:
    """Something of everything: two merchants, kept and broken promises, rulings for and against the rules, appeals."""
    for merchant in ("m-1", "m-2", "m-1"):
        await desk.file("not_delivered", merchant=merchant, buyer="b-1")
    for _ in range(2):
        await desk.rejected("b-2")
    suspected = await desk.file("not_delivered", merchant="m-2", buyer="b-2")
    appealed = [await desk.appeal(await desk.rejected(f"b-{n}")) for n in (3, 4)]
    waits = [await desk.file("other", amount=1_000 * n) for n in (1, 2, 3)]
    firsts = await desk.file("other", policy="card_error", merchant="m-1")
    silent, contesting = await desk.merchants_turn("m-1"), await desk.merchants_turn("m-2")
    lapsing, supplying = await desk.file("not_working"), await desk.file("not_working")
    await desk.passes(timedelta(hours=2))
    await desk.rule(appealed[0], "approve")
    await desk.rule(appealed[1], "reject")
    await desk.rule(suspected, "reject")
    await desk.step(contesting, "merchant-response", {"position": "contest"})
    seen_at = await desk.clock.now() - A_MINUTE
    pieces = [a_piece(supplying["order_no"], kind, seen_at) for kind in (PROOF, "chat_log")]
    await desk.step(supplying, "evidence", {"evidence": pieces})
    await desk.rule(waits[0], "approve", amount=700)
    await desk.step(waits[1], "withdraw")
    await desk.passes(timedelta(days=9))
    await desk.rule(firsts, "approve")
    for case in (silent, lapsing):
        assert (await desk.read(f"/v1/cases/{case['id']}"))["status"] in {"approved", "lapsed"}


async def cases_of(desk: Desk, **wanted: str) -> list[Case]:
    query = f"?{urlencode(wanted)}" if wanted else ""
    return [await desk.read(f"/v1/cases/{each['id']}") for each in await desk.all(f"/v1/cases{query}", limit=7)]


def counted(cases: list[Case]) -> dict[str, Any]:
    """What the statistics should say of these cases, as far as cases alone tell it."""
    decided = [case for case in cases if case["status"] in GRANTED | {"rejected"}]
    seconds = sorted(_seconds_to_decision(case) for case in decided)
    rulings = [act["details"] for case in cases for act in case["acts"] if act["kind"] == "ruling"]
    statuses, outcomes = (
        Counter(case["status"] for case in cases),
        Counter(case["decision"]["outcome"] for case in cases),
    )
    overturned = Counter(each["overturned"] for each in rulings if each["overturned"] is not None)
    appealed = [case for case in cases if any(act["kind"] == "appeal" for act in case["acts"])]
    return {
        "cases": len(cases),
        "by_status": {status.value: statuses[status.value] for status in CaseStatus},
        "by_outcome": {outcome.value: outcomes[outcome.value] for outcome in Outcome},
        "approval_rate": rate(sum(case["status"] in GRANTED for case in cases), len(decided)),
        "seconds_to_decision": {"median": nearest(seconds, 0.5), "p90": nearest(seconds, 0.9)},
        "amount_granted": amount(cases),
        "deadlines": [promise(name, cases) for name in PROMISES],
        "rulings": {outcome: sum(each["outcome"] == outcome for each in rulings) for outcome in ("approve", "reject")},
        "overturned": [
            {"rule": rule, "rulings": n} for rule, n in sorted(overturned.items(), key=lambda each: (-each[1], each[0]))
        ],
        "appeals": {"made": len(appealed), "granted": sum(case["status"] in GRANTED for case in appealed)},
    }


def _seconds_to_decision(case: Case) -> int:
    ended = next(event["at"] for event in case["timeline"] if event["type"] in ENDS)
    return math.floor((at(ended) - at(case["created_at"])).total_seconds())


def nearest(values: list[int], share: float) -> int | None:
    """The least value that is not exceeded by at least this share of all."""
    return values[math.ceil(share * len(values)) - 1] if values else None


def promise(name: str, cases: list[Case]) -> dict[str, Any]:
    states = Counter(each["state"] for case in cases for each in case["deadlines"] if each["name"] == name)
    kept, missed = states["kept"], states["over"]
    running = states["running"]
    return {"name": name, "kept": kept, "missed": missed, "running": running, "kept_rate": rate(kept, kept + missed)}


def rate(numerator: int, denominator: int) -> dict[str, Any]:
    value = round(numerator / denominator, 4) if denominator else None
    return {"value": value, "numerator": numerator, "denominator": denominator}


def amount(cases: Iterable[Case]) -> int:
    return sum(refund["amount"] for case in cases for refund in case["refunds"])


def tally(cases: list[Case]) -> dict[str, Any]:
    approved = sum(case["status"] in GRANTED for case in cases)
    rejected = sum(case["status"] == "rejected" for case in cases)
    return {
        "cases": len(cases), "approved": approved, "rejected": rejected,
        "approval_rate": rate(approved, approved + rejected), "amount_granted": amount(cases),
    }  # fmt: skip


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def stats(desk: Desk, **query: str) -> dict[str, Any]:
    return await desk.read(f"/v1/stats?{urlencode(query)}")


async def test_the_numbers_are_those_of_the_cases(desk: Desk) -> None:
    await a_busy_week(desk)
    found, cases = await stats(desk), await cases_of(desk)
    expected = counted(cases)
    assert {name: found[name] for name in expected} == expected
    # None of it is empty, or the comparison would say nothing.
    assert {name for name in ("approved", "rejected", "withdrawn", "lapsed", "in_review") if found["by_status"][name]}
    promises = {each["name"]: (each["kept"], each["missed"]) for each in found["deadlines"]}
    assert all(kept + missed for kept, missed in promises.values())
    assert min(promises["review"]) > 0
    assert min(promises["merchant_turn"]) > 0
    assert min(promises["evidence_supplement"]) > 0
    assert found["overturned"] == [
        {"rule": "delivered-per-log", "rulings": 1}, {"rule": "undelivered-per-log", "rulings": 1},
    ]  # fmt: skip
    assert (found["appeals"], found["rulings"]) == ({"made": 2, "granted": 1}, {"approve": 3, "reject": 2})
    assert found["seconds_to_decision"]["p90"] > found["seconds_to_decision"]["median"]


async def test_the_numbers_of_each_merchant_and_each_reason(desk: Desk) -> None:
    await a_busy_week(desk)
    now = await desk.clock.now()
    more = [an_order(f"M-{n}", now - timedelta(days=n), buyer="b-1", merchant="m-2") for n in (1, 29, 31)]
    assert (await desk.site.post("/v1/records", {"orders": more}, once="orders")).status_code == 200
    found, cases = await stats(desk), await cases_of(desk)
    merchants = {name: [case for case in cases if case["merchant_id"] == name] for name in ("m-7", "m-1", "m-2")}
    orders = {name: len(of) + (2 if name == "m-2" else 0) for name, of in merchants.items()}
    assert found["merchants"] == [
        {"merchant_id": name, **tally(of), "orders": orders[name], "refund_rate": rate(refunded(of), orders[name])}
        for name, of in sorted(merchants.items(), key=lambda each: (-len(each[1]), each[0]))
    ]
    reasons = {case["reason"] for case in cases}
    expected = [{"reason": name, **tally([case for case in cases if case["reason"] == name])} for name in reasons]
    assert found["reasons"] == sorted(expected, key=lambda each: (-each["cases"], each["reason"]))


def refunded(cases: list[Case]) -> int:
    """Orders with a case that stands approved for the merchant's fault."""
    faults = {reason.value for reason in MERCHANT_FAULT}
    return len({case["order_no"] for case in cases if case["status"] in GRANTED and case["reason"] in faults})


@pytest.mark.parametrize(
    "wanted", [{"merchant": "m-1"}, {"reason": "not_delivered"}, {"merchant": "m-2", "reason": "not_working"}]
)
async def test_the_numbers_of_a_part(desk: Desk, wanted: dict[str, str]) -> None:
    await a_busy_week(desk)
    found, cases = await stats(desk, **wanted), await cases_of(desk, **wanted)
    expected = counted(cases)
    assert {name: found[name] for name in expected} == expected
    assert {each["merchant_id"] for each in found["merchants"]} == {case["merchant_id"] for case in cases}
    assert {each["reason"] for each in found["reasons"]} == {case["reason"] for case in cases}


async def test_two_refunds_of_one_order_count_it_once(desk: Desk) -> None:
    """The rate of refunds is one of orders; the cases are two."""
    first = await desk.file("not_delivered")
    more = {"order_no": first["order_no"], "channel": "alipay", "status": "succeeded", "amount": 100}
    assert (await desk.site.put("/v1/payments/P-more", {**more, "paid_at": first["filed_at"]})).status_code == 201
    again = {"order_no": first["order_no"], "claim": {"reason": "delivered_late", "filed_at": first["filed_at"]}}
    second = (await desk.site.post("/v1/cases", again, once="again")).json()
    assert (first["status"], second["status"]) == ("approved", "approved")
    [merchant] = (await stats(desk))["merchants"]
    assert (merchant["cases"], merchant["refund_rate"]) == (2, rate(1, 1))


async def test_a_period_begins_with_its_first_instant_and_ends_before_its_last(desk: Desk) -> None:
    first = await desk.clock.freeze(A_TUESDAY)
    await desk.file("other")
    second = first + timedelta(days=1)
    await desk.clock.freeze(second)
    await desk.file("other")
    await desk.clock.advance(timedelta(days=1))
    tick = timedelta(microseconds=1)
    for since, until, cases in (
        (first, second + tick, 2),
        (first, second, 1),
        (first + tick, second + tick, 1),
        (first + tick, second, 0),
    ):
        found = await stats(desk, **{"from": since.isoformat(), "to": until.isoformat()})
        assert (found["cases"], at(found["from"]), at(found["to"])) == (cases, since, until)


async def test_a_period_is_the_last_thirty_days_unless_something_else_is_said(desk: Desk) -> None:
    start = await desk.clock.freeze(A_TUESDAY)
    await desk.file("other")
    await desk.clock.freeze(start + timedelta(days=30))
    found = await stats(desk)
    assert (at(found["to"]) - at(found["from"]), found["cases"]) == (timedelta(days=30), 1)
    await desk.clock.advance(timedelta(microseconds=1))
    assert (await stats(desk))["cases"] == 0
    assert (await stats(desk, **{"from": start.isoformat()}))["cases"] == 1
    found = await stats(desk, to=(start + A_MINUTE).isoformat())
    assert (at(found["from"]), found["cases"]) == (start + A_MINUTE - timedelta(days=30), 1)


async def test_a_case_stays_in_the_period_in_which_it_was_created(desk: Desk) -> None:
    start = await desk.clock.freeze(A_TUESDAY)
    case = await desk.file("other")
    await desk.clock.freeze(start + timedelta(days=2))
    await desk.rule(case, "approve")
    then = await stats(desk, **{"from": start.isoformat(), "to": (start + A_MINUTE).isoformat()})
    assert (then["approval_rate"]["numerator"], then["seconds_to_decision"]["median"]) == (1, 2 * 24 * 3600)
    assert (await stats(desk, **{"from": (start + A_MINUTE).isoformat()}))["cases"] == 0


async def test_periods_that_cannot_be_are_refused(desk: Desk) -> None:
    now = await desk.clock.now()
    for begin, end, code in (
        (now, now, "period_empty"),
        (now + A_MINUTE, now, "period_empty"),
        (now - timedelta(days=366, microseconds=1), now, "period_too_long"),
    ):
        answer = await desk.site.get("/v1/stats", params={"from": begin.isoformat(), "to": end.isoformat()})
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["parameter"], error["code"]) == (422, "from", code)
    whole = {"from": (now - timedelta(days=366)).isoformat(), "to": now.isoformat()}
    assert (await stats(desk, **whole))["cases"] == 0
    for query in ("from=yesterday", "to=2026-03-10", "merchant=", "reason=odd", "since=x", "from_=x"):
        answer = await desk.site.get(f"/v1/stats?{query}")
        assert (query, answer.status_code) == (query, 422)
        assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


async def test_more_cases_than_are_counted_are_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.stats.MOST_CASES", 2)
    for merchant in ("m-1", "m-2"):
        await desk.file("other", merchant=merchant)
    assert (await stats(desk))["cases"] == 2
    await desk.file("not_delivered", merchant="m-2")
    answer = await desk.site.get("/v1/stats?reason=other")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "too_many_cases")
    assert (await stats(desk, merchant="m-2"))["cases"] == 2


async def test_nothing_of_another_site_is_counted(desk: Desk, other_site: Access) -> None:
    empty = await stats(desk)
    await a_busy_week(Desk(other_site, desk.clock, desk.engine))
    now = await stats(desk)
    assert {**now, "from": 0, "to": 0} == {**empty, "from": 0, "to": 0}
    assert (now["approval_rate"], now["seconds_to_decision"]) == (rate(0, 0), {"median": None, "p90": None})


async def test_reading_takes_the_scope_of_cases(key_with: Callable[..., Awaitable[Access]]) -> None:
    assert (await (await key_with(Scope.CASES)).get("/v1/stats")).status_code == 200
    assert (await (await key_with(Scope.RULE, Scope.REPORT)).get("/v1/stats")).status_code == 403
