"""What a filed case writes, written again by asyncpg alone, to compare with.

The rows and statements are those of a real case, read back or listened to; only the names that must be unique are new.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.ids import mint_refund_no, new_uuid

# Parents first. A merchant that is told again in the same words is not written.
_TABLES = (
    "idempotency_keys",
    "orders",
    "payments",
    "record_versions",
    "cases",
    "case_evidence",
    "decisions",
    "events",
    "dispatches",
    "refunds",
)
_OF_THE_CASE = {
    "idempotency_keys": "key = 'in-process-' || $1",
    "orders": "order_no = $1",
    "payments": "order_no = $1",
    "record_versions": "(kind = 'order' AND record_no = $1) OR (kind = 'payment' AND record->>'order_no' = $1)",
    "cases": "order_no = $1",
}
_BY_CASE = "case_id = (SELECT case_id FROM cases WHERE order_no = $1)"
_NAMES = frozenset({"key", "order_no", "payment_no", "record_no", "case_id", "event_id", "refund_id", "refund_no"})

Write = Callable[[asyncpg.Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one table: its columns, and a tuple of values for each row."""

    table: str
    columns: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]

    @property
    def insert(self) -> str:
        """The head of a statement that writes them."""
        return f"INSERT INTO {self.table} ({', '.join(self.columns)}) VALUES "

    def renamed(self, fresh: Mapping[object, object]) -> Iterator[list[Any]]:
        """The same rows of another case."""
        named = [column in _NAMES for column in self.columns]
        for row in self.values:
            yield [fresh.get(value, value) if is_name else value for is_name, value in zip(named, row, strict=True)]


async def rows_of(connection: asyncpg.Connection, order_no: str) -> list[Rows]:
    """All rows that filing the claim on one order has written."""
    return [await _rows(connection, table, order_no) for table in _TABLES]


async def _rows(connection: asyncpg.Connection, table: str, order_no: str) -> Rows:
    found = await connection.fetch(f"SELECT * FROM {table} WHERE {_OF_THE_CASE.get(table, _BY_CASE)}", order_no)
    return Rows(table, tuple(found[0].keys()), tuple(tuple(row.values()) for row in found))


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Writes the rows of a case over and over, each time under new names."""

    rows: Sequence[Rows]
    numbers: Iterator[int]

    async def one_by_one(self, connection: asyncpg.Connection) -> None:
        """A statement a row, in one transaction."""
        fresh = self._fresh()
        async with connection.transaction():
            for each in self.rows:
                statement = each.insert + _placeholders(0, len(each.columns))
                for row in each.renamed(fresh):
                    await connection.execute(statement, *row)

    async def at_once(self, connection: asyncpg.Connection) -> None:
        """One statement for all rows of all tables, which is a transaction by itself."""
        fresh = self._fresh()
        values = [value for each in self.rows for row in each.renamed(fresh) for value in row]
        await connection.execute(self._whole(), *values)

    def _whole(self) -> str:
        parts, used = [], 0
        for each in self.rows:
            width = len(each.columns)
            rows = (_placeholders(used + n * width, width) for n in range(len(each.values)))
            parts.append(f"{each.table}_written AS ({each.insert}{', '.join(rows)})")
            used += width * len(each.values)
        return f"WITH {', '.join(parts)} SELECT 1"

    def _fresh(self) -> dict[object, object]:
        return fresh_names(_names_in(self.rows), next(self.numbers))


def _placeholders(used: int, width: int) -> str:
    return f"({', '.join(f'${used + n + 1}' for n in range(width))})"


def _names_in(rows: Sequence[Rows]) -> Iterator[tuple[str, object]]:
    for each in rows:
        for row in each.values:
            yield from ((column, value) for column, value in zip(each.columns, row, strict=True) if column in _NAMES)


def fresh_names(names: Iterator[tuple[str, object]], number: int) -> dict[object, object]:
    """Old name to new. Ids stay as they are made elsewhere, rising with time."""
    fresh: dict[object, object] = {}
    for column, value in names:
        if value is None or value in fresh:
            continue
        if column == "refund_no":
            fresh[value] = mint_refund_no()
        else:
            fresh[value] = f"{value}~{number}" if isinstance(value, str) else new_uuid()
    return fresh


@dataclass(frozen=True, slots=True)
class StatementWriter:
    """Sends the service's own statements over and over, by asyncpg, in one transaction each time."""

    sent: Sequence[tuple[str, tuple[Any, ...]]]
    names: Sequence[tuple[str, object]]
    numbers: Iterator[int]

    async def as_the_service(self, connection: asyncpg.Connection) -> None:
        """The same round trips, without SQLAlchemy, pydantic and the rules between them."""
        fresh = fresh_names(iter(self.names), next(self.numbers))
        texts = {str(old): str(new) for old, new in fresh.items()}
        async with connection.transaction():
            for statement, parameters in self.sent:
                await connection.fetch(statement, *(_renamed(value, fresh, texts) for value in parameters))


def _renamed(value: Any, fresh: Mapping[object, object], texts: Mapping[str, str]) -> Any:
    """A parameter of another case; a document may hold many names."""
    if isinstance(value, list):
        return [_renamed(each, fresh, texts) for each in value]
    if not isinstance(value, str):
        return fresh.get(value, value)
    for old, new in texts.items():
        if old in value:
            value = value.replace(f'"{old}"', f'"{new}"') if value != old else new
    return value


@contextmanager
def listened(engine: AsyncEngine) -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """The statements that are sent meanwhile, as the driver gets them, with their parameters."""
    seen: list[tuple[str, tuple[Any, ...]]] = []

    def note(*arguments: Any) -> None:
        seen.append((arguments[2], tuple(arguments[3])))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


def writers_of(rows: Sequence[Rows], sent: Sequence[tuple[str, tuple[Any, ...]]]) -> tuple[RowWriter, StatementWriter]:
    """Both kinds for one case; no name of one is a name of the other."""
    numbers = count(1)
    names = [(column, value) for column, value in _names_in(rows) if value is not None]
    return RowWriter(rows, numbers), StatementWriter(sent, names, numbers)
