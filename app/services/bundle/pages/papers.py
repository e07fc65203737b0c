"""What the pages are made from: the case as it stood at one moment, and all that belongs to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.files.media_types import MediaType
from app.files.names import name_for
from app.ids import show
from app.models.closed_sets import RecordKind
from app.rules.chain import Link
from app.rules.chain_entries import Entry
from app.rules.escalation import Beyond
from app.rules.policy import Policy
from app.services.bundle.pages.words import beijing
from app.services.showing import CASE
from app.store.bundle import DecisionText, ToldRecord
from app.store.case_rows import CaseView, FileRow, HeldEvidence
from app.store.sites import SiteRow

COVER = "01-封面.html"
CHAIN = "02-证据链与时间线.html"
ACTS = "04-当事人行为.html"
MANIFEST = "清单.json"
SUMS = "SHA256SUMS"


class Fate(StrEnum):
    """What became of a file that belongs to a piece of evidence."""

    ENCLOSED = "enclosed"
    AWAITED = "awaited"
    LOST = "lost"
    DAMAGED = "damaged"


FATES: Mapping[Fate, str] = {
    Fate.ENCLOSED: "已收录",
    Fate.AWAITED: "提交人声明了该文件，但尚未上传",
    Fate.LOST: "该文件曾经上传，但现已不在平台的文件存储中，无法收录",
    Fate.DAMAGED: "平台存储中的该文件长度与上传时不符，已损坏，未予收录",
}


@dataclass(frozen=True, slots=True)
class Document:
    """One decision: as it is kept, read, and `pieces`: the numbers of the evidence that it weighed, in its order."""

    text: DecisionText
    body: Mapping[str, Any]
    pieces: tuple[int, ...]

    @property
    def page(self) -> str:
        """Its page in the bundle."""
        return f"03-裁定书-{self.text.n}.html"

    @property
    def original(self) -> str:
        """Its very text in the bundle."""
        return f"06-裁定原文/裁定-{self.text.n}.json"

    @property
    def facts(self) -> str:
        """The very text of what it was judged on."""
        return f"06-裁定原文/事实-{self.text.n}.json"


@dataclass(frozen=True, slots=True)
class EnclosedFile:
    """A file of evidence `n` that lies in the bundle. `size` in bytes, `sha256` as they were when they came in."""

    n: int
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Papers:
    """Everything there is to show. `view.now` is the moment that all of it was known at.

    `links`, `outside` and `beyond` are empty for a case that was never judged; `pieces` are the numbers behind theirs.
    """

    site: SiteRow
    view: CaseView
    policy: Policy
    documents: tuple[Document, ...]
    links: tuple[Link, ...]
    outside: tuple[Entry, ...]
    beyond: Beyond | None
    pieces: tuple[int, ...]
    records: tuple[ToldRecord, ...]
    fates: Mapping[int, Fate]

    @property
    def case_id(self) -> str:
        """The case's public id."""
        return show(CASE, self.view.case.case_id)

    @property
    def at(self) -> datetime:
        """The moment that is stated."""
        return self.view.case.updated_at

    @property
    def under(self) -> str:
        """The line below every page's title."""
        version = self.view.case.version
        return f"案件 {self.case_id} · 状态截至 {beijing(self.at)}（第 {version} 版） · 北京时间"

    @property
    def policy_path(self) -> str:
        """Where the text of the policy lies."""
        return f"06-裁定原文/规则-{self.policy.name}@{self.policy.version}.json"

    def enclosed(self) -> list[EnclosedFile]:
        """The files of evidence that lie in the bundle."""
        return [
            EnclosedFile(row.n, path_of_file(row, row.file), row.file.size, row.file.sha256)
            for row in self.view.evidence
            if row.file is not None and row.file.sha256 is not None and self.fates[row.n] is Fate.ENCLOSED
        ]

    def latest(self, kind: RecordKind) -> list[ToldRecord]:
        """Each record of a kind as it stood at the moment."""
        found: dict[str, ToldRecord] = {}
        for record in self.records:
            if record.kind is kind:
                found.setdefault(record.record_no, record)
        return list(found.values())


def path_of_file(row: HeldEvidence, file: FileRow) -> str:
    """Where the file of a piece of evidence lies in the bundle: its number keeps names apart."""
    known = file.media_type in set(MediaType)
    return f"07-证据/{row.n:02d}-{name_for(file.name, MediaType(file.media_type))}" if known else f"07-证据/{row.n:02d}"
