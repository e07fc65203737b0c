"""The statements that write records: set-based, and writing only what differs."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import FromClause, TextClause
from sqlalchemy.dialects import postgresql

from app.models.closed_sets import RecordKind
from app.models.records import Delivery, Merchant, Order, Payment
from app.store.record_locks import CLAIMED, HELD_ORDERS, NAMED_PAYMENTS, locks, named_payments, touches_orders
from app.store.statement import statement

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_OURS = (
    "site_id",
    "reserved_amount",
    "found_amount",
    "overdrawn_amount",
    "version",
    "created_at",
    "updated_at",
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the statements need to know of one kind. `told`: the columns that the site fills, its number first.

    `frozen`: when a record must not be changed so, in terms of `t` (stored) and `{g}` (given). `follows`: what of ours
    follows from a change, as assignments in terms of `t` and `EXCLUDED`.
    """

    kind: RecordKind
    table: str
    key: str
    told: tuple[str, ...]
    types: str
    frozen: str = "false"
    follows: str = ""

    def each(self, alias: str) -> str:
        """The told columns of one table alias."""
        return ", ".join(f"{alias}.{column}" for column in self.told)


def _shape(kind: RecordKind, table: FromClause, key: str, frozen: str = "false", follows: str = "") -> Shape:
    told = (key, *(column.name for column in table.columns if column.name not in (key, *_OURS)))
    types = ", ".join(f"{name} {table.columns[name].type.compile(_DIALECT)}" for name in told)
    return Shape(kind, str(table), key, told, types, frozen, follows)


# A payment on which a refund is promised stays where it is: the promise names its order's case and its channel.
_PROMISED_ELSEWHERE = "t.reserved_amount > 0 AND (t.order_no, t.channel) IS DISTINCT FROM ({g}.order_no, {g}.channel)"
# Of a payment that was larger than it was told to be at first, less is overdrawn. Telling it never overdraws more.
_STILL_OVERDRAWN = """overdrawn_amount = least(t.overdrawn_amount, greatest(
    0, greatest(EXCLUDED.refunded_amount, t.found_amount) + t.reserved_amount - EXCLUDED.amount)),"""

SHAPES = {
    RecordKind.ORDER: _shape(RecordKind.ORDER, Order.__table__, "order_no"),
    RecordKind.PAYMENT: _shape(
        RecordKind.PAYMENT, Payment.__table__, "payment_no", _PROMISED_ELSEWHERE, _STILL_OVERDRAWN
    ),
    RecordKind.DELIVERY: _shape(RecordKind.DELIVERY, Delivery.__table__, "delivery_no"),
    RecordKind.MERCHANT: _shape(RecordKind.MERCHANT, Merchant.__table__, "merchant_id"),
}
# Filings of one order take turns from the moment that they touch it, and so do all who touch its payments. A merchant
# that many orders share is locked only by who changes it.
LOCKED_BY_ALL = frozenset({RecordKind.ORDER, RecordKind.PAYMENT})
# What an order row that is locked is called among the answers.
LOCKED = "locked"


def put_one_kind(shape: Shape) -> TextClause:
    """Writes records of one kind; with `expected`, only over that version."""
    held = f"(SELECT max(version) FROM held_{shape.table})"  # noqa: S608 - every name comes from the models
    guard = f"AND (:expected IS NULL OR {held} = :expected)"
    return _put((shape,), [_written(shape, locked=True, guard=guard, after=_first((shape,)))])


def put_all_kinds() -> TextClause:
    """Writes records of all kinds, orders first, in one round trip."""
    shapes = tuple(SHAPES.values())
    parts, before = [], _first(shapes)
    for shape in shapes:
        if shape.kind is RecordKind.PAYMENT and before is not None:
            parts.append(named_payments(before))
            before = NAMED_PAYMENTS
        parts.append(_written(shape, locked=shape.kind in LOCKED_BY_ALL, after=before))
        before = f"put_{shape.table}"
    return _put(shapes, parts, also=True)


