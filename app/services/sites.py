"""Sites and their keys; the sandbox that a newcomer tries things out in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from app import ids
from app.errors import Fault, Invalid, NotFound
from app.models.closed_sets import ReportSource, Scope
from app.rules.facts import Position
from app.rules.presets import PRESETS, STANDARD
from app.rules.settlement import Failure, FailureCode, RefundState, Report
from app.services.example_cases import GIVEN_UP_REFUND, STOPPED_REFUND, TO_GIVE_UP, TO_RETRY, TO_WITHDRAW, example_cases
from app.services.examples import REPORTED_AT, example_records
from app.services.filing import file_case
from app.services.parties import respond
from app.services.records import import_records
from app.services.refunds import report
from app.services.steps import Target
from app.store.case_rows import CaseFilter
from app.store.cases import CaseStore
from app.store.engine import Connection
from app.store.record_rows import Told
from app.store.sites import Mode, SiteRow, SiteStore, caller_of

# Before any order that can be filed, so that every one of them has a policy.
FROM_THE_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
SANDBOX: Final = UUID("01900000-0000-7000-8000-0000000005b0")
SANDBOX_NAME: Final = "sandbox"
STOPPED: Final = {TO_RETRY: STOPPED_REFUND, TO_GIVE_UP: GIVEN_UP_REFUND}


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key, in the one moment in which it can be shown."""

    key_id: UUID
    key: str


async def create_site(
    connection: Connection, name: str, mode: Mode, *, now: datetime, policy: str = STANDARD
) -> SiteRow:
    """A new site under a preset. Invalid for an unknown one."""
    if policy not in PRESETS:
        raise Invalid(
            Fault("/policy", "unknown_policy", en=f"Presets: {', '.join(PRESETS)}.", zh=f"预设：{'、'.join(PRESETS)}。")
        )
    site = SiteRow(ids.new_uuid(), name, mode)
    await _create(connection, site, policy, now)
    return site


async def create_key(
    connection: Connection, site_id: UUID, scopes: Sequence[Scope], label: str, *, now: datetime
) -> NewKey:
    """A new key of the site's mode; NotFound without such a site."""
    store = SiteStore(connection, site_id)
    site = await store.get()
    if site is None:
        raise NotFound
    new = NewKey(ids.new_uuid(), ids.mint_key(site.mode))
    await store.add_key(new.key_id, ids.key_hash(new.key), scopes, label, now)
    return new


async def revoke_key(connection: Connection, site_id: UUID, key_id: UUID, *, now: datetime) -> None:
    """From now on the key opens nothing; NotFound if it did not before either."""
    if not await SiteStore(connection, site_id).revoke_key(key_id, now):
        raise NotFound


async def open_sandbox(connection: Connection, key: str | None, *, now: datetime) -> tuple[SiteRow, str]:
    """The sandbox with fresh examples, and its only key: the given one, or else a new one. May be repeated."""
    site = SiteRow(SANDBOX, SANDBOX_NAME, "test")
    await _create(connection, site, STANDARD, now)
    chosen = key or ids.mint_key(site.mode)
    store = SiteStore(connection, SANDBOX)
    if await caller_of(connection, ids.key_hash(chosen)) is None:
        await store.add_key(ids.new_uuid(), ids.key_hash(chosen), tuple(Scope), SANDBOX_NAME, now)
    await store.revoke_others(SANDBOX_NAME, ids.key_hash(chosen), now)
    await _refresh_examples(connection, now)
    return site, chosen


async def _create(connection: Connection, site: SiteRow, policy: str, now: datetime) -> None:
    store = SiteStore(connection, site.site_id)
    if await store.create(site.name, site.mode, now):
        await store.activate_policy(policy, PRESETS[policy].version, FROM_THE_BEGINNING)


async def _refresh_examples(connection: Connection, now: datetime) -> None:
    """Times begin anew, but not under an order on which somebody has filed a case."""
    told, cases = example_records(now), CaseStore(connection, SANDBOX)
    untouched = [
        order.order_no for order in told.orders if not await cases.page(CaseFilter(order_no=order.order_no), limit=1)
    ]
    fresh = Told(
        orders=tuple(each for each in told.orders if each.order_no in untouched),
        payments=tuple(each for each in told.payments if each.order_no in untouched),
        deliveries=tuple(each for each in told.deliveries if each.order_no in untouched),
        merchants=told.merchants,
    )
    await import_records(connection, SANDBOX, fresh, now)
    for example in example_cases(now):
        if await cases.get(example.case_id) is None:
            await file_case(example.filing, connection, SANDBOX, now=now, mint=example.mint())
            if example.case_id == TO_WITHDRAW:  # the merchant offers what withdrawing can take instead of the money
                await respond(cases, Target(example.case_id), Position.OFFER_REISSUE, None, ())
            if example.case_id in STOPPED:
                await report(cases, STOPPED[example.case_id], _account_gone(), ReportSource.ADAPTER)


def _account_gone() -> Report:
    """What a retry, or giving up, can be tried on."""
    failure = Failure(FailureCode.ACCOUNT_GONE, "用户账户已注销")
    return Report(RefundState.ABNORMAL, datetime.fromisoformat(REPORTED_AT), 20_000, "CNY", failure=failure)
