"""Records of one site: told, read, and their history."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import RowMapping, TextClause, exc
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Busy, Conflict, Fault, Invalid, Stale, pointer_to
from app.models.closed_sets import RecordKind
from app.store.engine import constraint_of
from app.store.record_rows import (
    Change,
    DeliveryRow,
    MerchantRow,
    OrderRow,
    PaymentRow,
    Put,
    RecordRow,
    RecordVersionRow,
    Row,
    Stored,
    Told,
)
from app.store.record_sql import LOCKED, SHAPES, get_one, put_all_kinds, put_one_kind
from app.store.statement import statement

WITHIN_AMOUNT = "ck_payments_within_amount"
MOST_VERSIONS = 100
MOST_FAULTS = 50
_TRIES = 3

_MANY: Final[Mapping[RecordKind, TypeAdapter[Any]]] = {
    RecordKind.ORDER: TypeAdapter(tuple[OrderRow, ...]),
    RecordKind.PAYMENT: TypeAdapter(tuple[PaymentRow, ...]),
    RecordKind.DELIVERY: TypeAdapter(tuple[DeliveryRow, ...]),
    RecordKind.MERCHANT: TypeAdapter(tuple[MerchantRow, ...]),
}
_STORED: Final[Mapping[type[RecordRow], tuple[RecordKind, TypeAdapter[Any]]]] = {
    OrderRow: (RecordKind.ORDER, TypeAdapter(Stored[OrderRow])),
    PaymentRow: (RecordKind.PAYMENT, TypeAdapter(Stored[PaymentRow])),
    DeliveryRow: (RecordKind.DELIVERY, TypeAdapter(Stored[DeliveryRow])),
    MerchantRow: (RecordKind.MERCHANT, TypeAdapter(Stored[MerchantRow])),
}
_PUT = {kind: put_one_kind(shape) for kind, shape in SHAPES.items()}
_PUT_ALL = put_all_kinds()
_GET = {kind: get_one(shape) for kind, shape in SHAPES.items()}
_VERSIONS = statement(
    "SELECT version, CAST(record AS text) AS record, recorded_at FROM record_versions"
    " WHERE site_id = :site_id AND kind = :kind AND record_no = :record_no ORDER BY version DESC LIMIT :limit"
)


def kind_of(record: RecordRow | type[RecordRow]) -> RecordKind:
    """The kind that a row belongs to."""
    return _STORED[record if isinstance(record, type) else type(record)][0]


class RecordStore:
    """The records of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id
        self._locked: set[str] = set()

    @property
    def locked(self) -> frozenset[str]:
        """The orders that were there and that this store has locked, until the transaction ends."""
        return frozenset(self._locked)

    async def put(
        self, kind: RecordKind, records: Sequence[RecordRow], now: datetime, *, expected: int | None = None
    ) -> list[Put]:
        """Store what differs, in one statement; answers in the order given. Locks the orders that it bears on first.

        `expected` (for one record) is the version that it must have; Stale otherwise. Conflict where a payment would
        fall below what is refunded and promised on it, or would leave the order or channel of a promise.
        """
        many = {kind: _once_each(kind, records)}
        return _in_order_given({kind: records}, await self._put(_PUT[kind], many, now, {"expected": expected}))

    async def put_all(
        self, told: Told, now: datetime, *, order_no: str | None = None, payment_nos: Sequence[str] = ()
    ) -> list[Put]:
        """The same for all kinds in one statement; orders are written, or else locked, first.

        What the caller locks next is locked in the same turn: the order named, its payments, and those named.
        """
        many: dict[RecordKind, Sequence[RecordRow]] = {
            RecordKind.ORDER: told.orders,
            RecordKind.PAYMENT: told.payments,
            RecordKind.DELIVERY: told.deliveries,
            RecordKind.MERCHANT: told.merchants,
        }
        unique = {kind: _once_each(kind, records) for kind, records in many.items()}
        named = {"order_no": order_no, "payment_nos": list(payment_nos)}
        return _in_order_given(many, await self._put(_PUT_ALL, unique, now, named))

    async def get(self, row: type[Row], record_no: str) -> Stored[Row] | None:
        """`get(OrderRow, "A-1001")`: the record as it stands."""
        kind, adapter = _STORED[row]
        found = await self._connection.scalar(_GET[kind], {"site_id": self._site_id, "record_no": record_no})
        return None if found is None else cast(Stored[Row], adapter.validate_json(found))

    async def versions(self, kind: RecordKind, record_no: str, *, limit: int = MOST_VERSIONS) -> list[RecordVersionRow]:
        """What was told of a record, the latest first."""
        parameters = {"site_id": self._site_id, "kind": kind, "record_no": record_no, "limit": limit}
        found = await self._connection.execute(_VERSIONS, parameters)
        return [RecordVersionRow(row.version, json.loads(row.record), row.recorded_at) for row in found]

    async def _put(
        self, put: TextClause, many: Mapping[RecordKind, Sequence[RecordRow]], now: datetime, more: Mapping[str, Any]
    ) -> dict[tuple[RecordKind, str], Put]:
        documents = {SHAPES[kind].table: _MANY[kind].dump_json(records).decode() for kind, records in many.items()}
        parameters = {"site_id": self._site_id, "now": now, **documents, **more}
        for _ in range(_TRIES):
            found = await self._execute(put, parameters)
            self._locked.update(each["record_no"] for each in found if each["kind"] == LOCKED)
            answers = [each for each in found if each["kind"] != LOCKED]
            _check(answers, more.get("expected"))
            # One that was neither there nor written was told in the same words by somebody else at this very moment.
            if all(answer["same"] or answer["written"] for answer in answers):
                return {(RecordKind(answer["kind"]), answer["record_no"]): _put_of(answer) for answer in answers}
        raise Busy

    async def _execute(self, put: TextClause, parameters: Mapping[str, object]) -> Sequence[RowMapping]:
        try:
            return (await self._connection.execute(put, parameters)).mappings().all()
        except exc.IntegrityError as error:
            if constraint_of(error) == WITHIN_AMOUNT:
                raise below_what_is_promised() from error
            raise


