"""What is said of a refund over HTTP: forged, odd, early, late, twice and against it; each test says what holds."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.closed_sets import Scope
from app.services.sites import revoke_key
from app.store.engine import transaction
from app.store.refund_sql import MOST_REPORTS
from app.store.sites import database_now
from tests.api import bodies, living
from tests.api import reporting as r
from tests.api.conftest import Access, Opener
from tests.api.reporting import FEN, STATES, STOPPED, books, brought_to, events, refused, report, requested, result
from tests.database_clock import DatabaseClock

CONFLICT = (409, "refund_conflict")
INVALID = (422, "invalid")


def problem_of(answer: Any, status: int, code: str) -> bytes:
    """The bytes of a refusal."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content: bytes = answer.content
    return content


# N61, N62, N71: who may say anything of it


async def test_n61_without_a_key_or_with_a_revoked_one_nothing_is_said(site: Access, engine: AsyncEngine) -> None:
    refund = await requested(site)
    before, path = await books(engine), f"/v1/refunds/{refund['id']}/result"
    anonymous = await site.http.post(path, json=result(refund, "succeeded"), headers={"Idempotency-Key": "k"})
    async with transaction(engine) as connection:
        key_id = await connection.scalar(text("SELECT key_id FROM api_keys"))
        await revoke_key(connection, site.site_id, key_id, now=await database_now(connection))
    revoked = await r.told(site, refund, "succeeded")
    assert problem_of(anonymous, 401, "unauthenticated") == problem_of(revoked, 401, "unauthenticated")
    assert await books(engine) == before


@pytest.mark.parametrize("mode", ["test", "live"])
async def test_n61_another_sites_key_learns_nothing(open_site: Opener, engine: AsyncEngine, mode: Any) -> None:
    site = await open_site(mode=mode)
    refund = await requested(site)
    before = await books(engine)
    unknown = problem_of(
        await report(site, {"id": "rfd_" + "0" * 26}, result(refund, "succeeded")), 404, "not_found"
    )  # fmt: skip
    for other in ("test", "live"):
        stranger = await open_site(mode=other)
        assert problem_of(await r.told(stranger, refund, "succeeded"), 404, "not_found") == unknown
    assert await books(engine) == before
    assert (await r.read(site, refund))["reports"] == []


async def test_n62_without_the_scope_nothing_is_said(
    site: Access, key_with: Callable[..., Awaitable[Access]], engine: AsyncEngine
) -> None:
    refund = await requested(site)
    before = await books(engine)
    for scopes in (tuple(set(Scope) - {Scope.REPORT}), (Scope.CASES,), (Scope.RULE,), (Scope.WEBHOOKS,)):
        problem_of(await r.told(await key_with(*scopes), refund, "succeeded"), 403, "scope_missing")
    assert await books(engine) == before
    assert (await r.told(await key_with(Scope.REPORT), refund, "succeeded")).status_code == 200


@pytest.mark.parametrize("start", [living.withdrawn, living.rejected])
async def test_n71_what_was_never_granted_has_no_refund_to_report(
    site: Access, engine: AsyncEngine, start: Callable[[Access], Awaitable[living.Case]]
) -> None:
    case = await start(site)
    assert case["refunds"] == []
    before = await books(engine)
    body = {"state": "succeeded", "amount": FEN, "currency": "CNY", "at": case["created_at"], "channel_refund_no": "5"}
    for refund_id in (case["id"].replace("case_", "rfd_"), case["id"], "rfd_" + "0" * 26, "x", "%00", "..%2Fcases"):
        problem_of(await report(site, {"id": refund_id}, body), 404, "not_found")
    assert await books(engine) == before


# N64, N65, N67, N72: what fits, what is repeated, what contradicts


@pytest.mark.parametrize(
    ("changes", "conflict"),
    [
        ({"amount": FEN - 1}, "amount"),
        ({"amount": FEN + 1}, "amount"),
        ({"amount": FEN * 100}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"payment_no": "P-another"}, "payment_no"),
        ({"channel": "wechat_pay"}, "channel"),
    ],
)
async def test_n64_what_does_not_match_the_instruction_changes_nothing(
    site: Access, engine: AsyncEngine, changes: dict[str, Any], conflict: str
) -> None:
    for state in ("requested", "processing", "succeeded", "closed"):
        refund = await brought_to(site, state, f"A-{state}")
        before, heard = await books(engine), await events(engine, f"A-{state}")
        problem = await refused(site, refund, result(refund, "succeeded", **changes), CONFLICT)
        assert str(FEN - 1) not in problem["detail"]
        assert await books(engine) == before
        assert (await events(engine, f"A-{state}"))[len(heard) :] == ["refund.conflict"]
        kept = (await r.read(site, refund))["reports"][-1]
        assert (kept["verdict"], kept["conflict"], kept["source"]) == ("conflict", conflict, "adapter")
        assert kept | changes == kept or conflict in {"payment_no", "channel"}


