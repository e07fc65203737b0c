"""The use case of filing a claim as the route runs it, with no HTTP around it; and stores filled directly."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.ids import key_hash
from app.outbound.catalogue import EndpointRole
from app.rules.decision import decision_text
from app.sealing import Sealer
from app.services import idempotency
from app.services.endpoints import AddressRules, NewEndpoint, register
from app.services.filing import Filing, file_case
from app.services.showing import case_document
from app.store.engine import transaction
from app.store.record_rows import Told
from app.store.records import RecordStore
from app.store.sites import Caller, caller_of
from tests.live import KEY

NOWHERE = "http://127.0.0.1:65001/"  # a port that nobody needs to listen on, as no worker runs
_AT_ONCE = 500


async def file_one(engine: AsyncEngine, sealer: Sealer, filing: Filing) -> None:
    """One transaction: caller, idempotency key, records, case, the answer kept."""
    async with transaction(engine) as connection:
        caller = await the_caller(connection)
        site_id = caller.site.site_id
        key = f"in-process-{filing.order_no}"
        request = idempotency.fingerprint("POST", "/v1/cases", {"order_no": filing.order_no})
        await idempotency.claim(connection, sealer, site_id, key, request, now=caller.now)
        view = await file_case(filing, connection, site_id, now=caller.now)
        body = decision_text(case_document(view)).encode()
        reply = idempotency.Reply(201, {"ETag": '"1"', "Location": f"/v1/cases/{view.case.case_id}"}, body)
        await idempotency.keep(connection, sealer, site_id, key, reply)


async def the_caller(connection: AsyncConnection) -> Caller:
    """The sandbox."""
    caller = await caller_of(connection, key_hash(KEY))
    assert caller is not None
    return caller


async def store_records(engine: AsyncEngine, told: Sequence[Told]) -> None:
    """Many orders with their payments, some hundred a transaction."""
    for start in range(0, len(told), _AT_ONCE):
        part = told[start : start + _AT_ONCE]
        async with transaction(engine) as connection:
            caller = await the_caller(connection)
            many = Told(
                orders=tuple(order for each in part for order in each.orders),
                payments=tuple(payment for each in part for payment in each.payments),
                merchants=part[0].merchants,
            )
            await RecordStore(connection, caller.site.site_id).put_all(many, caller.now)


async def listen_at(engine: AsyncEngine, sealer: Sealer, url: str) -> None:
    """An endpoint of the site that hears everything."""
    async with transaction(engine) as connection:
        caller = await the_caller(connection)
        wish = NewEndpoint(url=url, role=EndpointRole.SITE)
        await register(connection, sealer, caller.site, wish, AddressRules(loopback=True), now=caller.now)
