"""Refunds over HTTP: one in each state, what is reported of it, and all of it that must stay as it is."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from app.api.schemas.refunds import RefundOut, ReportTakenOut
from tests.api import bodies, living
from tests.api.conftest import Access

Refund = dict[str, Any]
FEN: Final = 20_000
STOPPED: Final = ("abnormal", "failed", "closed")
STATES: Final = ("requested", "accepted", "processing", "succeeded", *STOPPED)
UNFINISHED: Final = ("requested", "accepted", "processing", "abnormal", "failed")


def moment(refund: Refund, seconds: float = 0) -> str:
    """So long after the instruction; at most five minutes ahead of the database's clock are taken."""
    return (datetime.fromisoformat(refund["created_at"]) + timedelta(seconds=seconds)).isoformat()


def result(refund: Refund, state: str, seconds: float = 0, **changes: Any) -> dict[str, Any]:
    """What an honest adapter says; a change of None leaves a field out."""
    body: dict[str, Any] = {
        "state": state,
        "refund_no": refund["refund_no"],
        "amount": refund["amount"],
        "currency": "CNY",
        "at": moment(refund, seconds),
        "channel_refund_no": f"50-{refund['refund_no']}" if state in {"processing", "succeeded"} else None,
        "failure": {"code": "other", "message": "渠道处理失败"} if state in STOPPED else None,
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


async def report(site: Access, refund: Refund, body: Any, *, once: str | None = None, **headers: str) -> httpx.Response:
    """Says it, under a key that nobody has used before unless one is given (`""`: without)."""
    key = secrets.token_hex(8) if once is None else once
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await site.post(f"/v1/refunds/{refund['id']}/result", body, once=key or None, headers=named)


async def told(site: Access, refund: Refund, state: str, seconds: float = 0, **changes: Any) -> httpx.Response:
    """Reports a state."""
    return await report(site, refund, result(refund, state, seconds, **changes))


async def taken(
    site: Access, refund: Refund, state: str, seconds: float = 0, *, verdict: str = "applied", **changes: Any
) -> Refund:
    """A report that is taken in: answered as the refund is read from then on."""
    answer = await told(site, refund, state, seconds, **changes)
    assert answer.status_code == 200, answer.text
    ReportTakenOut.model_validate(answer.json())
    assert answer.json()["verdict"] == verdict
    after: Refund = answer.json()["refund"]
    shown = await site.get(f"/v1/refunds/{refund['id']}")
    assert shown.json() == after
    assert shown.headers["etag"] == answer.headers["etag"] == f'"{after["version"]}"'
    return after


async def refused(site: Access, refund: Refund, body: Any, because: tuple[int, str], **headers: str) -> dict[str, Any]:
    """A report that changes nothing: the problem."""
    before = await read(site, refund)
    answer = await report(site, refund, body, Accept_Language="en", **headers)
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == because, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert as_it_stands(await read(site, refund)) == as_it_stands(before)
    return problem


async def read(site: Access, refund: Refund) -> Refund:
    """The refund as it is now."""
    answer = await site.get(f"/v1/refunds/{refund['id']}")
    assert answer.status_code == 200, answer.text
    RefundOut.model_validate(answer.json())
    shown: Refund = answer.json()
    return shown


def as_it_stands(refund: Refund) -> Refund:
    """Without what was said of it."""
    return {name: value for name, value in refund.items() if name != "reports"}


async def requested(site: Access, order_no: str = "A-1001") -> Refund:
    """The refund of a claim that was granted at once."""
    case = await living.approved(site, order_no)
    [refund] = case["refunds"]
    return await read(site, refund)


async def brought_to(site: Access, state: str, order_no: str = "A-1001") -> Refund:
    """A refund in any state."""
    refund = await requested(site, order_no)
    return refund if state == "requested" else await taken(site, refund, state)


async def in_two_payments(site: Access, order_no: str = "A-1001") -> tuple[living.Case, Refund, Refund]:
    """A granted case that was paid in two parts, with a refund for each; the first one is of the bigger part."""
    body = bodies.filing(order_no)
    [payment] = body["payments"]
    other = {**payment, "payment_no": f"{payment['payment_no']}-b", "amount": 8_000, "channel": "wechat_pay"}
    body["payments"] = [{**payment, "amount": FEN - 8_000}, other]
    case = await living.filed(site, body, "approved")
    first, second = sorted(case["refunds"], key=lambda refund: -refund["amount"])
    assert (first["amount"], second["amount"]) == (12_000, 8_000)
    return case, first, second


async def retry(
    site: Access, refund: Refund, body: Mapping[str, Any] | None = None, *, once: str | None = None, **headers: str
) -> httpx.Response:
    """A person lets it go on."""
    key = secrets.token_hex(8) if once is None else once
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await site.post(
        f"/v1/refunds/{refund['id']}/retry", body or {"by": "cs-12"}, once=key or None, headers=named
    )


async def retried(site: Access, refund: Refund, body: Mapping[str, Any] | None = None) -> Refund:
    """The refund that goes on."""
    answer = await retry(site, refund, body)
    assert answer.status_code == 200, answer.text
    after: Refund = answer.json()
    assert after == await read(site, after)
    assert answer.headers["location"] == f"/v1/refunds/{after['id']}"
    assert answer.headers["etag"] == f'"{after["version"]}"'
    return after


async def case_of(site: Access, refund: Refund) -> living.Case:
    """The case that a refund is of."""
    return await living.read(site, {"id": refund["case_id"]})


async def events(engine: AsyncEngine, order_no: str = "A-1001") -> list[str]:
    """What was told of the case with this order, in order; its numbers rise one by one."""
    heard = await living.told(engine, {"order_no": order_no})
    assert [each["sequence"] for each in heard] == list(range(1, len(heard) + 1))
    return [each["type"] for each in heard]


@dataclass(frozen=True, slots=True)
class Books:
    """What moves money: each refund's row but for its version, each payment's reserve, each case's status."""

    refunds: tuple[str, ...]
    reserved: tuple[tuple[str, int], ...]
    cases: tuple[tuple[str, str], ...]


_REFUNDS: Final = "SELECT (to_jsonb(r) - 'version' - 'updated_at')::text FROM refunds r ORDER BY refund_id"
_RESERVED: Final = "SELECT payment_no, reserved_amount FROM payments ORDER BY site_id, payment_no"
_CASES: Final = "SELECT case_id::text, status FROM cases ORDER BY case_id"


async def books(engine: AsyncEngine) -> Books:
    """All of it, of every site."""
    async with engine.connect() as connection:
        refunds = tuple((await connection.scalars(text(_REFUNDS))).all())
        reserved = tuple((no, amount) for no, amount in (await connection.execute(text(_RESERVED))).all())
        cases = tuple((case_id, status) for case_id, status in (await connection.execute(text(_CASES))).all())
    return Books(refunds, reserved, cases)


async def reserved(engine: AsyncEngine) -> dict[str, int]:
    """By payment: how many fen are promised."""
    return dict((await books(engine)).reserved)


def signed(secret: str, body: bytes, at: datetime, message_id: str | None = None) -> dict[str, str]:
    """The headers of a report that is signed at that time, by the published implementation of Standard Webhooks."""
    name, moment = message_id or f"msg_{secrets.token_hex(8)}", at.astimezone(UTC)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(name, moment, body.decode()),
    }


async def send(site: Access, refund: Refund, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    """Exactly these bytes under exactly these headers, and the key of the site."""
    path, kind = f"/v1/refunds/{refund['id']}/result", {"Content-Type": "application/json"}
    return await site.call("POST", path, content=body, headers={**kind, **headers})


def as_bytes(body: Any) -> bytes:
    """A body as it is sent and signed."""
    return json.dumps(body, ensure_ascii=False).encode()
