"""What a bundle shows of a case beyond the case itself: every decision whole, the records' history, the files' keys.

All of it is read as it was known at one moment, and rows of that kind never change: whoever asks again for the same
moment is told the same, although the statements run one after another and lock nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.cases import CaseEvidence, CasePayment, Decision
from app.models.closed_sets import FileState, RecordKind
from app.models.files import EvidenceFile
from app.models.records import Delivery, Payment, RecordVersion

MOST_VERSIONS: Final = 100
"""Of one record, the latest."""
MOST_ROWS: Final = 5_000
"""Of one kind of record, versions of all records together."""


@dataclass(frozen=True, slots=True)
class DecisionText:
    """A decision as it is kept: `facts` and `body` are the very texts whose bytes were hashed and answered."""

    n: int
    facts: str
    body: str
    judged_at: datetime


@dataclass(frozen=True, slots=True)
class ToldRecord:
    """A record as it was told once; `record` is JSON as the database writes it. `versions`: how many were kept."""

    kind: RecordKind
    record_no: str
    version: int
    record: str
    recorded_at: datetime
    versions: int


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Where the file of evidence `n` is kept, and since when."""

    n: int
    key: str
    stored_at: datetime


class BundleStore:
    """The bundles of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def bytes_of_decisions(self, case_id: UUID, until: datetime) -> int:
        """How much the texts of a case's decisions come to."""
        length = func.octet_length(Decision.facts) + func.octet_length(Decision.body)
        query = select(func.coalesce(func.sum(length), 0)).where(*self._decided(case_id, until))
        return int(await self._connection.scalar(query) or 0)

    async def decisions(self, case_id: UUID, until: datetime) -> tuple[DecisionText, ...]:
        """Every decision of a case that was made by a moment, the first one first."""
        query = select(Decision.n, Decision.facts, Decision.body, Decision.judged_at).where(
            *self._decided(case_id, until)
        )
        found = await self._connection.execute(query.order_by(Decision.n))
        return tuple(DecisionText(*row) for row in found)

    async def payment_nos(self, case_id: UUID, order_no: str | None) -> set[str]:
        """The payments of a case's order, and those that its claim names."""
        named = select(CasePayment.payment_no).where(
            CasePayment.site_id == self._site_id, CasePayment.case_id == case_id
        )
        of_order = select(Payment.payment_no).where(Payment.site_id == self._site_id, Payment.order_no == order_no)
        return {row.payment_no for row in await self._connection.execute(union(named, of_order))}

    async def delivery_nos(self, order_no: str | None) -> set[str]:
        """The deliveries of an order."""
        query = select(Delivery.delivery_no).where(Delivery.site_id == self._site_id, Delivery.order_no == order_no)
        return {row.delivery_no for row in await self._connection.execute(query)}

    async def told(
        self, kind: RecordKind, record_nos: Collection[str], until: datetime, *, limit: int = MOST_ROWS
    ) -> tuple[ToldRecord, ...]:
        """What had been told of these records by a moment: by number, the latest version first.

        Of many versions the latest remain, `MOST_VERSIONS` of a record and `limit` of all; the answer says of each
        record how many there were.
        """
        this = RecordVersion
        ranked = select(
            this.record_no,
            this.version,
            cast(this.record, Text).label("record"),
            this.recorded_at,
            func.row_number().over(partition_by=this.record_no, order_by=this.version.desc()).label("rank"),
            func.count().over(partition_by=this.record_no).label("versions"),
        ).where(
            this.site_id == self._site_id,
            this.kind == kind,
            this.record_no.in_(record_nos),
            this.recorded_at <= until,
        )
        rows = ranked.subquery()
        query = select(rows).where(rows.c.rank <= MOST_VERSIONS).order_by(rows.c.rank, rows.c.record_no).limit(limit)
        found = (await self._connection.execute(query)).all()
        latest_first = sorted(found, key=lambda row: (row.record_no, -row.version))
        return tuple(
            ToldRecord(kind, row.record_no, row.version, row.record, row.recorded_at, row.versions)
            for row in latest_first
        )

    async def files(self, case_id: UUID) -> tuple[StoredFile, ...]:
        """The stored files of a case's evidence."""
        query = select(CaseEvidence.n, EvidenceFile.stored_key, EvidenceFile.stored_at).where(
            CaseEvidence.site_id == self._site_id,
            CaseEvidence.case_id == case_id,
            EvidenceFile.site_id == CaseEvidence.site_id,
            EvidenceFile.file_id == CaseEvidence.file_id,
            EvidenceFile.state == FileState.STORED,
        )
        found = await self._connection.execute(query.order_by(CaseEvidence.n))
        return tuple(
            StoredFile(n, key, stored_at) for n, key, stored_at in found if key is not None and stored_at is not None
        )

    def _decided(self, case_id: UUID, until: datetime) -> tuple[ColumnElement[bool], ...]:
        return Decision.site_id == self._site_id, Decision.case_id == case_id, Decision.judged_at <= until
