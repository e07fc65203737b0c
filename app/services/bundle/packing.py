"""证据包: everything there is of a case in one archive, for 12315, a payment channel or a court.

The archive shows the case as it stood when it last changed (`updated_at`): its decisions and the records as they were
known then, so that it has the same bytes however often it is asked for, until the case itself goes on. Whether the
files are still there is asked before the first byte goes out, because an archive that is on its way cannot change its
mind: what is missing by then is named in it; what goes missing while it is being sent breaks it off.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from app.files.archive import Entry, entry_of, length_of, zipped
from app.files.cabinet import Cabinet
from app.files.presence import sizes_of
from app.logs import logger
from app.rules.calendar import in_shanghai
from app.services.bundle.dossier import Dossier
from app.services.bundle.pages.papers import SUMS, EnclosedFile, Papers
from app.services.bundle.papers import fates_of, papers_of
from app.services.bundle.sheets import sheets_of

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive that is ready to be sent. `tag` stands for its very bytes, `length` is theirs if it is known."""

    name: str
    entries: tuple[Entry, ...]
    at: datetime
    tag: str

    @property
    def length(self) -> int | None:
        """How many bytes it has; None where it is too large to say."""
        return length_of(self.entries)

    def blocks(self) -> AsyncGenerator[bytes, None]:
        """The bytes."""
        return zipped(self.entries, self.at)


async def bundle_of(dossier: Dossier, cabinet: Cabinet | None) -> Bundle:
    """The archive, once it is known which files are there. FilesUnavailable where that cannot be found out.

    `cabinet` None: this copy of the service was given no place for files, so that all of them are missing.
    """
    keys = {n: file.key for n, file in dossier.files.items()}
    sizes = {} if cabinet is None else await sizes_of(cabinet, keys)
    papers = papers_of(dossier, fates_of(dossier.view, sizes))
    # A case with a long history has megabytes of pages.
    return await asyncio.to_thread(_packed, papers, cabinet, keys)


def _packed(papers: Papers, cabinet: Cabinet | None, keys: Mapping[int, str]) -> Bundle:
    root = f"退款案件-{papers.case_id}"
    sheets, manifest = sheets_of(papers)
    files = papers.enclosed()
    hashes = [*((each.path, each.sha256) for each in sheets), *((each.path, each.sha256) for each in files)]
    sums = _sums([*hashes, (manifest.path, manifest.sha256)])
    entries = [entry_of(f"{root}/{each.path}", each.content) for each in sheets]
    entries += [_entry(root, each, cabinet, keys[each.n]) for each in files if cabinet is not None]
    entries += [entry_of(f"{root}/{manifest.path}", manifest.content), entry_of(f"{root}/{SUMS}", sums)]
    tag = f"{papers.view.case.version}-{hashlib.sha256(sums).hexdigest()[:16]}"
    return Bundle(f"{root}.zip", tuple(entries), in_shanghai(papers.at), tag)


def _entry(root: str, file: EnclosedFile, cabinet: Cabinet, key: str) -> Entry:
    """What was touched since it came in is handed out as it is: it does not pass the check, and that is the point."""

    async def blocks() -> AsyncGenerator[bytes, None]:
        found = hashlib.sha256()
        async with aclosing(cast(AsyncGenerator[bytes, None], cabinet.read(key))) as read:
            async for block in read:
                found.update(block)
                yield block
        if found.hexdigest() != file.sha256:
            log.error("evidence_file_differs", key=key)

    return Entry(f"{root}/{file.path}", file.size, blocks)


def _sums(hashes: Collection[tuple[str, str]]) -> bytes:
    """As `sha256sum` writes them and `sha256sum -c` reads them."""
    return "".join(f"{sha256}  {path}\n" for path, sha256 in hashes).encode()
