"""Cases of one site."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, TextClause, exc, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict, Refusal, Stale
from app.models.cases import Case
from app.rules.facts import Reason
from app.store.case_reading import DECISIONS, GET, HOLD, LOCK, LOCK_IF_FREE, LOCK_ORDER, READ
from app.store.case_rows import (
    ActRow,
    CaseFilter,
    CasePosition,
    CaseRow,
    CaseView,
    DecisionRow,
    EvidenceRow,
    Held,
    NewCase,
    NewEvent,
    NewRefund,
    NewSignal,
    NewTimer,
    OnFile,
    RefundRow,
)
from app.store.case_writing import ADVANCE, FILE
from app.store.deposits import DepositStore
from app.store.engine import Collided, constraint_of
from app.store.found import FoundStore
from app.store.refunds import RefundStore
from app.store.rejudging import RejudgingStore

_ON_FILE = TypeAdapter(OnFile)
_VIEW = TypeAdapter(CaseView)
_ROW = TypeAdapter(CaseRow)
_CASE = TypeAdapter(NewCase)
_EVIDENCE = TypeAdapter(Sequence[EvidenceRow])
_DECISIONS = TypeAdapter(Sequence[DecisionRow])
_EVENTS = TypeAdapter(Sequence[NewEvent])
_REFUNDS = TypeAdapter(Sequence[NewRefund])
_ACTS = TypeAdapter(Sequence[ActRow])
_TIMERS = TypeAdapter(Sequence[NewTimer])
_SIGNALS = TypeAdapter(Sequence[NewSignal])
_HELD = TypeAdapter(Held)
_CASE_ROW = TypeAdapter(CaseRow)
_COLUMNS = [Case.__table__.c[field.name] for field in fields(CaseRow)]


@dataclass(frozen=True, slots=True)
class Settled:
    """A refund as it stands from now on, and how many fen of its payment are free again."""

    refund: RefundRow
    released: int = 0


@dataclass(frozen=True, slots=True)
class Consequences:
    """What comes with a new case, or with a step of one. Events are numbered in the order given.

    `payment_nos`: payments that the claim names beside its order's. `timers` None leaves the case's as they are; else
    they are all that it has from now on, and of those that it had, `kept` names the promises that were kept.
    `overturned`: the rule whose signals about the buyer do not count any more.
    """

    evidence: Sequence[EvidenceRow] = ()
    decision: DecisionRow | None = None
    events: Sequence[NewEvent] = ()
    refunds: Sequence[NewRefund] = ()
    payment_nos: Sequence[str] = ()
    acts: Sequence[ActRow] = ()
    timers: Sequence[NewTimer] | None = None
    kept: frozenset[str] = frozenset()
    signals: Sequence[NewSignal] = ()
    overturned: str | None = None
    settled: Sequence[Settled] = ()


class CaseStore:
    """The cases of one site; `refunds`, `deposits`, `found` and `rejudging`: what else a step of a case moves."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id
        self.refunds = RefundStore(connection, site_id)
        self.deposits = DepositStore(connection, site_id)
        self.rejudging = RejudgingStore(connection, site_id)
        self.found = FoundStore(connection, site_id)

    async def lock_order(self, order_no: str | None) -> None:
        """Lets nobody else file a claim on this order, tell records of it or move a case of it until the end."""
        await self._connection.execute(LOCK_ORDER, {"site_id": self._site_id, "order_no": order_no})

    async def lock(self, case_id: UUID, *, wait: bool = True) -> bool:
        """Locks the case's order, its payments and the case, in this order; False where it is not there.

        With `wait` False also where somebody else has it or its order.
        """
        statement = LOCK if wait else LOCK_IF_FREE
        return bool(await self._connection.scalar(statement, {"site_id": self._site_id, "case_id": case_id}))

    async def hold(self, case_id: UUID, *, hashes: Sequence[str] = ()) -> Held:
        """A case that was locked before, and all that bears on it; `hashes` are asked about as in a filing."""
        parameters = {"site_id": self._site_id, "case_id": case_id, "hashes": list(hashes)}
        return _HELD.validate_json(await self._connection.scalar(HOLD, parameters))

    async def read_for_judgement(
        self,
        *,
        order_no: str | None,
        reason: Reason,
        payment_nos: Sequence[str] = (),
        hashes: Sequence[str] = (),
        at: datetime | None = None,
    ) -> OnFile:
        """All that bears on a claim, in one statement; locks the order and its payments until the transaction ends.

        The policy is that in force when the stored order was placed; without one, `at`, or else now.
        """
        parameters = {
            "site_id": self._site_id,
            "order_no": order_no,
            "reason": reason.value,
            "payment_nos": list(payment_nos),
            "hashes": list(hashes),
            "at": at,
        }
        return _ON_FILE.validate_json(await self._connection.scalar(READ, parameters))

    async def file(self, case: NewCase, consequences: Consequences, now: datetime) -> None:
        """Writes a case and all that comes with it in one statement: children, dispatches, reservations.

        Conflict `case_open` if one is open for the same order and reason (or was granted), Conflict
        `refund_exceeds_payment` if a payment has not that much left.
        """
        if not await self._write(FILE, {"case": _CASE.dump_json(case).decode()}, consequences, now):
            raise case_open()

    async def advance(self, after: CaseRow, consequences: Consequences, now: datetime) -> None:
        """The next step of a case: `after` is how it stands then, its version one more than before.

        Stale if the case has another version than the one before. Conflicts as above.
        """
        step = {"case_id": after.case_id, "expected": after.version - 1, "new_status": after.status.value}
        step["case"] = _CASE_ROW.dump_json(after).decode()
        if not await self._write(ADVANCE, step, consequences, now):
            raise Stale
        for each in consequences.settled:
            await self._settle(each, now)

    async def get(self, case_id: UUID) -> CaseView | None:
        """A case with its latest decision, evidence, refunds and timeline."""
        found = await self._connection.scalar(GET, {"site_id": self._site_id, "case_id": case_id})
        return None if found is None else _VIEW.validate_json(found)

    async def decisions(self, case_id: UUID) -> list[tuple[int, str]]:
        """Every decision of a case as it was answered, the first one first, with its number from 1."""
        found = await self._connection.execute(DECISIONS, {"site_id": self._site_id, "case_id": case_id})
        return [(row.n, row.body) for row in found]

    async def page(self, wanted: CaseFilter, *, limit: int, after: CasePosition | None = None) -> list[CaseRow]:
        """The latest `limit` cases that were created before `after`, newest first."""
        query = select(*_COLUMNS).where(Case.site_id == self._site_id, *_conditions(wanted))
        if after is not None:
            query = query.where(tuple_(Case.created_at, Case.case_id) < (after.created_at, after.case_id))
        query = query.order_by(Case.created_at.desc(), Case.case_id.desc()).limit(limit)
        found = await self._connection.execute(query)
        return [_ROW.validate_python(dict(row)) for row in found.mappings()]

    async def _settle(self, settled: Settled, now: datetime) -> None:
        try:
            await self.refunds.settle(settled.refund, settled.released, now)
        except exc.IntegrityError as error:
            raise _conflict(error) or error from error

    async def _write(
        self, statement: TextClause, subject: dict[str, Any], consequences: Consequences, now: datetime
    ) -> bool:
        decisions = [consequences.decision] if consequences.decision else []
        parameters = {
            **subject,
            "site_id": self._site_id,
            "now": now,
            "events_told": len(consequences.events),
            "evidence": _EVIDENCE.dump_json(consequences.evidence).decode(),
            "decisions": _DECISIONS.dump_json(decisions).decode(),
            "events": _EVENTS.dump_json(consequences.events).decode(),
            "refunds": _REFUNDS.dump_json(consequences.refunds).decode(),
            "payment_nos": list(consequences.payment_nos),
            "acts": _ACTS.dump_json(consequences.acts).decode(),
            "sets_timers": consequences.timers is not None,
            "timers": _TIMERS.dump_json(consequences.timers or ()).decode(),
            "kept": sorted(consequences.kept),
            "signals": _SIGNALS.dump_json(consequences.signals).decode(),
            "overturned": consequences.overturned,
        }
        try:
            return bool(await self._connection.scalar(statement, parameters))
        except exc.IntegrityError as error:
            raise _conflict(error) or error from error


