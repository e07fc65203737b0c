"""From the rows of a case to what its pages are made from."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from app.models.closed_sets import FileState
from app.rules.chain import evidence_chain, outside_the_chain
from app.rules.escalation import beyond_the_site
from app.rules.standing import read_standing
from app.services.assembling import facts_from
from app.services.bundle.dossier import Dossier
from app.services.bundle.pages.papers import Document, Fate, Papers
from app.services.policies import policy_of_case
from app.store.bundle import StoredFile
from app.store.case_rows import CaseView, HeldEvidence


def papers_of(dossier: Dossier, fates: Mapping[int, Fate]) -> Papers:
    """What the pages are made from."""
    view, policy = dossier.view, policy_of_case(dossier.view.case)
    documents = tuple(
        Document(text, json.loads(text.body), _pieces_at(text.judged_at, dossier)) for text in dossier.decisions
    )
    papers = Papers(
        site=dossier.site,
        view=view,
        policy=policy,
        documents=documents,
        links=(),
        outside=(),
        beyond=None,
        pieces=(),
        records=dossier.records,
        fates=fates,
    )
    if not documents:
        return papers
    standing = read_standing(replace(facts_from(documents[-1].text.facts), as_of=view.now), policy)
    return replace(
        papers,
        links=evidence_chain(standing),
        outside=outside_the_chain(standing),
        beyond=beyond_the_site(standing),
        pieces=documents[-1].pieces,
    )


def _pieces_at(judged_at: datetime, dossier: Dossier) -> tuple[int, ...]:
    """The numbers of the evidence that a decision weighed: put forward by then, and its file, if any, there by then."""
    return tuple(row.n for row in dossier.view.evidence if _was_there(row, judged_at, dossier.files))


def _was_there(row: HeldEvidence, at: datetime, files: Mapping[int, StoredFile]) -> bool:
    if row.created_at is not None and row.created_at > at:
        return False
    return row.file is None or (row.n in files and files[row.n].stored_at <= at)


def fates_of(view: CaseView, sizes: Mapping[int, int | None]) -> dict[int, Fate]:
    return {row.n: _fate(row, sizes.get(row.n)) for row in view.evidence if row.file is not None}


def _fate(row: HeldEvidence, size: int | None) -> Fate:
    assert row.file is not None
    if row.file.state is FileState.AWAITED:
        return Fate.AWAITED
    if size is None:
        return Fate.LOST
    return Fate.ENCLOSED if size == row.file.size else Fate.DAMAGED