def _put(shapes: Sequence[Shape], written: Sequence[str], *, also: bool = False) -> TextClause:
    """What is given, the locks that it needs, the writing of each kind, and the answers."""
    kinds = [shape.kind for shape in shapes]
    parts, answers = [*map(_given, shapes)], [*map(_answer, shapes)]
    if touches_orders(kinds):
        parts.append(locks(kinds, also=also))
        answers.append(_LOCKED)
    parts.extend(written)
    return statement(f"WITH {', '.join(parts)} {' UNION ALL '.join(answers)}")


def _first(shapes: Sequence[Shape]) -> str | None:
    """What has to have run before the first kind is written."""
    return CLAIMED if touches_orders([shape.kind for shape in shapes]) else None


def _given(shape: Shape) -> str:
    """`given`: told now, as rows."""
    return f"""
        given_{shape.table} AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset(CAST(:{shape.table} AS jsonb)) AS told({shape.types})
        )"""  # noqa: S608 - as above


def _written(shape: Shape, *, locked: bool, guard: str = "", after: str | None) -> str:
    """`held` (stored before), `put` (written now) and `kept` (its history) of one kind.

    The parts of a statement run in no promised order; counting what an earlier one returns makes it run first.
    """
    table, key = shape.table, shape.key
    wait = f"AND (SELECT count(*) FROM {after}) >= 0" if after else ""  # noqa: S608 - as above
    updates = ", ".join(f"{column} = EXCLUDED.{column}" for column in shape.told[1:])
    return f"""
        held_{table} AS MATERIALIZED (
            SELECT t.{key}, t.version, ({shape.each("t")}) IS NOT DISTINCT FROM ({shape.each("g")}) AS same,
                   {shape.frozen.format(g="g")} AS frozen
            FROM given_{table} g JOIN {table} t ON t.site_id = :site_id AND t.{key} = g.{key}
            WHERE t.{key} = ANY(ARRAY(SELECT {key} FROM given_{table})) {wait}
            ORDER BY t.{key} {"FOR UPDATE OF t" if locked else ""}
        ),
        put_{table} AS (
            INSERT INTO {table} AS t (site_id, {", ".join(shape.told)}, version, created_at, updated_at)
            SELECT :site_id, {shape.each("g")}, 1, :now, :now
            FROM given_{table} g
            WHERE g.{key} NOT IN (SELECT {key} FROM held_{table} WHERE same) {guard} {wait}
            ORDER BY g.{key}
            ON CONFLICT (site_id, {key}) DO UPDATE
            SET {updates}, {shape.follows} version = t.version + 1, updated_at = EXCLUDED.updated_at
            WHERE ({shape.each("t")}) IS DISTINCT FROM ({shape.each("EXCLUDED")})
              AND NOT ({shape.frozen.format(g="EXCLUDED")})
            RETURNING t.*
        ),
        kept_{table} AS (
            INSERT INTO record_versions (site_id, kind, record_no, version, record, recorded_at)
            SELECT site_id, '{shape.kind}', {key}, version,
                   to_jsonb(p) - '{{{",".join(_OURS)}}}'::text[], :now
            FROM put_{table} p
        )"""  # noqa: S608 - as above


def _answer(shape: Shape) -> str:
    return f"""
        SELECT '{shape.kind}' AS kind, g.{shape.key} AS record_no, h.version AS before, p.version AS written,
               coalesce(h.same, false) AS same, coalesce(h.frozen, false) AS frozen
        FROM given_{shape.table} g
        LEFT JOIN held_{shape.table} h USING ({shape.key})
        LEFT JOIN put_{shape.table} p USING ({shape.key})"""  # noqa: S608 - as above


_LOCKED = f"SELECT '{LOCKED}', order_no, NULL, NULL, false, false FROM {HELD_ORDERS}"  # noqa: S608 - as above


def get_one(shape: Shape) -> TextClause:
    """One record as JSON, as `Stored` wants it."""
    return statement(f"""
        SELECT CAST(to_jsonb(t) || jsonb_build_object('record', to_jsonb(t)) AS text)
        FROM {shape.table} t WHERE site_id = :site_id AND {shape.key} = :record_no""")  # noqa: S608 - as above
