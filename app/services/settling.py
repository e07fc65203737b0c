"""Refunds that the service itself asks channels for: submitted once, asked after until the channel says how they ended.

No transaction is open while a channel is asked. That it is asked is put down before, so that whoever comes after a
crash asks what has become of the refund before asking for it again; and asking again, under the number that never
changes, pays once.
"""

import asyncio
import base64
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.errors import Busy, Invalid, Unavailable
from app.logs import logger
from app.models.closed_sets import ReportSource
from app.outbound.channels.adapter import Adapter
from app.outbound.channels.said import Instruction, NotNow, PaymentSeen, Said, Told, Unclear, Unknown
from app.rules.labels import words_of
from app.rules.settlement import RefundState, Report
from app.services import refunds
from app.services.channel_accounts import Channels, notify_url
from app.services.channel_answers import (
    CONTRADICTED,
    NOT_BEGUN,
    UNKNOWN_WHILE_PROCESSING,
    block_of,
    is_given_up,
    next_step,
    without_answer,
    word,
)
from app.services.reconciling import raise_overdrawn, take_in
from app.store.cases import CaseStore
from app.store.engine import Engine, transaction
from app.store.refund_sql import LEASE
from app.store.settling import DueRefund, SettlingStore, sites_due
from app.store.sites import database_now

SITES_AT_ONCE: Final = 16
AFTER_A_FAULT: Final = timedelta(minutes=10)
_NOTHING_MOVES: Final = frozenset({RefundState.CLOSED, RefundState.FAILED})
# After these many questions the whole payment is looked at too: somebody else may have paid the money back.
_LOOK_AFTER: Final = frozenset({2, 5, 8})


log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Leased:
    """A refund that is ours to ask for. `claimed_at` by the database's clock, `elapsed` since then."""

    site_id: UUID
    due: DueRefund
    claimed_at: datetime
    elapsed: Callable[[], timedelta]

    @property
    def now(self) -> datetime:
        """The database's time, as far as this process can tell."""
        return self.claimed_at + self.elapsed()


async def step_due(engine: Engine, channels: Channels, *, limit: int, elapsed: Callable[[], timedelta]) -> int:
    """Takes the next step of up to `limit` refunds, side by side; answers with how many.

    `elapsed`: the time of a clock that only rises. Raises Unavailable and Busy while looking for them.
    """
    leased = await lease_due(engine, limit=limit, elapsed=elapsed)
    await asyncio.gather(*(_guarded(engine, channels, each) for each in leased))
    return len(leased)