async def test_what_matches_may_be_said_in_full(site: Access) -> None:
    refund = await requested(site)
    await r.taken(site, refund, "succeeded", payment_no=refund["payment_no"], channel=refund["channel"])


async def test_both_sides_of_a_conflict_are_told(site: Access, engine: AsyncEngine) -> None:
    refund = await brought_to(site, "succeeded")
    await refused(site, refund, result(refund, "succeeded", 2, channel_refund_no="50-other"), CONFLICT)
    told = (await living.told(engine, await r.case_of(site, refund)))[-1]["full"]
    assert told["conflict"] == "channel_refund_no"
    assert (told["state"], told["channel_refund_no"]) == ("succeeded", refund["channel_refund_no"])
    assert (told["reported"]["channel_refund_no"], told["reported"]["state"]) == ("50-other", "succeeded")


async def test_n65_success_said_twice_is_told_once(site: Access, engine: AsyncEngine) -> None:
    refund = await brought_to(site, "succeeded")
    before = await books(engine)
    for seconds in (0, 0, 5, -1):
        again = await r.taken(site, refund, "succeeded", seconds, verdict="repeated")
        assert again["version"] == refund["version"]
    assert await books(engine) == before
    assert (await events(engine)).count("refund.succeeded") == 1
    assert [(each["verdict"], each["times"]) for each in again["reports"]] == [("applied", 1), ("repeated", 4)]


@pytest.mark.parametrize(
    ("end", "said", "code"),
    [
        ("succeeded", "accepted", "refund_final"),
        ("succeeded", "processing", "refund_final"),
        ("succeeded", "abnormal", "refund_conflict"),
        ("succeeded", "failed", "refund_conflict"),
        ("succeeded", "closed", "refund_conflict"),
        ("closed", "accepted", "refund_final"),
        ("closed", "processing", "refund_final"),
        ("closed", "abnormal", "refund_final"),
        ("closed", "failed", "refund_final"),
        ("closed", "succeeded", "refund_conflict"),
    ],
)
async def test_n67_the_end_is_the_end(site: Access, engine: AsyncEngine, end: str, said: str, code: str) -> None:
    refund = await brought_to(site, end)
    before, heard = await books(engine), await events(engine)
    for seconds in (-1, 0, 9):
        await refused(site, refund, result(refund, said, seconds), (409, code))
    assert await books(engine) == before
    assert (await events(engine))[len(heard) :] == (["refund.conflict"] if code == "refund_conflict" else [])


async def test_a_contradiction_said_again_is_counted_and_not_told_again(site: Access, engine: AsyncEngine) -> None:
    refund = await brought_to(site, "succeeded")
    for seconds in range(3):
        await refused(site, refund, result(refund, "failed", seconds), CONFLICT)
    await refused(site, refund, result(refund, "closed"), CONFLICT)
    assert (await events(engine)).count("refund.conflict") == 2
    assert [each["times"] for each in (await r.read(site, refund))["reports"]] == [1, 3, 1]


async def test_n72_one_number_of_the_channels_is_one_refunds(site: Access, engine: AsyncEngine) -> None:
    first, second = await brought_to(site, "succeeded"), await requested(site, "A-2")
    before = await books(engine)
    for state in ("succeeded", "processing"):
        body = result(second, state, channel_refund_no=first["channel_refund_no"])
        await refused(site, second, body, CONFLICT)
    assert await books(engine) == before
    assert (await r.read(site, second))["reports"][0]["conflict"] == "channel_refund_no_taken"
    assert (await events(engine, "A-2"))[-1] == "refund.conflict"
    await r.taken(site, second, "succeeded")


async def test_two_channels_may_have_the_same_number(site: Access) -> None:
    _, first, second = await r.in_two_payments(site)
    await r.taken(site, first, "succeeded", channel_refund_no="50-1")
    await r.taken(site, second, "succeeded", channel_refund_no="50-1")


async def test_two_sites_may_have_the_same_number(site: Access, other_site: Access) -> None:
    for each in (site, other_site):
        await r.taken(each, await requested(each), "succeeded", channel_refund_no="50-1")


