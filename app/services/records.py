"""What a site tells about its business."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.errors import NotFound
from app.models.closed_sets import RecordKind
from app.store.engine import Connection
from app.store.record_rows import Put, RecordRow, RecordVersionRow, Row, Stored, Told
from app.store.records import RecordStore, kind_of


async def put_record(
    connection: Connection, site_id: UUID, record: RecordRow, now: datetime, *, expected: int | None = None
) -> Put:
    """Stores one record if it differs. Stale if it does not have the version `expected`.

    Conflict for a payment that would contradict the refunds promised on it.
    """
    [put] = await RecordStore(connection, site_id).put(kind_of(record), [record], now, expected=expected)
    return put


async def put_records(connection: Connection, site_id: UUID, told: Told, now: datetime) -> Sequence[Put]:
    """Stores many records, all or none. Invalid if one number comes with two contents."""
    return await RecordStore(connection, site_id).put_all(told, now)


async def get_record(connection: Connection, site_id: UUID, row: type[Row], record_no: str) -> Stored[Row]:
    """`get_record(connection, site_id, OrderRow, "A-1001")`; NotFound."""
    found = await RecordStore(connection, site_id).get(row, record_no)
    if found is None:
        raise NotFound
    return found


async def history_of(
    connection: Connection, site_id: UUID, kind: RecordKind, record_no: str
) -> Sequence[RecordVersionRow]:
    """What was told of one record, the latest first; NotFound."""
    versions = await RecordStore(connection, site_id).versions(kind, record_no)
    if not versions:
        raise NotFound
    return versions
