"""What holds for every step of a case: who may take it, in which case, once, from which version, when not at all."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.models.closed_sets import Scope
from tests.api import living
from tests.api.conftest import Access
from tests.database_clock import DatabaseClock

KEYED = ("merchant-response", "ruling")
# In which state a step can be taken, of those that a case has.
STARTS: dict[str, Callable[[Access], Awaitable[living.Case]]] = {
    "evidence": living.in_review,
    "merchant-response": living.awaiting_merchant,
    "ruling": living.in_review,
    "appeal": living.rejected,
    "withdraw": living.in_review,
    "escalate": living.rejected,
}
NOWHERE = "case_00000000000000000000000000"


async def count(engine: AsyncEngine, table: str) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


@pytest.mark.parametrize("action", STARTS)
async def test_a_step_is_answered_as_it_is_read_to_the_byte(site: Access, clock: DatabaseClock, action: str) -> None:
    await clock.freeze()
    case = await STARTS[action](site)
    answer = await living.send(site, case, action, living.STEPS[action])
    shown = await site.get(f"/v1/cases/{case['id']}")
    assert (answer.status_code, answer.content) == (200, shown.content)
    assert answer.headers["etag"] == shown.headers["etag"] == f'"{case["version"] + 1}"'


@pytest.mark.parametrize("action", STARTS)
async def test_a_case_of_another_site_looks_like_one_that_never_was(
    site: Access, other_site: Access, action: str
) -> None:
    case = await STARTS[action](site)
    before = await site.get(f"/v1/cases/{case['id']}")
    body = living.STEPS[action]
    foreign = await other_site.post(f"/v1/cases/{case['id']}/{action}", body, once="k")
    nowhere = await other_site.post(f"/v1/cases/{NOWHERE}/{action}", body, once="l")
    nonsense = await other_site.post(f"/v1/cases/evt_1/{action}", body, once="m")
    assert foreign.status_code == nowhere.status_code == nonsense.status_code == 404
    assert foreign.content == nowhere.content == nonsense.content
    assert living.lasting((await site.get(f"/v1/cases/{case['id']}")).json()) == living.lasting(before.json())


async def test_the_decisions_of_another_site_s_case_are_not_there(site: Access, other_site: Access) -> None:
    case = await living.approved(site)
    foreign = await other_site.get(f"/v1/cases/{case['id']}/decisions")
    nowhere = await other_site.get(f"/v1/cases/{NOWHERE}/decisions")
    assert (foreign.status_code, foreign.content) == (404, nowhere.content)


@pytest.mark.parametrize("action", STARTS)
async def test_a_key_without_the_scope_takes_no_step(
    site: Access, key_with: Callable[..., Awaitable[Access]], action: str
) -> None:
    needed = Scope.RULE if action == "ruling" else Scope.CASES
    case = await STARTS[action](site)
    others = await key_with(*[scope for scope in Scope if scope is not needed])
    answer = await living.send(others, case, action, living.STEPS[action])
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert await living.is_unchanged(site, case)
    alone = await key_with(needed)
    assert (await living.send(alone, case, action, living.STEPS[action])).status_code == 200


@pytest.mark.parametrize("action", STARTS)
async def test_a_step_without_a_key_is_refused(site: Access, action: str) -> None:
    case = await STARTS[action](site)
    answer = await site.http.post(f"/v1/cases/{case['id']}/{action}", json=living.STEPS[action])
    assert answer.status_code == 401


@pytest.mark.parametrize("action", STARTS)
async def test_a_step_is_taken_only_from_the_version_that_was_meant(site: Access, action: str) -> None:
    case = await STARTS[action](site)
    for tag in (case["version"] - 1, case["version"] + 1):
        if tag:
            await living.refused(site, case, action, living.STEPS[action], (412, "stale"), If_Match=f'"{tag}"')
    await living.refused(site, case, action, living.STEPS[action], (400, "if_match_unusable"), If_Match="latest")
    await living.taken(site, case, action, living.STEPS[action], If_Match=f'"{case["version"]}"')


@pytest.mark.parametrize("action", STARTS)
async def test_a_step_repeated_is_answered_again_to_the_byte(site: Access, engine: AsyncEngine, action: str) -> None:
    case = await STARTS[action](site)
    first = await living.send(site, case, action, living.STEPS[action], once="same")
    events = await count(engine, "events")
    again = await living.send(site, case, action, living.STEPS[action], once='"same"')
    stale = await living.send(site, case, action, living.STEPS[action], once="same", If_Match=f'"{case["version"]}"')
    for answer in (again, stale):
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (
            200, first.content, first.headers["etag"],
        )  # fmt: skip
        assert answer.headers["idempotency-replayed"] == "true"
    assert living.lasting((await site.get(f"/v1/cases/{case['id']}")).json()) == living.lasting(first.json())
    assert await count(engine, "events") == events


async def test_a_key_used_for_one_step_serves_for_no_other(site: Access) -> None:
    case = await living.in_review(site)
    other = await living.in_review(site, "A-2")
    assert (await living.send(site, case, "ruling", living.RULED_AGAINST, once="k")).status_code == 200
    for path, body in (
        (f"/v1/cases/{case['id']}/withdraw", None),
        (f"/v1/cases/{case['id']}/ruling", living.RULED_FOR),
        (f"/v1/cases/{other['id']}/ruling", living.RULED_AGAINST),
        ("/v1/cases", living.claim(order_no="A-3")),
    ):
        answer = await site.post(path, body, once="k")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused"), path
    assert await living.is_unchanged(site, other)
    assert len((await site.get("/v1/cases")).json()["data"]) == 2


async def test_a_refusal_is_not_kept_so_that_the_same_key_may_serve_later(site: Access) -> None:
    case = await living.awaiting_merchant(site)
    early = await living.send(site, case, "ruling", living.RULED_FOR, once="k")
    assert early.status_code == 409
    await living.taken(site, case, "merchant-response", living.RESPONSE)
    assert (await living.send(site, case, "ruling", living.RULED_FOR, once="k")).status_code == 200


@pytest.mark.parametrize("action", STARTS)
async def test_which_steps_need_an_idempotency_key(site: Access, action: str) -> None:
    case = await STARTS[action](site)
    answer = await living.send(site, case, action, living.STEPS[action], once="")
    if action in KEYED:
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
        assert await living.is_unchanged(site, case)
    else:
        assert answer.status_code == 200


REFUSED_IN = {
    "awaiting_evidence": {"ruling", "appeal", "escalate"},
    "awaiting_merchant": {"ruling", "appeal", "escalate"},
    "waiting": {"ruling", "appeal", "escalate"},
    "in_review": {"appeal"},
    "appealed": {"appeal"},
    "approved": {"evidence", "merchant-response", "ruling", "appeal", "withdraw"},
    "rejected": {"evidence", "merchant-response", "ruling", "withdraw"},
    "withdrawn": {"evidence", "merchant-response", "ruling", "appeal", "withdraw", "escalate"},
}


@pytest.mark.parametrize("status", REFUSED_IN)
async def test_what_a_state_does_not_allow_is_refused_naming_all_that_it_does(site: Access, status: str) -> None:
    case = await (living.OPEN | living.CLOSED)[status](site)
    allowed = {each["action"] for each in case["next"]} & {
        "respond", "supply_evidence", "rule", "appeal", "withdraw", "escalate",
    }  # fmt: skip
    for action in REFUSED_IN[status]:
        problem = await living.refused(site, case, action, living.STEPS[action], "not_allowed_now")
        assert problem["detail"].startswith(f"The case is {status}. Allowed now: ")
        named = problem["detail"].partition("Allowed now: ")[2]
        assert all(each in named for each in allowed), problem["detail"]
        assert allowed or named == "nothing."
    step = {"respond": "merchant-response", "supply_evidence": "evidence", "rule": "ruling"}
    assert {step.get(each, each) for each in allowed}.isdisjoint(REFUSED_IN[status])


async def test_a_case_that_lapsed_is_not_ruled_on(site: Access, engine: AsyncEngine, clock: DatabaseClock) -> None:
    case = await living.awaiting_evidence(site)
    await clock.advance(timedelta(hours=24, seconds=1))
    await living.fire(engine)
    case = await living.read(site, case)
    assert case["status"] == "lapsed"
    for action in ("ruling", "evidence", "merchant-response", "appeal", "withdraw"):
        problem = await living.refused(site, case, action, living.STEPS[action], "not_allowed_now")
        assert problem["detail"] == "The case is lapsed. Allowed now: escalate."


WRONG: dict[str, tuple[str, Any, str]] = {
    "an unknown field of evidence": ("evidence", {**living.EVIDENCE, "status": "approved"}, "/status"),
    "no evidence": ("evidence", {"evidence": []}, "/evidence"),
    "too much evidence at once": ("evidence", {"evidence": [living.piece("other")] * 21}, "/evidence"),
    "evidence as a number": ("evidence", {"evidence": 1}, "/evidence"),
    "whether a file was reused": ("evidence", {"evidence": [living.piece("other", reused=True)]}, "/evidence/0/reused"),
    "a true that is no flag": ("evidence", {"evidence": [living.piece("other", composite=1)]}, "/evidence/0/composite"),
    "the number of a piece": ("evidence", {"evidence": [living.piece("other", n=1)]}, "/evidence/0/n"),
    "when it came": (
        "evidence", {"evidence": [living.piece("other", created_at="2026-01-01T00:00:00Z")]}, "/evidence/0/created_at",
    ),
    "a time without offset": (
        "evidence", {"evidence": [living.piece("other", captured_at="2026-01-01T00:00:00")]}, "/evidence/0/captured_at",
    ),
    "no position": ("merchant-response", {}, "/position"),
    "an unknown position": ("merchant-response", {"position": "ignore"}, "/position"),
    "when the merchant answered": ("merchant-response", {"position": "accept", "at": "2026-01-01T00:00:00Z"}, "/at"),
    "a text with NUL": ("merchant-response", {"position": "accept", "message": "a\x00b"}, "/message"),
    "an amount in text": ("ruling", {**living.RULED_FOR, "amount": "20000"}, "/amount"),
    "an amount of true": ("ruling", {**living.RULED_FOR, "amount": True}, "/amount"),
    "an amount with a fraction": ("ruling", {**living.RULED_FOR, "amount": 199.5}, "/amount"),
    "no amount": ("ruling", {**living.RULED_FOR, "amount": 0}, "/amount"),
    "a negative amount": ("ruling", {**living.RULED_FOR, "amount": -1}, "/amount"),
    "an amount beyond everything": ("ruling", {**living.RULED_FOR, "amount": 10**12 + 1}, "/amount"),
    "an outcome of the rules": ("ruling", {**living.RULED_FOR, "outcome": "wait"}, "/outcome"),
    "nobody's ruling": ("ruling", {**living.RULED_FOR, "by": ""}, "/by"),
    "a ruling without a word": ("ruling", {**living.RULED_FOR, "text": ""}, "/text"),
    "a ruling's own time": ("ruling", {**living.RULED_FOR, "judged_at": "2026-01-01T00:00:00Z"}, "/judged_at"),
    "a rule of one's own": ("ruling", {**living.RULED_FOR, "decisive_rule": "merchant-accepts"}, "/decisive_rule"),
    "a code of the other outcome": ("ruling", {**living.RULED_FOR, "code": "bad_faith"}, ""),
    "another code of the other outcome": ("ruling", {**living.RULED_AGAINST, "code": "goodwill"}, ""),
    "a refusal of so much": ("ruling", {**living.RULED_AGAINST, "amount": 1}, ""),
    "an appeal without a word": ("appeal", {"message": "", "evidence": []}, "/message"),
    "an appeal with strikes": ("appeal", {**living.APPEAL, "strikes": -5}, "/strikes"),
    "an unknown reason to withdraw": ("withdraw", {"because": "accept"}, "/because"),
    "a withdrawal by somebody": ("withdraw", {"by": "b-9"}, "/by"),
    "an unknown venue": ("escalate", {"venue": "police"}, "/venue"),
    "a venue's own limit": ("escalate", {"venue": "court", "open_until": None}, "/open_until"),
    "a moment in seconds": ("escalate", {"venue": "court", "raised_at": 1767225600}, "/raised_at"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_a_body_that_says_too_much_or_the_wrong_thing_is_refused(site: Access, name: str) -> None:
    action, body, pointer = WRONG[name]
    case = await STARTS[action](site)
    problem = await living.refused(site, case, action, body, (422, "invalid"))
    assert pointer in {at for at, _ in living.pointers(problem)}, problem


@pytest.mark.parametrize(
    "body", ["null", "[]", "1", '"x"', "", "{", '{"position":"accept","position":"contest"}', "NaN"]
)
async def test_what_is_no_object_is_refused(site: Access, body: str) -> None:
    case = await living.awaiting_merchant(site)
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    path = f"/v1/cases/{case['id']}/merchant-response"
    answer = await site.call("POST", path, content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert await living.is_unchanged(site, case)


async def test_an_unknown_parameter_is_refused(site: Access) -> None:
    case = await living.awaiting_merchant(site)
    for action, body in living.STEPS.items():
        answer = await site.post(f"/v1/cases/{case['id']}/{action}?site=A", body, once=action)
        assert answer.status_code == 422, action
    assert await living.is_unchanged(site, case)


async def test_every_decision_of_a_case_is_kept_in_order(site: Access) -> None:
    case = await living.appealed(site)
    case = await living.taken(site, case, "ruling", living.RULED_FOR)
    listed = await living.decisions(site, case)
    assert [each["decisive_rule"] for each in listed] == [
        "delivered-per-log", "appeal-needs-a-person", "granted-by-a-person",
    ]  # fmt: skip
    assert listed[-1] == case["decision"]
