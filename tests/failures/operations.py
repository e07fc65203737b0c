"""What a shop sends that moves money or a case: each operation knows how to get to where it can be sent."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from app import clock
from tests.api import bodies
from tests.api.living import RULED_AGAINST, RULED_FOR, claim, piece
from tests.failures.serving import Request, Shop

IN_USE: Final = "idempotency_key_in_use"


@dataclass(frozen=True, slots=True)
class Operation:
    """`prepare(shop, order_no)` does what comes before and answers with the request, which has not been sent yet.

    `is_refused`: it takes effect and is answered 409, which is kept like any other answer.
    """

    name: str
    prepare: Callable[[Shop, str], Awaitable[Request]]
    is_refused: bool = False

    def is_regular(self, answer: httpx.Response) -> bool:
        """Whether this is the answer to the operation, be it the first or the same again."""
        if self.is_refused:
            return answer.status_code == 409 and code_of(answer) != IN_USE
        return answer.is_success


def code_of(answer: httpx.Response) -> str:
    """The code of a problem; empty for any other answer."""
    if answer.headers.get("Content-Type") != "application/problem+json":
        return ""
    return str(answer.json()["code"])


def said(answer: httpx.Response) -> tuple[int, str | None, bytes]:
    """What has to be the same each time: status, kind and bytes."""
    return answer.status_code, answer.headers.get("Content-Type"), answer.content


def is_replay(answer: httpx.Response) -> bool:
    """Whether an answer says of itself that it was given before."""
    return bool(answer.headers.get("Idempotency-Replayed") == "true")


def of_its_own(body: dict[str, Any], order_no: str) -> dict[str, Any]:
    """The same claim by a buyer and about a merchant that no other order has."""
    body["order"] |= {"buyer_id": f"b-{order_no}", "merchant_id": f"m-{order_no}"}
    body["merchant"]["merchant_id"] = f"m-{order_no}"
    return body


def _filing(body: dict[str, Any], order_no: str) -> Request:
    return Request("POST", "/v1/cases", body, order_no)


async def _granted_at_once(_: Shop, order_no: str) -> Request:
    return _filing(of_its_own(bodies.filing(order_no), order_no), order_no)


async def _evidence_wanted(_: Shop, order_no: str) -> Request:
    return _filing(of_its_own(claim((), order_no), order_no), order_no)


async def _charged_without_order(_: Shop, order_no: str) -> Request:
    """Nothing but the idempotency key tells the second of two such claims from the first."""
    body = bodies.filing(order_no)
    payments = [{**payment, "order_no": None} for payment in body["payments"]]
    claimed = {**body["claim"], "reason": "charged_without_order"}
    return _filing({"policy": "card_error", "claim": claimed, "payments": payments}, order_no)


async def _step(shop: Shop, order_no: str, filed: dict[str, Any], action: str, body: Any) -> Request:
    case = await shop.do(_filing(of_its_own(filed, order_no), order_no), f"before-{order_no}")
    return Request("POST", f"/v1/cases/{case['id']}/{action}", body, order_no)


def _in_review(order_no: str) -> dict[str, Any]:
    return claim(("chat_log",), order_no, "other", policy="card_error")


async def _ruling_for(shop: Shop, order_no: str) -> Request:
    return await _step(shop, order_no, _in_review(order_no), "ruling", RULED_FOR)


async def _ruling_against(shop: Shop, order_no: str) -> Request:
    return await _step(shop, order_no, _in_review(order_no), "ruling", RULED_AGAINST)


async def _merchant_accepts(shop: Shop, order_no: str) -> Request:
    return await _step(shop, order_no, claim(order_no=order_no), "merchant-response", {"position": "accept"})


async def _evidence(shop: Shop, order_no: str) -> Request:
    more = {"evidence": [piece("screen_recording", order_no)]}
    return await _step(shop, order_no, claim((), order_no), "evidence", more)


async def _withdrawal(shop: Shop, order_no: str) -> Request:
    return await _step(shop, order_no, claim((), order_no), "withdraw", {"because": "resolved"})


async def _records(shop: Shop, order_no: str) -> Request:
    """A payment of an open case changes, so that the case has to be judged anew."""
    filed = of_its_own(claim((), order_no), order_no)
    await shop.do(_filing(filed, order_no), f"before-{order_no}")
    payments = [{**payment, "refunded_amount": 1_000} for payment in filed["payments"]]
    return Request("POST", "/v1/records", {"payments": payments}, order_no)


async def _report(shop: Shop, order_no: str, **said: Any) -> Request:
    """What the channel did with a refund that was just instructed."""
    filed = await _granted_at_once(shop, order_no)
    [refund] = (await shop.do(filed, f"before-{order_no}"))["refunds"]
    report = {"amount": refund["amount"], "currency": "CNY", "at": clock.now().isoformat(), **said}
    return Request("POST", f"/v1/refunds/{refund['id']}/result", report, order_no)


async def _succeeded(shop: Shop, order_no: str) -> Request:
    return await _report(shop, order_no, state="succeeded", channel_refund_no=f"CR-{order_no}")


async def _contradicted(shop: Shop, order_no: str) -> Request:
    return await _report(shop, order_no, state="succeeded", channel_refund_no=f"CR-{order_no}", amount=1)


async def _closed(shop: Shop, order_no: str) -> Request:
    return await _report(shop, order_no, state="closed", failure={"code": "other"})


async def _retried(shop: Shop, order_no: str) -> Request:
    """Another refund in the place of one that is closed: done twice, it would be money twice."""
    closed = await _closed(shop, order_no)
    await shop.do(closed, f"closed-{order_no}")
    body = {"by": "op-1", "note": "渠道已恢复"}
    return Request("POST", closed.path.replace("/result", "/retry"), body, order_no)


FILINGS: Final = (
    Operation("filing-granted", _granted_at_once),
    Operation("filing-evidence-wanted", _evidence_wanted),
    Operation("filing-without-order", _charged_without_order),
)
STEPS: Final = (
    Operation("ruling-for", _ruling_for),
    Operation("ruling-against", _ruling_against),
    Operation("merchant-accepts", _merchant_accepts),
    Operation("evidence", _evidence),
    Operation("withdrawal", _withdrawal),
    Operation("records", _records),
)
REPORTS: Final = (
    Operation("report-succeeded", _succeeded),
    Operation("report-contradicted", _contradicted, is_refused=True),
    Operation("report-closed", _closed),
    Operation("refund-retried", _retried),
)
OPERATIONS: Final[Mapping[str, Operation]] = {each.name: each for each in (*FILINGS, *STEPS, *REPORTS)}
