"""What has to hold at every moment, and what in the end; held against what was really paid."""

from collections.abc import Iterator
from datetime import datetime

from app.rules.lifecycle import CaseStatus
from app.store.engine import transaction
from app.store.reviews import ReviewFilter, ReviewStore
from tests.settling import checking_money as money
from tests.settling import checking_words as words
from tests.settling.books import Books
from tests.settling.checking_money import Truth
from tests.settling.scene import Scene


def faults_now(books: Books, truth: Truth) -> Iterator[str]:
    """What must not be at any moment."""
    yield from money.of_payments(books, truth)
    yield from money.of_refunds(books, truth)
    yield from money.of_deposits(books)
    yield from words.of_reports(books, truth)
    yield from words.of_events(books)
    yield from words.of_repairs(books)
    yield from words.of_requests(books)
    yield from words.of_cases(books)


def faults_at_the_end(books: Books, truth: Truth, at: datetime) -> Iterator[str]:
    """What must be once nothing goes wrong any more, and time has gone on."""
    late = [row for row in books.refunds if row["overdue_at"] is not None and row["overdue_at"] < at]
    yield from (f"{row['refund_no']} is overdue, and nobody was told" for row in late)
    yield from words.unended(books)
    yield from words.unraised(books)
    yield from money.unpaid(books, truth)
    yield from money.unfound(books, truth)


async def unseen(scene: Scene, books: Books) -> list[str]:
    """Cases that a person has to look at, and that do not stand in the queue of those people."""
    async with transaction(scene.engine) as connection:
        rows = await ReviewStore(connection, scene.site_id).page(ReviewFilter(scene.time.at), limit=1_000)
    queued = {row.case.case_id for row in rows if row.case.status is CaseStatus.REFUND_FAILED}
    stopped = {case["case_id"] for case in books.cases if case["status"] == CaseStatus.REFUND_FAILED}
    return [f"case {case_id} is stopped, and nobody's task" for case_id in stopped - queued]
