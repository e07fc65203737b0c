"""Cases on their way over HTTP: one in each state, and what every step of a case has to keep to."""

import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.schemas.cases import CaseOut
from app.services.timing import fire_due
from tests.api import bodies
from tests.api.conftest import Access

Case = dict[str, Any]
PROVEN: Final = ("error_screenshot", "chat_log")
RULED_FOR: Final[dict[str, Any]] = {
    "outcome": "approve",
    "code": "evidence_convinces",
    "text": "录屏可信",
    "by": "op-1",
}
RULED_AGAINST: Final[dict[str, Any]] = {
    "outcome": "reject", "code": "evidence_insufficient", "text": "截图未显示订单号", "by": "op-1",
}  # fmt: skip
EN: Final = {"Accept-Language": "en"}
FEN: Final = 20_000
# What an approval tells whose refund is taken from the merchant's deposit.
PAID_BY_THE_DEPOSIT: Final = ["case.approved", "refund.requested", "merchant.deposit_deducted"]


def piece(kind: str, order_no: str = "A-1001", **changes: Any) -> dict[str, Any]:
    """A piece of evidence of the buyer's, about that order."""
    [chat] = bodies.filing(order_no)["evidence"]
    return {**chat, "kind": kind, **changes}


def merchants(kind: str, order_no: str = "A-1001", **changes: Any) -> dict[str, Any]:
    """The same of the merchant's."""
    return piece(kind, order_no, **{"party": "merchant", "supports": "merchant", **changes})


def claim(
    kinds: Sequence[str] = PROVEN, order_no: str = "A-1001", reason: str = "not_working", **changes: Any
) -> dict[str, Any]:
    """A claim with these pieces of evidence, and all its records."""
    body = bodies.filing(order_no, **changes)
    body["claim"]["reason"] = reason
    body["evidence"] = [piece(kind, order_no) for kind in kinds]
    return body


def dear(kinds: Sequence[str] = (), amount: int = 600_000, **changes: Any) -> dict[str, Any]:
    """A claim for so much that two people have to rule on it, if it needs a person's ruling."""
    body = claim(kinds, reason="other", policy="card_error", **changes)
    body["order"]["amount"] = body["order"]["goods"]["face_value"] = body["payments"][0]["amount"] = amount
    body["claim"]["amount"] = None
    return body


async def filed(site: Access, body: dict[str, Any], status: str) -> Case:
    """The case of a claim, which has to be in this state."""
    answer = await site.post("/v1/cases", body, once=f"filed-{secrets.token_hex(8)}")
    assert answer.status_code == 201, answer.text
    case: Case = answer.json()
    assert case["status"] == status, case["decision"]
    return case


async def send(
    site: Access, case: Case, action: str, body: Any = None, *, once: str | None = None, **headers: str
) -> httpx.Response:
    """One step of a case, under a key that nobody has used before unless one is given (`""`: without)."""
    key = f"{case['id']}-{case['version']}-{action}" if once is None else once
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await site.post(f"/v1/cases/{case['id']}/{action}", body, once=key or None, headers=named)


def lasting(case: Case) -> Case:
    """The case without what a shift of the clock alone changes."""
    return {name: value for name, value in case.items() if name != "beyond_the_site"}


async def is_unchanged(site: Access, case: Case) -> bool:
    """Whether the case still stands as it was answered."""
    return lasting(await read(site, case)) == lasting(case)


def _without_upload(piece: dict[str, Any]) -> dict[str, Any]:
    """A piece without its upload's address, which a case that is over does not name any more."""
    return {**piece, "file": piece["file"] and {**piece["file"], "upload": None}}