def case_open() -> Conflict:
    """One case at a time for an order and a reason, and none after it was granted."""
    return Conflict(
        "case_open",
        en="There is a case for this order and reason already, open or granted. Add evidence to it instead.",
        zh="该订单已有同一事由的案件（处理中或已支持）。请在原案件中补充材料。",
    )


def _conflict(error: exc.IntegrityError) -> Refusal | None:
    match constraint_of(error):
        case "ck_payments_within_amount":
            return Conflict(
                "refund_exceeds_payment",
                en="The payment has less left than this refund: other refunds on it were promised meanwhile.",
                zh="该支付的可退余额不足：期间已有其他退款承诺。",
            )
        case "uq_cases_open":
            return case_open()
        case "uq_refunds_channel_refund_no":
            return Conflict(
                "channel_refund_no_taken",
                en="Another refund bears this number of the channel's.",
                zh="该渠道退款单号已用于另一笔退款。",
            )
        case "uq_refunds_open":
            return Conflict(
                "refund_replaced",
                en="Another refund has taken this one's place already.",
                zh="该退款已被另一笔退款取代。",
            )
        case "fk_refunds_channel_accounts":  # deleted since it was read: the next reading will not find it
            return Collided()
        case _:
            return None


def _conditions(wanted: CaseFilter) -> list[ColumnElement[bool]]:
    exact = (
        (Case.status, wanted.status),
        (Case.reason, wanted.reason),
        (Case.merchant_id, wanted.merchant_id),
        (Case.order_no, wanted.order_no),
    )
    conditions = [column == value for column, value in exact if value is not None]
    if wanted.filed_from is not None:
        conditions.append(Case.filed_at >= wanted.filed_from)
    if wanted.filed_to is not None:
        conditions.append(Case.filed_at < wanted.filed_to)
    return conditions