async def lease_due(engine: Engine, *, limit: int, elapsed: Callable[[], timedelta]) -> list[Leased]:
    """Up to `limit` refunds whose next step is due, site by site, each site in a transaction of its own."""
    async with transaction(engine) as connection:
        sites = await sites_due(connection, SITES_AT_ONCE)
    leased: list[Leased] = []
    for place, site_id in enumerate(sites):
        share = -(-(limit - len(leased)) // (len(sites) - place))
        if share > 0:
            leased += await _lease_of(engine, site_id, share, elapsed)
    return leased


async def _lease_of(engine: Engine, site_id: UUID, limit: int, elapsed: Callable[[], timedelta]) -> list[Leased]:
    async with transaction(engine) as connection:
        now, began = await database_now(connection), elapsed()
        dues = await SettlingStore(connection, site_id).claim(now + LEASE, limit)
    return [Leased(site_id, due, now, lambda: elapsed() - began) for due in dues]


async def _guarded(engine: Engine, channels: Channels, leased: Leased) -> None:
    """A fault of ours in one refund holds up no other; what is lost with the database comes round again."""
    try:
        await step(engine, channels, leased)
    except (Busy, Unavailable):
        log.warning("refund_step_postponed", **_ids(leased))
    except Exception:
        log.exception("refund_step_failed", **_ids(leased))
        with contextlib.suppress(Busy, Unavailable):  # then the end of the lease brings it round
            await _schedule(engine, leased, leased.now + AFTER_A_FAULT, leased.due.refund.asked, "fault")


async def step(engine: Engine, channels: Channels, leased: Leased) -> None:
    """One step: asks the channel, writes down what it said, and when to ask again."""
    due = leased.due
    sealed = base64.b64decode(due.credentials)
    adapter = channels.adapter(leased.site_id, due.kind, sealed, due.mode)
    instruction = _instruction(due, _notify_url(channels, leased))
    said, asked = await _ask(engine, channels, adapter, instruction, leased)
    if said is None:
        return
    if isinstance(said, Told):
        said = await _report(engine, leased, due.refund.refund_id, said)
    if isinstance(said, Unclear) and is_given_up(said, asked, due.refund, leased.now):
        said = await _report(engine, leased, due.refund.refund_id, without_answer(said))
    await _schedule(engine, leased, next_step(adapter, said, asked, leased.now), asked, word(said))
    if asked in _LOOK_AFTER or (isinstance(said, Told) and said.state is RefundState.FAILED):
        seen = await adapter.look_at_payment(instruction.payment_no, instruction.payment_amount, leased.now)
        if isinstance(seen, PaymentSeen):
            await take_in(engine, leased.site_id, instruction.payment_no, seen)


async def _ask(
    engine: Engine, channels: Channels, adapter: Adapter, instruction: Instruction, leased: Leased
) -> tuple[Said | None, int]:
    """What the channel says, and how often it was asked about this instruction; None: it is not to be asked."""
    refund = leased.due.refund
    asked = refund.asked
    if refund.submitted_at is not None or refund.state is not RefundState.REQUESTED:
        said, asked = await adapter.query(instruction, leased.now), asked + 1
        if not isinstance(said, Unknown):
            return said, asked
        if refund.state not in NOT_BEGUN:
            return Unclear(UNKNOWN_WHILE_PROCESSING), asked
    awaited = await _ask_for_closed(engine, channels, instruction, leased)
    if awaited is not None:
        return awaited, asked + 1
    async with transaction(engine) as connection:
        store = SettlingStore(connection, leased.site_id)
        held = await store.hold(refund)
        if held is None or held.refund.state not in NOT_BEGUN:
            return None, asked
        instruction = _instruction(held, instruction.notify_url)
        blocked = block_of(held) or adapter.obstacle(instruction, leased.now)
        if blocked is not None:
            return blocked, asked
        await store.submitting(refund.refund_id)
    return await adapter.submit(instruction, leased.now), asked


async def _ask_for_closed(
    engine: Engine, channels: Channels, instruction: Instruction, leased: Leased
) -> Unclear | NotNow | None:
    """A channel pays anew for a new number, so that it has to be known first what became of the one before.

    None once every one has an end. One that was paid after all is a contradiction, which keeps this one back.
    """
    for old in leased.due.closed:
        adapter = channels.adapter(leased.site_id, old.kind, base64.b64decode(old.credentials), leased.due.mode)
        said = await adapter.query(replace(instruction, refund_no=old.refund_no, amount=old.amount), leased.now)
        match said:
            case Unclear() | NotNow():
                return said
            case Told(state=RefundState.SUCCEEDED):
                taken = await _report(engine, leased, old.refund_id, said)
                if taken != CONTRADICTED:
                    return Unclear("closed_one_paid")
            case Told(state=state) if state not in _NOTHING_MOVES:
                return Unclear("closed_one_at_work")
    return None


async def _report(engine: Engine, leased: Leased, refund_id: UUID, told: Told) -> Said:
    """Takes in what the channel says of a refund. What cannot be so is not believed; what contradicts ends nothing."""
    said = Report(
        state=told.state,
        at=told.at or leased.now,
        amount=told.amount,
        currency=told.currency,
        channel_refund_no=told.channel_refund_no,
        failure=told.failure,
    )
    try:
        async with transaction(engine) as connection:
            cases = CaseStore(connection, leased.site_id)
            taken = await refunds.report(cases, refund_id, said, ReportSource.CHANNEL)
    except Invalid:
        return Unclear("odd_moment")
    if taken.conflict is not None:
        await raise_overdrawn(engine, leased.site_id, leased.due.refund.payment_no)
    return told if taken.conflict is None else CONTRADICTED


async def _schedule(engine: Engine, leased: Leased, at: datetime, asked: int, word: str | None) -> None:
    async with transaction(engine) as connection:
        await SettlingStore(connection, leased.site_id).schedule(leased.due.refund, at, asked, word)


def _instruction(due: DueRefund, notify_url: str | None) -> Instruction:
    zh, _ = words_of(due.reason)
    refund = due.refund
    return Instruction(
        refund_no=refund.refund_no,
        payment_no=refund.payment_no,
        amount=refund.amount,
        payment_amount=due.payment_amount,
        currency=refund.currency,
        reason_text=f"{zh}（{due.decisive_rule}）",
        paid_at=due.paid_at,
        notify_url=notify_url,
        gone=due.gone,
        earlier=due.earlier,
        last_begun_at=due.last_begun_at,
    )


def _notify_url(channels: Channels, leased: Leased) -> str | None:
    account_id = leased.due.refund.account_id
    return None if account_id is None else notify_url(channels.public_url, leased.site_id, account_id)


def _ids(leased: Leased) -> Mapping[str, str]:
    return {"site_id": str(leased.site_id), "refund_id": str(leased.due.refund.refund_id)}