async def taken(site: Access, case: Case, action: str, body: Any = None, **headers: str) -> Case:
    """A step that goes through: answered as it is read from then on, one version on, its events numbered on."""
    answer = await send(site, case, action, body, **headers)
    assert answer.status_code == 200, answer.text
    after: Case = answer.json()
    CaseOut.model_validate(after)
    shown = await site.get(f"/v1/cases/{case['id']}")
    assert lasting(shown.json()) == lasting(after)
    assert answer.headers["etag"] == shown.headers["etag"] == f'"{after["version"]}"'
    assert after["version"] == case["version"] + 1
    assert after["timeline"][: len(case["timeline"])] == case["timeline"]
    assert [each["sequence"] for each in after["timeline"]] == list(range(1, len(after["timeline"]) + 1))
    before = case["evidence"]
    assert [_without_upload(piece) for piece in after["evidence"][: len(before)]] == list(map(_without_upload, before))
    assert after["acts"][: len(case["acts"])] == case["acts"]
    return after


async def refused(
    site: Access, case: Case, action: str, body: Any, because: str | tuple[int, str], **headers: str
) -> dict[str, Any]:
    """A step that is not taken, by default with 409: the problem, and nothing at all has changed."""
    status, code = (409, because) if isinstance(because, str) else because
    before = await site.get(f"/v1/cases/{case['id']}")
    answer = await send(site, case, action, body, **{"Accept_Language": "en", **headers})
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    after = await site.get(f"/v1/cases/{case['id']}")
    assert lasting(after.json()) == lasting(before.json())
    return problem


def pointers(problem: dict[str, Any]) -> set[tuple[str, str]]:
    """What is wrong where."""
    return {(each["pointer"], each["code"]) for each in problem["errors"]}


def new_events(before: Case, after: Case) -> list[str]:
    """What the step told."""
    return [each["type"] for each in after["timeline"][len(before["timeline"]) :]]


def actions(case: Case) -> set[tuple[str, str]]:
    """What may be done, and by whom."""
    return {(each["action"], each["by"]) for each in case["next"]}


def until(case: Case, action: str) -> str:
    """By when something may be done."""
    [found] = {each["until"] for each in case["next"] if each["action"] == action}
    assert isinstance(found, str)
    return found


def deadline(case: Case, name: str) -> tuple[str, str]:
    """The latest deadline of this name, and what became of it."""
    return [(each["at"], each["state"]) for each in case["deadlines"] if each["name"] == name][-1]


async def read(site: Access, case: Case) -> Case:
    """The case as it stands."""
    shown: Case = (await site.get(f"/v1/cases/{case['id']}")).json()
    return shown


async def decisions(site: Access, case: Case) -> list[dict[str, Any]]:
    """Every decision of a case."""
    listed = (await site.get(f"/v1/cases/{case['id']}/decisions")).json()["data"]
    assert [each["n"] for each in listed] == list(range(1, len(listed) + 1))
    return [each["decision"] for each in listed]


async def fire(engine: AsyncEngine) -> int:
    """All that is due takes effect, as in the worker."""
    fired = 0
    while count := await fire_due(engine, limit=100):
        fired += count
    return fired


async def told(engine: AsyncEngine, case: Case) -> list[dict[str, Any]]:
    """Every event of a case: type, sequence, and its two bodies."""
    query = text("""
        SELECT e.type, sequence, e.merchant_id, full_data, thin_data FROM events e JOIN cases c USING (site_id, case_id)
        WHERE c.order_no = :order_no ORDER BY e.case_id, sequence""")
    async with engine.connect() as connection:
        found = await connection.execute(query, {"order_no": case["order_no"]})
        return [
            {
                "type": row.type,
                "sequence": row.sequence,
                "merchant_id": row.merchant_id,
                "full": _parsed(row.full_data),
                "thin": _parsed(row.thin_data),
            }
            for row in found
        ]


async def promised(engine: AsyncEngine) -> dict[str, tuple[int, int, int]]:
    """By payment: its amount, what is reserved on it, and the sum of its refunds, all in fen."""
    query = text("""
        SELECT p.payment_no, p.amount, p.reserved_amount, coalesce(sum(r.amount), 0) AS refunds
        FROM payments p LEFT JOIN refunds r ON r.site_id = p.site_id AND r.payment_no = p.payment_no
        GROUP BY p.site_id, p.payment_no, p.amount, p.reserved_amount""")
    async with engine.connect() as connection:
        found = await connection.execute(query)
        return {row.payment_no: (row.amount, row.reserved_amount, row.refunds) for row in found}