async def test_n72_two_at_once_with_one_number_are_one(site: Access, engine: AsyncEngine) -> None:
    refunds = [await requested(site, f"A-{n}") for n in range(8)]
    answers = await asyncio.gather(*(r.told(site, each, "succeeded", channel_refund_no="50-1") for each in refunds))
    assert sorted(each.status_code for each in answers) == [200] + [409] * 7
    assert {each.json()["code"] for each in answers if each.status_code == 409} <= {
        "refund_conflict", "channel_refund_no_taken",
    }  # fmt: skip
    states = [(await r.read(site, each))["state"] for each in refunds]
    assert sorted(states) == ["requested"] * 7 + ["succeeded"]


# N70, N73: when


async def test_n70_an_adapter_may_be_faster_than_its_own_word(site: Access) -> None:
    refund = await requested(site)
    done = await r.taken(site, refund, "succeeded", 2)
    for state, seconds in (("accepted", 0), ("processing", 1)):
        await refused(site, done, result(refund, state, seconds), (409, "refund_final"))


@pytest.mark.parametrize("seconds", [-1, 0])
async def test_what_comes_late_changes_nothing(site: Access, engine: AsyncEngine, seconds: int) -> None:
    refund = await brought_to(site, "processing")
    before, heard = await books(engine), await events(engine)
    late = await r.taken(site, refund, "accepted", seconds, verdict="late")
    assert (late["state"], late["version"]) == ("processing", refund["version"])
    assert await books(engine) == before
    assert await events(engine) == heard


@pytest.mark.parametrize("state", ["requested", "succeeded", "closed", "failed"])
async def test_n73_nothing_is_of_the_future_or_of_before_the_payment(
    clock: DatabaseClock, site: Access, engine: AsyncEngine, state: str
) -> None:
    refund = await brought_to(site, state)
    now, before = await clock.freeze(), await books(engine)
    [payment] = bodies.filing()["payments"]
    paid_at = (await site.get(f"/v1/payments/{payment['payment_no']}")).json()["paid_at"]
    skew, moment = timedelta(minutes=5), timedelta(microseconds=1)
    too_early = (datetime.fromisoformat(paid_at) - moment).isoformat()
    for at, code in (
        ("2099-01-01T00:00:00+08:00", "in_the_future"),
        ((now + skew + moment).isoformat(), "in_the_future"),
        (too_early, "before_the_payment"),
        ("2000-01-01T00:00:00Z", "before_the_payment"),
    ):
        problem = await refused(site, refund, result(refund, "succeeded", at=at), INVALID)
        assert [(each["pointer"], each["code"]) for each in problem["errors"]] == [("/at", code)]
    assert await books(engine) == before
    assert (await r.read(site, refund))["reports"] == refund["reports"]


async def test_n73_the_limits_themselves_are_taken(clock: DatabaseClock, site: Access) -> None:
    first, second = await requested(site), await requested(site, "A-2")
    now = await clock.freeze()
    await r.taken(site, first, "succeeded", at=(now + timedelta(minutes=5)).isoformat())
    paid_at = (await site.get(f"/v1/payments/{second['payment_no']}")).json()["paid_at"]
    await r.taken(site, second, "succeeded", at=paid_at)


# Bodies that nobody honest sends


