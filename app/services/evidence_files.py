"""Files of evidence: taken in, read again, and thrown away where nothing points to them.

No database connection is held while bytes come in: what is announced is looked up in one transaction, the bytes are
kept under a key that nobody has had before, and a second transaction makes them the file.
"""

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

from app import ids
from app.errors import Conflict, Fault, FilesUnavailable, Invalid, NotFound, Refusal, UnsupportedFile, UploadExpired
from app.files.cabinet import Cabinet
from app.files.sniffing import Sniffer, Unfit
from app.logs import logger
from app.models.closed_sets import FileState
from app.rules.lifecycle import CaseEvent
from app.services import steps
from app.services.showing import CASE, FILE
from app.store.case_rows import FileRow
from app.store.cases import CaseStore
from app.store.engine import Connection, Engine, in_transaction, transaction
from app.store.evidence_files import Announced, EvidenceFileStore, Found, Kept
from app.store.sites import database_now

# Longer than any upload takes, and than a transaction waits: what nothing points to by then never will be pointed to.
ORPHANED_AFTER: Final = timedelta(days=1)
MOST_PURGED: Final = 10_000

log = logger(__name__)


async def announced(connection: Connection, site_id: UUID, upload_id: str) -> Announced:
    """What was announced under a public id. NotFound, UploadExpired, or Conflict `file_stored`."""
    file_id = ids.read(FILE, upload_id)
    found = None if file_id is None else await EvidenceFileStore(connection, site_id).announced(file_id)
    if found is None:
        raise NotFound
    if found.file.state is FileState.STORED:
        raise already_stored()
    if found.expired:
        raise UploadExpired
    return found


def already_stored() -> Conflict:
    """A file that is there is never replaced."""
    return Conflict(
        "file_stored",
        en="This file has been stored already and is not replaced. Announce another one as new evidence.",
        zh="该文件已存储，不能替换。如需补充，请作为新证据另行声明。",
    )


async def take_in(cabinet: Cabinet, site_id: UUID, expected: Announced, blocks: AsyncIterator[bytes]) -> Found:
    """Keeps the bytes, holding none of them; nothing is kept if they are not what was announced.

    UnsupportedFile for bytes of no known type, Invalid where length, hash or type differ, FilesUnavailable.
    """
    key = "/".join(map(str, (site_id, expected.case_id, expected.file.file_id, ids.new_uuid())))
    intake = _Intake(expected.file)
    try:
        await cabinet.write(key, intake.checked(blocks))
    except BaseException:
        await discard(cabinet, key)
        raise
    return Found(key, intake.media_type, intake.size, intake.sha256)


async def keep(engine: Engine, cabinet: Cabinet, site_id: UUID, expected: Announced, found: Found) -> Kept:
    """Makes what came the file of its evidence, and judges the case anew.

    Conflict `file_stored` if another upload was first. What did not become the file is thrown away.
    """
    written = False

    async def work(connection: Connection) -> Kept:
        nonlocal written
        written = False
        kept = await _keep(connection, site_id, expected, found)
        written = True
        return kept

    try:
        return await in_transaction(engine, work)
    except BaseException:
        # A commit whose answer was lost may have happened: those bytes are left to the purge, which looks.
        if not written:
            await discard(cabinet, found.stored_key)
        raise


async def _keep(connection: Connection, site_id: UUID, expected: Announced, found: Found) -> Kept:
    files, file_id = EvidenceFileStore(connection, site_id), expected.file.file_id
    cases, target = CaseStore(connection, site_id), steps.Target(expected.case_id)
    before = await steps.hold(cases, target)
    if not await files.keep(file_id, found):
        raise already_stored()
    # A piece is put forward when it can be looked at: after the evidence's deadline that is too late.
    steps.allow(CaseEvent.EVIDENCE_SUPPLIED, before.view)
    await steps.take_in(cases, await steps.hold(cases, target))
    kept = await files.of_file(expected.case_id, file_id)
    if kept is None:
        raise RuntimeError("a file belongs to a piece of evidence")
    return kept


