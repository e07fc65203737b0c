"""Mistakes that a service which takes reports is made with, planted one by one while `forged` runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, get_args
from unittest.mock import patch
from uuid import UUID

from fastapi import FastAPI
from sqlalchemy import TextClause
from starlette.requests import Request
from starlette.responses import Response

from app.api import dependencies
from app.api import refunds as api
from app.outbound.signing import Signed, verify
from app.rules.settlement import FINAL, Report, ReportVerdict, Standing, Weighed, weigh
from app.sealing import Sealer
from app.services import refunds, reporting, webhook_secrets
from app.services.reporting import require_signature
from app.store import sites
from app.store.engine import Connection
from app.store.statement import statement
from tests.failures.faults import Plant


def _without(*names: str) -> Any:
    """The rules without what a report says there."""

    def weighed(refund: Standing, report: Report) -> Weighed:
        unsaid: dict[str, Any] = dict.fromkeys(names)
        return weigh(refund, replace(report, **unsaid))

    return weighed


def _without_its_number(refund: Standing, report: Report) -> Weighed:
    return weigh(replace(refund, channel_refund_no=None), report)


def _nothing_is_final(refund: Standing, report: Report) -> Weighed:
    if refund.state not in FINAL or report.state is refund.state:
        return weigh(refund, report)
    return Weighed(ReportVerdict.APPLIED, replace(refund, state=report.state, reported_at=report.at))


def _at_any_time(secrets: Any, signed: Signed, *, body: bytes, now: datetime) -> None:
    then = datetime.fromtimestamp(int(signed.timestamp), UTC) if signed.timestamp.isdecimal() else now
    verify(secrets, signed, body=body, now=then)


def _over_any_body(secrets: Any, signed: Signed, *, body: bytes, now: datetime) -> None:
    if not signed.signature.startswith("v1,"):
        verify(secrets, signed, body=body, now=now)


async def _signed_or_not(
    connection: Connection, sealer: Sealer, site_id: UUID, signed: Signed | None, body: bytes, *, now: datetime
) -> str | None:
    if signed is None:
        return None
    return await require_signature(connection, sealer, site_id, signed, body, now=now)


_CHECKED_KEY, _REFUSED, _REQUIRE_ADAPTER = dependencies.checked_key, api._refused, refunds.require_adapter


def _a_key_of_ours(request: Request) -> str | None:
    return _CHECKED_KEY(request) or f"ours-{id(request)}"


async def _unclaimed(*given: Any, now: datetime) -> str | None:
    """The signature is checked, but what was signed may be sent anywhere."""
    await require_signature(*given, now=now)
    return None


async def _of_any_refund(cases: Any, refund_id: Any, _refund_no: Any) -> None:
    await _REQUIRE_ADAPTER(cases, refund_id)


def _as_json(*_: Any) -> Response:
    return Response(b"{}", 409, {"Content-Language": "en"}, "application/json")


def _unforeseen(*given: Any) -> None:
    if _REFUSED(*given) is not None:
        raise ZeroDivisionError


def _also_revoked(original: TextClause) -> TextClause:
    return statement(original.text.replace("AND k.revoked_at IS NULL", ""))


UNSCOPED: Final = "the scope is not looked at"  # which is asked for where the routes are made

FAULTS: Final[dict[str, tuple[Plant, ...]]] = {
    "the amount is not compared": ((refunds, "weigh", _without("amount")),),
    "the currency is not compared": ((refunds, "weigh", _without("currency")),),
    "payment and channel are not compared": ((refunds, "weigh", _without("payment_no", "channel")),),
    "the channel's number is not compared": ((refunds, "weigh", _without_its_number),),
    "nothing is final": ((refunds, "weigh", _nothing_is_final),),
    "any moment will do": ((refunds, "_refuse_an_odd_moment", lambda *_: None),),
    "any time of signing will do": ((reporting, "verify", _at_any_time),),
    "any signature will do": ((reporting, "verify", _over_any_body),),
    "a secret is for ever": ((webhook_secrets, "valid", lambda secrets, _: secrets),),
    "what is not signed will do": ((api, "require_signature", _signed_or_not),),
    "what is signed may be sent anywhere": (
        (api, "require_signature", _unclaimed),
        (refunds, "require_adapter", _of_any_refund),
    ),
    UNSCOPED: (),
    "a key is for ever": ((sites, "_CALLER", _also_revoked(sites._CALLER)),),
    "an idempotency key is not needed": ((api, "checked_key", _a_key_of_ours),),
    "a contradiction is not foreseen": ((api, "_refused", _unforeseen),),
    "a refusal is no problem document": ((dependencies, "respond", _as_json),),
}


@contextmanager
def planted(name: str, app: FastAPI) -> Iterator[None]:
    """The service with one of the mistakes."""
    with ExitStack() as stack:
        for where, what, value in FAULTS[name]:
            stack.enter_context(patch.object(where, what, value))
        if name == UNSCOPED:
            scoped = get_args(dependencies.ReportingCaller)[1].dependency
            stack.enter_context(patch.dict(app.dependency_overrides, {scoped: dependencies._caller}))
        yield