ODD: list[tuple[str, dict[str, Any], str]] = [
    ("our own word", {"state": "requested"}, "/state"),
    ("no such state", {"state": "paid"}, "/state"),
    ("in capitals", {"state": "SUCCEEDED"}, "/state"),
    ("state as a number", {"state": 1}, "/state"),
    ("amount as text", {"amount": "20000"}, "/amount"),
    ("amount in yuan", {"amount": 200.0}, "/amount"),
    ("half a fen", {"amount": 20_000.5}, "/amount"),
    ("true for one", {"amount": True}, "/amount"),
    ("nothing", {"amount": 0}, "/amount"),
    ("less than nothing", {"amount": -FEN}, "/amount"),
    ("too much", {"amount": 10**12 + 1}, "/amount"),
    ("far too much", {"amount": 10**400}, "/amount"),
    ("a list", {"amount": [FEN]}, "/amount"),
    ("currency in small letters", {"currency": "cny"}, "/currency"),
    ("currency with a space", {"currency": "CNY "}, "/currency"),
    ("currency in Chinese", {"currency": "人民币"}, "/currency"),
    ("time without offset", {"at": "2026-03-10T12:00:00"}, "/at"),
    ("time as a number", {"at": 1_770_000_000}, "/at"),
    ("a date", {"at": "2026-03-10"}, "/at"),
    ("a time beyond all", {"at": "9999-12-31T23:59:59-14:00"}, "/at"),
    ("an empty number", {"channel_refund_no": ""}, "/channel_refund_no"),
    ("a number with a line break", {"channel_refund_no": "50\r\nX"}, "/channel_refund_no"),
    ("a number with a space", {"channel_refund_no": "50 1"}, "/channel_refund_no"),
    ("a number in Chinese", {"channel_refund_no": "退款一"}, "/channel_refund_no"),
    ("a number that is too long", {"channel_refund_no": "5" * 65}, "/channel_refund_no"),
    ("a number that is one", {"channel_refund_no": 503}, "/channel_refund_no"),
    ("success without a number", {"channel_refund_no": None}, ""),
    ("success with a failure", {"failure": {"code": "other"}}, ""),
    ("a failure without one", {"state": "failed"}, ""),
    ("closed without saying why", {"state": "closed"}, ""),
    ("a failure that is none", {"state": "failed", "failure": {"code": "no_such"}}, "/failure/code"),
    ("a failure in a word", {"state": "failed", "failure": "other"}, "/failure"),
    ("an escape", {"state": "failed", "failure": {"code": "other", "message": "\x1b[2J"}}, "/failure/message"),
    ("too long a story", {"state": "failed", "failure": {"code": "other", "message": "x" * 301}}, "/failure/message"),
    ("a channel that is none", {"channel": "paypal"}, "/channel"),
    ("another payment's number, oddly", {"payment_no": "../P-1"}, "/payment_no"),
    ("a typo", {"amout": FEN}, "/amout"),
    ("the refund's own fields", {"settled_at": "2026-03-10T12:00:00+08:00"}, "/settled_at"),
    ("the verdict", {"verdict": "applied"}, "/verdict"),
    ("who says so", {"source": "channel"}, "/source"),
    ("the site", {"site": "A"}, "/site"),
    ("a prototype", {"__proto__": {"state": "succeeded"}}, "/__proto__"),
]


@pytest.mark.parametrize("state", ["requested", "succeeded"])
async def test_what_nobody_honest_sends_is_refused_by_name(site: Access, engine: AsyncEngine, state: str) -> None:
    refund = await brought_to(site, state)
    before = await books(engine)
    for name, changes, where in ODD:
        body = {**result(refund, "succeeded"), **changes}
        if "state" in changes:
            body.pop("channel_refund_no")
        body = {key: value for key, value in body.items() if value is not None}
        answer = await report(site, refund, body)
        assert answer.status_code == 422, (name, answer.text)
        assert where in {each["pointer"] for each in answer.json()["errors"]}, (name, answer.text)
    assert await books(engine) == before
    assert (await r.read(site, refund))["reports"] == refund["reports"]


@pytest.mark.parametrize("left_out", ["state", "amount", "currency", "at"])
async def test_every_report_says_what_of_how_much_and_when(site: Access, left_out: str) -> None:
    refund = await requested(site)
    body = {name: value for name, value in result(refund, "succeeded").items() if name != left_out}
    answer = await report(site, refund, body)
    assert [each["pointer"] for each in answer.json()["errors"]] == [f"/{left_out}"]


async def test_a_report_takes_no_parameters(site: Access) -> None:
    refund = await requested(site)
    path = f"/v1/refunds/{refund['id']}/result?state=succeeded"
    answer = await site.post(path, result(refund, "succeeded"), once="k-1")
    problem_of(answer, 422, "invalid")
    assert (await r.read(site, refund))["state"] == "requested"


# Once


async def test_a_key_is_required(site: Access, engine: AsyncEngine) -> None:
    refund = await requested(site)
    before = await books(engine)
    problem_of(await report(site, refund, result(refund, "succeeded"), once=""), 400, "idempotency_key_missing")
    for unusable in ("x" * 256, "a b", '""'):
        answer = await report(site, refund, result(refund, "succeeded"), once=unusable)
        problem_of(answer, 400, "idempotency_key_unusable")
    assert await books(engine) == before


@pytest.mark.parametrize("body", ["applied", "conflict", "final"])
async def test_the_first_answer_is_given_again_to_the_byte(site: Access, engine: AsyncEngine, body: str) -> None:
    refund = await brought_to(site, "requested" if body == "applied" else "succeeded")
    said = result(refund, {"applied": "succeeded", "conflict": "failed", "final": "accepted"}[body], 1)
    first = await report(site, refund, said, once="k-1")
    assert first.status_code == (200 if body == "applied" else 409)
    await r.told(site, refund, "succeeded", 3)
    told = await events(engine)
    for key in ("k-1", '"k-1"'):
        again = await report(site, refund, said, once=key)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        kept = ("content-type", "content-language", "etag")
        assert {name: again.headers.get(name) for name in kept} == {name: first.headers.get(name) for name in kept}
    assert await events(engine) == told
    assert [each["times"] for each in (await r.read(site, refund))["reports"]][: 1 if body == "applied" else 2] == (
        [1] if body == "applied" else [1, 1]
    )