def below_what_is_promised() -> Conflict:
    """A payment cannot be made smaller than what went back and what was promised on it."""
    return Conflict(
        "payment_below_refunds",
        en="The amount of a payment cannot be less than what was refunded on it and what is promised to be refunded.",
        zh="支付金额不能小于其已退金额与已承诺退款金额之和。",
    )


def _check(answers: Sequence[RowMapping], expected: int | None) -> None:
    if any(answer["frozen"] for answer in answers):
        raise Conflict(
            "payment_has_refunds",
            en="A refund is promised on this payment: its order_no and channel cannot change any more.",
            zh="该支付已有退款承诺，order_no 与 channel 不能再变更。",
        )
    if expected is not None and any(answer["before"] != expected for answer in answers):
        raise Stale


def _put_of(answer: RowMapping) -> Put:
    if answer["written"] is None:
        change = Change.UNCHANGED
    else:
        change = Change.CREATED if answer["written"] == 1 else Change.UPDATED
    return Put(
        RecordKind(answer["kind"]), answer["record_no"], version=answer["written"] or answer["before"], change=change
    )


def _number(record: RecordRow) -> str:
    return cast(str, getattr(record, SHAPES[kind_of(record)].key))


def _in_order_given(
    many: Mapping[RecordKind, Sequence[RecordRow]], put: Mapping[tuple[RecordKind, str], Put]
) -> list[Put]:
    """One answer for each record; a record that was given twice has not changed the second time."""
    answers: dict[tuple[RecordKind, str], Put] = {}
    ordered: list[Put] = []
    for key in ((kind, _number(record)) for kind, records in many.items() for record in records):
        again = key in answers
        answers[key] = replace(put[key], change=Change.UNCHANGED) if again else put[key]
        ordered.append(answers[key])
    return ordered


def _once_each(kind: RecordKind, records: Sequence[RecordRow]) -> tuple[RecordRow, ...]:
    """Each record once; Invalid if one number came with two different contents, naming the later ones."""
    unique: dict[str, RecordRow] = {}
    faults = [
        _another(kind, place)
        for place, record in enumerate(map(_in_order, records))
        if unique.setdefault(_number(record), record) != record
    ]
    if faults:
        raise Invalid(*faults[:MOST_FAULTS])
    return tuple(unique.values())


def _another(kind: RecordKind, place: int) -> Fault:
    return Fault(
        pointer_to(SHAPES[kind].table, place),
        "duplicate_record",
        en=f"Another record of kind '{kind}' with other contents bears the same number.",
        zh=f"另有一条内容不同的 {kind} 记录使用了同一编号。",
    )


def _in_order(record: RecordRow) -> RecordRow:
    return replace(record, traits=tuple(sorted(set(record.traits)))) if isinstance(record, OrderRow) else record
