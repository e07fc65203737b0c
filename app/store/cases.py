"""Cases of one site."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, TextClause, exc, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict, Stale
from app.models.cases import Case
from app.models.closed_sets import CaseStatus
from app.rules.facts import Reason
from app.store.case_rows import (
    CaseFilter,
    CasePosition,
    CaseRow,
    CaseView,
    DecisionRow,
    EvidenceRow,
    NewCase,
    NewEvent,
    NewRefund,
    OnFile,
)
from app.store.case_sql import ADVANCE, FILE, GET, READ
from app.store.engine import constraint_of

_ON_FILE = TypeAdapter(OnFile)
_VIEW = TypeAdapter(CaseView)
_ROW = TypeAdapter(CaseRow)
_CASE = TypeAdapter(NewCase)
_EVIDENCE = TypeAdapter(Sequence[EvidenceRow])
_DECISIONS = TypeAdapter(Sequence[DecisionRow])
_EVENTS = TypeAdapter(Sequence[NewEvent])
_REFUNDS = TypeAdapter(Sequence[NewRefund])
_COLUMNS = [Case.__table__.c[field.name] for field in fields(CaseRow)]


@dataclass(frozen=True, slots=True)
class Consequences:
    """What comes with a new case, or with a step of one. Events are numbered in the order given."""

    evidence: Sequence[EvidenceRow] = ()
    decision: DecisionRow | None = None
    events: Sequence[NewEvent] = ()
    refunds: Sequence[NewRefund] = ()


class CaseStore:
    """The cases of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def read_for_judgement(
        self,
        *,
        order_no: str | None,
        reason: Reason,
        payment_nos: Sequence[str] = (),
        merchant_id: str | None = None,
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
            "merchant_id": merchant_id,
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

    async def advance(
        self, case_id: UUID, *, expected: int, status: CaseStatus, consequences: Consequences, now: datetime
    ) -> None:
        """The next step of a case that has the version `expected`; Stale if it has another. Conflicts as above."""
        step = {"case_id": case_id, "expected": expected, "new_status": status.value}
        if not await self._write(ADVANCE, step, consequences, now):
            raise Stale

    async def get(self, case_id: UUID) -> CaseView | None:
        """A case with its latest decision, evidence, refunds and timeline."""
        found = await self._connection.scalar(GET, {"site_id": self._site_id, "case_id": case_id})
        return None if found is None else _VIEW.validate_json(found)

    async def page(self, wanted: CaseFilter, *, limit: int, after: CasePosition | None = None) -> list[CaseRow]:
        """The latest `limit` cases that were created before `after`, newest first."""
        query = select(*_COLUMNS).where(Case.site_id == self._site_id, *_conditions(wanted))
        if after is not None:
            query = query.where(tuple_(Case.created_at, Case.case_id) < (after.created_at, after.case_id))
        query = query.order_by(Case.created_at.desc(), Case.case_id.desc()).limit(limit)
        found = await self._connection.execute(query)
        return [_ROW.validate_python(dict(row)) for row in found.mappings()]

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


def _conflict(error: exc.IntegrityError) -> Conflict | None:
    match constraint_of(error):
        case "ck_payments_within_amount":
            return Conflict(
                "refund_exceeds_payment",
                en="The payment has less left than this refund: other refunds on it were promised meanwhile.",
                zh="该支付的可退余额不足：期间已有其他退款承诺。",
            )
        case "uq_cases_open":
            return case_open()
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
