"""Files of evidence of one site: awaited, stored, found again."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from app.models.cases import Case, CaseEvidence
from app.models.closed_sets import FileState
from app.models.files import EvidenceFile
from app.store.case_rows import FileRow


@dataclass(frozen=True, slots=True)
class Announced:
    """A file as its sender described it. `expired`: by the database's clock the time to send it is over."""

    case_id: UUID
    file: FileRow
    expired: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What came: where it is kept, and what its bytes are. `size` in bytes."""

    stored_key: str
    media_type: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is there. `n`: its piece of evidence in the case; `reused`: another order's case had it before."""

    stored_key: str
    case_id: UUID
    n: int
    reused: bool
    file: FileRow


class EvidenceFileStore:
    """The files of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def announced(self, file_id: UUID) -> Announced | None:
        """A file that was announced, stored by now or not."""
        expired = (EvidenceFile.expires_at < func.now()).label("expired")
        query = select(*_FILE, EvidenceFile.case_id, expired).where(*self._named(file_id))
        found = (await self._connection.execute(query)).one_or_none()
        return None if found is None else Announced(found.case_id, _file(found), found.expired)

    async def keep(self, file_id: UUID, found: Found) -> bool:
        """Writes down what came for a file that is awaited, and with it its evidence; False if it is not awaited.

        Call it with the case locked.
        """
        written = await self._connection.execute(
            update(EvidenceFile)
            .where(*self._named(file_id), EvidenceFile.state == FileState.AWAITED)
            .values(
                state=FileState.STORED,
                stored_key=found.stored_key,
                media_type=found.media_type,
                size=found.size,
                sha256=found.sha256,
                stored_at=func.now(),
            )
            .returning(EvidenceFile.case_id)
        )
        case_id = written.scalar_one_or_none()
        if case_id is None:
            return False
        await self._describe_evidence(case_id, file_id, found.sha256)
        return True

    async def of_evidence(self, case_id: UUID, n: int) -> Kept | None:
        """The stored file of a piece of evidence."""
        return await self._kept(CaseEvidence.n == n, case_id)

    async def of_file(self, case_id: UUID, file_id: UUID) -> Kept | None:
        """A stored file of a case."""
        return await self._kept(CaseEvidence.file_id == file_id, case_id)

    async def stored_keys(self, file_ids: Collection[UUID]) -> set[str]:
        """The keys under which these files are kept."""
        query = select(EvidenceFile.stored_key).where(
            EvidenceFile.site_id == self._site_id,
            EvidenceFile.file_id.in_(file_ids),
            EvidenceFile.stored_key.is_not(None),
        )
        return {row.stored_key for row in await self._connection.execute(query)}

    async def _describe_evidence(self, case_id: UUID, file_id: UUID, sha256: str) -> None:
        await self._connection.execute(
            update(CaseEvidence)
            .where(*self._of_case(case_id), CaseEvidence.file_id == file_id)
            .values(sha256=sha256, reused=self._is_another_orders(case_id, sha256))
        )

    def _is_another_orders(self, case_id: UUID, sha256: str) -> ColumnElement[bool]:
        """Whether these bytes were put forward in the case of another order of the site."""
        theirs, their_case, ours = aliased(CaseEvidence), aliased(Case), aliased(Case)
        order_no = select(ours.order_no).where(ours.site_id == self._site_id, ours.case_id == case_id)
        return exists().where(
            theirs.site_id == self._site_id,
            theirs.sha256 == sha256,
            their_case.site_id == theirs.site_id,
            their_case.case_id == theirs.case_id,
            their_case.order_no.is_distinct_from(order_no.scalar_subquery()),
        )

    async def _kept(self, which: ColumnElement[bool], case_id: UUID) -> Kept | None:
        query = select(*_FILE, EvidenceFile.stored_key, CaseEvidence.n, CaseEvidence.reused).where(
            *self._of_case(case_id),
            which,
            EvidenceFile.site_id == CaseEvidence.site_id,
            EvidenceFile.file_id == CaseEvidence.file_id,
            EvidenceFile.state == FileState.STORED,
        )
        found = (await self._connection.execute(query)).one_or_none()
        return None if found is None else Kept(found.stored_key, case_id, found.n, found.reused, _file(found))

    def _named(self, file_id: UUID) -> tuple[ColumnElement[bool], ...]:
        return EvidenceFile.site_id == self._site_id, EvidenceFile.file_id == file_id

    def _of_case(self, case_id: UUID) -> tuple[ColumnElement[bool], ...]:
        return CaseEvidence.site_id == self._site_id, CaseEvidence.case_id == case_id


_FILE = (
    EvidenceFile.file_id,
    EvidenceFile.state,
    EvidenceFile.name,
    func.coalesce(EvidenceFile.media_type, EvidenceFile.declared_type).label("media_type"),
    func.coalesce(EvidenceFile.size, EvidenceFile.declared_size).label("size"),
    func.coalesce(EvidenceFile.sha256, EvidenceFile.declared_sha256).label("sha256"),
    EvidenceFile.expires_at,
)


def _file(row: Any) -> FileRow:
    return FileRow(row.file_id, FileState(row.state), row.name, row.media_type, row.size, row.sha256, row.expires_at)