def _parsed(stored: Any) -> Any:
    return json.loads(stored) if isinstance(stored, str) else stored


async def awaiting_evidence(site: Access, order_no: str = "A-1001") -> Case:
    """Nothing but the claim has come in."""
    return await filed(site, claim((), order_no), "awaiting_evidence")


async def awaiting_merchant(site: Access, order_no: str = "A-1001") -> Case:
    """The evidence is there, and the merchant is asked."""
    return await filed(site, claim(order_no=order_no), "awaiting_merchant")


async def waiting(site: Access, order_no: str = "A-1001") -> Case:
    """Delivery at an agreed time that has not come yet."""
    body = claim(("chat_log",), order_no, "not_delivered")
    body["order"]["goods"]["delivery_mode"] = "scheduled"
    return await filed(site, body, "waiting")


async def in_review(site: Access, order_no: str = "A-1001") -> Case:
    """The merchant contests."""
    case = await awaiting_merchant(site, order_no)
    case = await taken(site, case, "merchant-response", {"position": "contest"})
    assert case["status"] == "in_review"
    return case


async def approved(site: Access, order_no: str = "A-1001") -> Case:
    """Granted by the rules at once."""
    return await filed(site, bodies.filing(order_no), "approved")


async def rejected(site: Access, order_no: str = "A-1001") -> Case:
    """Refused by a person."""
    case = await taken(site, await in_review(site, order_no), "ruling", RULED_AGAINST)
    assert case["status"] == "rejected"
    return case


async def rejected_by_the_log(site: Access, order_no: str = "A-1001") -> Case:
    """Refused by the rules: what is said not to have come was delivered and used."""
    body = claim(("chat_log",), order_no, "not_delivered")
    body["deliveries"] = [
        {
            "delivery_no": f"D-{order_no}",
            "delivered_at": body["order"]["placed_at"],
            "usage": "consumed",
            "used_by": "buyer",
        }
    ]
    return await filed(site, body, "rejected")


async def appealed(site: Access, order_no: str = "A-1001") -> Case:
    """A person has to answer the buyer's appeal."""
    news = {"message": "另有录屏", "evidence": [piece("screen_recording", order_no)]}
    case = await taken(site, await rejected_by_the_log(site, order_no), "appeal", news)
    assert case["status"] == "appealed"
    return case


async def withdrawn(site: Access, order_no: str = "A-1001") -> Case:
    """Given up by the buyer."""
    case = await taken(site, await awaiting_merchant(site, order_no), "withdraw")
    assert case["status"] == "withdrawn"
    return case


OPEN: Final[dict[str, Callable[[Access], Awaitable[Case]]]] = {
    "awaiting_evidence": awaiting_evidence,
    "awaiting_merchant": awaiting_merchant,
    "waiting": waiting,
    "in_review": in_review,
    "appealed": appealed,
}
CLOSED: Final[dict[str, Callable[[Access], Awaitable[Case]]]] = {
    "approved": approved,
    "rejected": rejected,
    "withdrawn": withdrawn,
}
EVIDENCE: Final[dict[str, Any]] = {"evidence": [piece("screen_recording")]}
RESPONSE: Final = {"position": "contest"}
APPEAL: Final[dict[str, Any]] = {"message": "另有录屏", "evidence": [piece("screen_recording")]}
STEPS: Final[dict[str, Any]] = {
    "evidence": EVIDENCE,
    "merchant-response": RESPONSE,
    "ruling": RULED_FOR,
    "appeal": APPEAL,
    "withdraw": {"because": "resolved"},
    "escalate": {"venue": "complaint_12315"},
}
