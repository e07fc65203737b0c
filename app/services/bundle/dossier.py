"""What the database has of a case for its bundle, read in one go and bounded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from app.errors import NotFound, Refusal, TooLarge
from app.models.closed_sets import FileState, RecordKind
from app.store.bundle import BundleStore, DecisionText, StoredFile, ToldRecord
from app.store.case_rows import CaseView
from app.store.cases import CaseStore
from app.store.engine import Connection
from app.store.sites import SiteRow

LARGEST_FILES: Final = 3 * 1024**3
"""Bytes of all files of a bundle together: 500 of 5 MB fit."""
LARGEST_DECISIONS: Final = 64 * 1024**2
"""Bytes of all decisions and their facts together, which are held in memory."""
MOST_RECORDS: Final = 1_000


class BundleTooLarge(TooLarge):
    """The case has more than one archive can hold."""

    def __init__(self, what: str, zh: str, limit: int) -> None:
        Refusal.__init__(
            self,
            "bundle_too_large",
            en=f"The {what} of this case come to more than {limit} bytes, which is the most that a bundle holds. "
            "Download them one by one.",
            zh=f"本案的{zh}合计超过 {limit} 字节，超出证据包上限，请逐一下载。",
        )
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Dossier:
    """What the database has of a case; `view.now` is the moment that it is shown at."""

    site: SiteRow
    view: CaseView
    decisions: tuple[DecisionText, ...]
    records: tuple[ToldRecord, ...]
    files: Mapping[int, StoredFile]


async def read_dossier(connection: Connection, site: SiteRow, case_id: UUID | None) -> Dossier:
    """All rows that a bundle shows. NotFound for a case that is not this site's, BundleTooLarge."""
    view = None if case_id is None else await CaseStore(connection, site.site_id).get(case_id)
    if view is None:
        raise NotFound
    view = replace(view, now=view.case.updated_at)
    store = BundleStore(connection, site.site_id)
    if await store.bytes_of_decisions(view.case.case_id, view.now) > LARGEST_DECISIONS:
        raise BundleTooLarge("decisions", "裁定", LARGEST_DECISIONS)
    stored = [row.file for row in view.evidence if row.file is not None and row.file.state is FileState.STORED]
    if sum(file.size for file in stored) > LARGEST_FILES:
        raise BundleTooLarge("files", "文件", LARGEST_FILES)
    decisions = await store.decisions(view.case.case_id, view.now)
    records = await _records(store, view, decisions)
    files = {file.n: file for file in await store.files(view.case.case_id)}
    return Dossier(site, view, decisions, records, files)


async def _records(store: BundleStore, view: CaseView, decisions: tuple[DecisionText, ...]) -> tuple[ToldRecord, ...]:
    """Those of the case now, and those that any of its decisions was judged on."""
    case = view.case
    judged = [json.loads(decision.facts) for decision in decisions]
    numbers = {
        RecordKind.ORDER: {case.order_no} - {None},
        RecordKind.PAYMENT: await store.payment_nos(case.case_id, case.order_no)
        | {payment["payment_no"] for facts in judged for payment in facts["payments"]},
        RecordKind.DELIVERY: await store.delivery_nos(case.order_no)
        | {delivery["delivery_no"] for facts in judged for delivery in facts["deliveries"]},
        RecordKind.MERCHANT: {case.merchant_id} - {None},
    }
    found: list[ToldRecord] = []
    for kind, named in numbers.items():
        found += await store.told(kind, sorted(map(str, named))[:MOST_RECORDS], view.now)
    return tuple(found)
