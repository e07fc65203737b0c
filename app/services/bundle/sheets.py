"""What a bundle holds beside the files of evidence: pages, records with their history, originals, the manifest."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.files.names import neutral_name
from app.models.closed_sets import RecordKind
from app.rules.canonical import canonical_json
from app.rules.decision import instant
from app.services.bundle.pages.acts import acts_page
from app.services.bundle.pages.chain import chain_page
from app.services.bundle.pages.cover import contents_of, cover_page
from app.services.bundle.pages.papers import (
    ACTS,
    CHAIN,
    COVER,
    FATES,
    MANIFEST,
    SUMS,
    Document,
    EnclosedFile,
    Fate,
    Papers,
)
from app.services.bundle.pages.ruling import ruling_page
from app.store.bundle import ToldRecord


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file of the bundle with its bytes, and what it is."""

    path: str
    content: bytes
    what: str

    @property
    def sha256(self) -> str:
        """Of its content, in lower-case hex."""
        return hashlib.sha256(self.content).hexdigest()


def sheets_of(papers: Papers) -> tuple[list[Sheet], Sheet]:
    """Everything but the files of evidence and the sums, the cover first; and the manifest."""
    others = [*_pages(papers), *_record_sheets(papers), *_originals(papers)]
    files = [(each.path, f"证据 {each.n} 的文件") for each in papers.enclosed()]
    contents = [*((each.path, each.what) for each in others), *files]
    contents += [(MANIFEST, "供程序读取的清单：每个文件的大小与 SHA-256 值"), (SUMS, "供核对用的 SHA-256 值")]
    sheets = [Sheet(COVER, cover_page(papers, contents), "封面"), *others]
    return sheets, Sheet(MANIFEST, _manifest(papers, sheets), "清单")


def _pages(papers: Papers) -> Iterator[Sheet]:
    made: dict[str, Callable[[Papers], bytes]] = {CHAIN: chain_page, ACTS: acts_page}
    rulings = {document.page: document for document in papers.documents}
    for path, what in contents_of(papers):
        content = made[path](papers) if path in made else ruling_page(papers, rulings[path])
        yield Sheet(path, content, what)


_CALLED: Final[Mapping[RecordKind, str]] = {
    RecordKind.ORDER: "订单",
    RecordKind.PAYMENT: "支付",
    RecordKind.DELIVERY: "发货",
    RecordKind.MERCHANT: "商家",
}
# Of these a case has one at most, and so it needs no number in its name.
_SINGLE: Final = frozenset({RecordKind.ORDER, RecordKind.MERCHANT})


def _record_sheets(papers: Papers) -> Iterator[Sheet]:
    for kind, called in _CALLED.items():
        for place, latest in enumerate(papers.latest(kind), 1):
            versions = [told for told in papers.records if (told.kind, told.record_no) == (kind, latest.record_no)]
            named = called if kind in _SINGLE else neutral_name(f"{called}-{place:02d}-{latest.record_no}")
            what = f"平台的{called}记录 {latest.record_no}，共收录 {len(versions)} 个版本"
            yield Sheet(f"05-记录/{named}.json", _history(called, versions), what)


def _history(called: str, versions: Collection[ToldRecord]) -> bytes:
    return _readable(
        {
            "说明": f"平台的{called}记录及其历次版本，最新的在前。金额单位为分；时间为 UTC。",
            "record_no": next(iter(versions)).record_no,
            "versions": [
                {
                    "version": told.version,
                    "recorded_at": instant(told.recorded_at),
                    "record": dict(sorted(json.loads(told.record).items())),
                }
                for told in versions
            ],
        }
    )


def _originals(papers: Papers) -> Iterator[Sheet]:
    for document in papers.documents:
        what = f"第 {document.text.n} 次裁定的原文及其所依据的事实，与存档逐字节相同"
        yield Sheet(document.original, document.text.body.encode(), what)
        yield Sheet(document.facts, document.text.facts.encode(), what)
    if any(_has_its_policy(document, papers) for document in papers.documents):
        content = canonical_json(papers.policy.document).encode()
        yield Sheet(papers.policy_path, content, "裁定所适用的规则全文")


def _has_its_policy(document: Document, papers: Papers) -> bool:
    return bool(document.body["receipt"]["policy_sha256"] == papers.policy.sha256)


def _manifest(papers: Papers, sheets: Collection[Sheet]) -> bytes:
    case = papers.view.case
    kept = [{"path": each.path, "size": len(each.content), "sha256": each.sha256} for each in sheets]
    return _readable(
        {
            "说明": "本清单列出证据包内除清单与 SHA256SUMS 以外的每个文件。",
            "case_id": papers.case_id,
            "version": case.version,
            "as_of": instant(papers.at),
            "site": papers.site.name,
            "mode": papers.site.mode,
            "files": [*kept, *map(_file_document, papers.enclosed())],
            "missing_files": list(_missing(papers)),
            "decisions": [_decision_document(document, papers) for document in papers.documents],
        }
    )


def _file_document(file: EnclosedFile) -> dict[str, Any]:
    return {"path": file.path, "size": file.size, "sha256": file.sha256, "evidence": file.n}


def _missing(papers: Papers) -> Iterator[dict[str, Any]]:
    for row in papers.view.evidence:
        if row.file is not None and papers.fates[row.n] is not Fate.ENCLOSED:
            fate = papers.fates[row.n]
            file = row.file
            yield {
                "evidence": row.n,
                "name": file.name,
                "size": file.size,
                "sha256": file.sha256,
                "why": fate.value,
                "message": FATES[fate],
            }


def _decision_document(document: Document, papers: Papers) -> dict[str, Any]:
    return {
        "n": document.text.n,
        "body": document.original,
        "facts": document.facts,
        "policy": papers.policy_path if _has_its_policy(document, papers) else None,
        "receipt": document.body["receipt"],
    }


def _readable(document: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(document, ensure_ascii=False, indent=2)}\n".encode()