async def file_of_evidence(connection: Connection, site_id: UUID, case_id: str, n: int) -> Kept:
    """The stored file of a piece of evidence; NotFound."""
    uuid = ids.read(CASE, case_id)
    kept = None if uuid is None else await EvidenceFileStore(connection, site_id).of_evidence(uuid, n)
    if kept is None:
        raise NotFound
    return kept


async def discard(cabinet: Cabinet, key: str) -> None:
    """Throws bytes away that nothing points to; where that fails, the purge will."""
    with suppress(FilesUnavailable):
        await cabinet.delete(key)


async def purge_orphans(engine: Engine, cabinet: Cabinet) -> int:
    """Throws away what crashes left: bytes older than a day that no row points to, and half-written ones.

    About ten thousand files at most; answers with how many. What is not ours by its name stays.
    """
    async with transaction(engine) as connection:
        before = await database_now(connection) - ORPHANED_AFTER
    purged = await cabinet.sweep(before)
    async for keys in cabinet.older(before):
        for key in await _orphans(engine, keys):
            await cabinet.delete(key)
            purged += 1
        if purged >= MOST_PURGED:
            break
    if purged:
        log.info("orphaned_files_purged", count=purged)
    return purged


async def _orphans(engine: Engine, keys: Collection[str]) -> list[str]:
    by_site: dict[UUID, dict[str, UUID]] = defaultdict(dict)
    for key in keys:
        owner = _owner(key)
        if owner is not None:
            by_site[owner[0]][key] = owner[1]
    orphans: list[str] = []
    for site_id, files in by_site.items():
        async with transaction(engine) as connection:
            kept = await EvidenceFileStore(connection, site_id).stored_keys(set(files.values()))
        orphans += [key for key in files if key not in kept]
    return orphans


def _owner(key: str) -> tuple[UUID, UUID] | None:
    """Site and file of a key that `take_in` made."""
    try:
        site, _, file, _ = (UUID(part) for part in key.split("/"))
    except ValueError:
        return None
    return site, file


class _Intake:
    """Bytes on their way to the cabinet: counted, hashed, looked at, and held against what was announced."""

    def __init__(self, expected: FileRow) -> None:
        self._expected = expected
        self._hash = hashlib.sha256()
        self._sniffer = Sniffer()
        self.size = 0
        self.media_type = ""

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def checked(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same blocks. Raises before the last of them is out if they are not what was announced."""
        try:
            async for block in blocks:
                self._look_at(block)
                yield block
            self._compare()
        except Unfit:
            raise UnsupportedFile from None

    def _look_at(self, block: bytes) -> None:
        self.size += len(block)
        if self.size > self._expected.size:
            raise _differs("size")
        self._hash.update(block)
        self._sniffer.feed(block)

    def _compare(self) -> None:
        if self.size != self._expected.size:
            raise _differs("size")
        if self._expected.sha256 not in (None, self.sha256):
            raise _differs("sha256")
        self.media_type = self._sniffer.finish().value
        if self.media_type != self._expected.media_type:
            raise _differs("media_type")


_DIFFERENCES: Final = {
    "size": ("The file has another length than was announced.", "文件长度与声明不符。"),
    "sha256": ("The file has another SHA-256 than was announced.", "文件的 SHA-256 与声明不符。"),
    "media_type": ("The bytes are of another type than was announced.", "文件内容的类型与声明不符。"),
}


def _differs(what: str) -> Refusal:
    en, zh = _DIFFERENCES[what]
    return Invalid(Fault("", f"{what}_differs", en, zh))


def refuse_other_size(expected: Announced, size: int) -> None:
    """For a length that is known before any byte has come: Invalid if it is not what was announced."""
    if size != expected.file.size:
        raise _differs("size")