async def test_another_report_under_the_same_key_is_refused(site: Access, engine: AsyncEngine) -> None:
    refund, other = await requested(site), await requested(site, "A-2")
    await report(site, refund, result(refund, "accepted"), once="k-1")
    before = await books(engine)
    for target, body in ((refund, result(refund, "succeeded")), (other, result(refund, "accepted"))):
        problem_of(await report(site, target, body, once="k-1"), 422, "idempotency_key_reused")
    assert await books(engine) == before


async def test_what_was_refused_before_it_ran_does_not_hold_its_key(site: Access) -> None:
    refund = await requested(site)
    problem_of(await report(site, refund, {"state": "paid"}, once="k-1"), 422, "invalid")
    problem_of(await report(site, {"id": "rfd_" + "0" * 26}, result(refund, "succeeded"), once="k-1"), 404, "not_found")
    assert (await report(site, refund, result(refund, "succeeded"), once="k-1")).status_code == 200


@pytest.mark.parametrize("state", STATES[1:])
async def test_a_report_under_another_key_does_no_harm(site: Access, engine: AsyncEngine, state: str) -> None:
    refund = await brought_to(site, state)
    before, heard = await books(engine), await events(engine)
    again = await r.taken(site, refund, state, verdict="repeated")
    assert again["version"] == refund["version"]
    assert await books(engine) == before
    assert await events(engine) == heard


# Much of it


async def test_noise_does_not_drown_the_truth(site: Access, engine: AsyncEngine) -> None:
    """Whoever may report can say a hundred wrong things; what the channel then says still counts, and is answered."""
    refund = await requested(site)
    for amount in range(1, MOST_REPORTS + 1):
        assert (await r.told(site, refund, "succeeded", amount=amount)).status_code == 409
    full = await r.told(site, refund, "succeeded", amount=MOST_REPORTS + 1)
    problem_of(full, 409, "too_many_reports")
    counted = await r.told(site, refund, "succeeded", amount=1)
    problem_of(counted, 409, "refund_conflict")
    shown = await r.read(site, refund)
    assert (len(shown["reports"]), shown["reports"][0]["times"], shown["state"]) == (MOST_REPORTS, 2, "requested")
    assert (await events(engine)).count("refund.conflict") == MOST_REPORTS
    done = await r.told(site, refund, "succeeded")
    assert (done.status_code, done.json().get("verdict")) == (200, "applied"), done.text
    assert (await r.read(site, refund))["state"] == "succeeded"
    assert (await r.case_of(site, refund))["status"] == "refunded"


async def test_a_failures_words_are_data(site: Access, engine: AsyncEngine) -> None:
    message = "<script>alert(1)</script> =cmd|'/C calc'!A0 ${jndi:ldap://x} %s%n"
    refund = await r.taken(site, await requested(site), "failed", failure={"code": "rejected", "message": message})
    assert refund["failure"] == {"code": "rejected", "message": message}
    assert refund["reports"][0]["failure"]["message"] == message


@pytest.mark.parametrize("code", ["account_gone", "insufficient_balance", "too_late", "too_many", "rejected", "other"])
async def test_every_reason_to_fail_is_told(site: Access, engine: AsyncEngine, code: str) -> None:
    for n, state in enumerate(STOPPED):
        refund = await r.taken(site, await requested(site, f"A-{n}"), state, failure={"code": code})
        assert refund["failure"] == {"code": code, "message": ""}
        [*_, told] = await living.told(engine, await r.case_of(site, refund))
        assert told["full"]["failure"] == refund["failure"]


async def test_refusals_are_in_the_language_that_is_asked_for(site: Access) -> None:
    refund = await brought_to(site, "succeeded")
    english = await report(site, refund, result(refund, "failed"), Accept_Language="en")
    chinese = await report(site, refund, result(refund, "failed"))
    assert english.json()["detail"].startswith("The report contradicts the refund: the refund has succeeded.")
    assert chinese.json()["detail"].startswith("上报内容与退款单矛盾：该退款已成功。")
    assert (english.headers["content-language"], chinese.headers["content-language"]) == ("en", "zh-CN")
