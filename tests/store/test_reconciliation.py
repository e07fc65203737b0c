"""A day's reconciliation, row by row, against a reading of our own; and how much of the tables it looks at."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import ids
from app.errors import Unavailable
from app.rules.facts import Channel
from app.rules.settlement import RefundState
from app.store.engine import transaction
from app.store.found import TOTAL
from app.store.reconciliation import (
    ReconciledDay,
    ReconciliationPage,
    ReconciliationPosition,
    ReconciliationRow,
    ReconciliationStore,
    Total,
    one_moment,
)
from app.store.reconciliation_sql import SECTIONS, ReconciliationGroup
from tests.store.rows import OTHER_SITE, SITE
from tests.store.timer_rows import add_case

Group = ReconciliationGroup
SINCE = datetime(2026, 3, 9, 16, tzinfo=UTC)
"""Midnight in Shanghai."""
UNTIL = SINCE + timedelta(days=1)
DAY = ReconciledDay(SINCE, UNTIL)
A_TICK = timedelta(microseconds=1)
AN_HOUR = timedelta(hours=1)
MANY = 5_000
SEEDS = (1, 2, 3)

_PAYMENTS = text("""
    INSERT INTO payments (site_id, payment_no, order_no, channel, status, amount, refunded_amount, paid_at,
                          reserved_amount, found_amount, overdrawn_amount, version, created_at, updated_at)
    VALUES (:site_id, :payment_no, NULL, :channel, 'succeeded', 1000000, 0, :at, :overdrawn, 1000000, :overdrawn,
            1, :at, :at)""")
_REFUNDS = text("""
    INSERT INTO refunds (site_id, refund_id, refund_no, case_id, payment_no, amount, currency, channel, state,
                         created_at, updated_at, instructed_at, reported_at, settled_at)
    VALUES (:site_id, :refund_id, :refund_no, :case_id, :payment_no, :amount, 'CNY', :channel, :state,
            :created_at, :created_at, :created_at, :reported_at, :reported_at)""")
_REPORTS = text("""
    INSERT INTO refund_reports (site_id, refund_id, n, digest, source, state, amount, at, verdict, conflict,
                                received_at, last_received_at)
    VALUES (:site_id, :refund_id, :n, CAST(CAST(:n AS integer) AS text), 'adapter', 'succeeded', 7, :received_at,
            CAST(:verdict AS text),
            CASE WHEN CAST(:verdict AS text) = 'conflict' THEN 'amount' END, :received_at, :received_at)""")
_FOUND = text("""
    INSERT INTO found_refunds (site_id, payment_no, reference, amount, refunded_at, found_at)
    VALUES (:site_id, :payment_no, :reference, :amount, :refunded_at, :found_at)""")
_SETTLE = text("UPDATE refunds SET state = 'succeeded', reported_at = :at, settled_at = :at WHERE refund_id = :id")
_READ = text("SELECT CAST(sum(seq_tup_read + idx_tup_fetch) AS integer) FROM pg_stat_xact_user_tables")


@dataclass(frozen=True, slots=True)
class Books:
    """Rows on their way into the tables."""

    site_id: UUID
    case_id: UUID
    payments: list[dict[str, Any]] = field(default_factory=list)
    refunds: list[dict[str, Any]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    found: list[dict[str, Any]] = field(default_factory=list)

    def payment(self, *, channel: Channel = Channel.ALIPAY, overdrawn: int = 0) -> dict[str, Any]:
        """A payment of ten thousand yuan."""
        number = f"P-{len(self.payments):05}"
        row = {"payment_no": number, "channel": channel.value, "overdrawn": overdrawn, "at": SINCE - 90 * 24 * AN_HOUR}
        return self._kept(self.payments, row)

    def refund(
        self,
        state: RefundState,
        *,
        reported_at: datetime | None = None,
        created_at: datetime = SINCE - AN_HOUR,
        amount: int = 100,
        channel: Channel = Channel.ALIPAY,
    ) -> dict[str, Any]:
        """A refund over a payment of its own."""
        row = {
            "refund_id": ids.new_uuid(), "refund_no": ids.mint_refund_no(), "case_id": self.case_id, "amount": amount,
            "payment_no": self.payment(channel=channel)["payment_no"], "channel": channel.value, "state": state.value,
            "created_at": created_at, "reported_at": reported_at,
        }  # fmt: skip
        return self._kept(self.refunds, row)

    def report(self, refund: dict[str, Any], n: int, received_at: datetime, verdict: str = "conflict") -> None:
        """Something said of a refund."""
        self._kept(
            self.reports,
            {"refund_id": refund["refund_id"], "n": n, "received_at": received_at, "verdict": verdict},
        )

    def finds(
        self, payment: dict[str, Any], reference: str, found_at: datetime, refunded_at: datetime | None, amount: int
    ) -> None:
        """A refund by somebody else."""
        found = {"payment_no": payment["payment_no"], "reference": reference, "amount": amount}
        self._kept(self.found, {**found, "found_at": found_at, "refunded_at": refunded_at})

    async def write(self, connection: AsyncConnection) -> None:
        """All of it."""
        told = ((_PAYMENTS, self.payments), (_REFUNDS, self.refunds), (_REPORTS, self.reports), (_FOUND, self.found))
        for statement, rows in told:
            if rows:
                await connection.execute(statement, rows)

    def _kept(self, rows: list[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
        rows.append({"site_id": self.site_id, **row})
        return row


async def books(connection: AsyncConnection, site_id: UUID = SITE) -> Books:
    return Books(site_id, await add_case(connection, site_id))


MOMENTS = (SINCE - A_TICK, SINCE, SINCE + 7 * AN_HOUR, UNTIL - A_TICK, UNTIL)


def anything(book: Books, chance: random.Random, count: int) -> None:
    """Refunds in every state and of every moment around the day, contradicted, found and overdrawn."""
    for _ in range(count):
        state, channel = chance.choice(list(RefundState)), chance.choice((Channel.ALIPAY, Channel.WECHAT_PAY))
        said = None if state is RefundState.REQUESTED else chance.choice(MOMENTS)
        created = chance.choice(MOMENTS)
        refund = book.refund(
            state, reported_at=said, created_at=created, amount=chance.randrange(1, 999), channel=channel
        )
        for n in range(chance.randrange(3)):
            book.report(refund, n + 1, chance.choice(MOMENTS), chance.choice(("conflict", "late")))
        payment = book.payment(channel=channel, overdrawn=chance.choice((0, 0, 0, 55)))
        for reference in chance.sample(("5001", "5002", TOTAL), chance.randrange(4)):
            made = chance.choice((None, *MOMENTS))
            book.finds(payment, reference, chance.choice(MOMENTS), made, chance.randrange(1, 99))


def in_day(at: datetime | None) -> bool:
    return at is not None and SINCE <= at < UNTIL


Expected = tuple[Group, str, int]


def expected_of(book: Books, channel: Channel | None) -> Iterator[Expected]:
    """Group, key and amount of every row that the report should have, read off the rows as they were made."""
    refunds = {row["refund_id"]: row for row in book.refunds if channel in (None, row["channel"])}
    for row in refunds.values():
        group = group_of(row)
        if group is not None:
            yield group, row["refund_no"], row["amount"]
    for row in book.reports:
        if row["refund_id"] in refunds and row["verdict"] == "conflict" and in_day(row["received_at"]):
            refund = refunds[row["refund_id"]]
            yield Group.CONFLICT, f"{refund['refund_no']} {row['n']}", refund["amount"]
    for payment in book.payments:
        if channel in (None, payment["channel"]):
            yield from expected_of_payment(
                payment, [row for row in book.found if row["payment_no"] == payment["payment_no"]]
            )


def group_of(refund: dict[str, Any]) -> Group | None:
    state, that_day = refund["state"], in_day(refund["reported_at"])
    if that_day and state in {"failed", "abnormal", "closed"}:
        return Group.STOPPED
    if state == "succeeded":
        return Group.SETTLED if that_day else None
    return Group.OPEN if state != "closed" and refund["created_at"] < UNTIL else None


def expected_of_payment(payment: dict[str, Any], found: Sequence[dict[str, Any]]) -> Iterator[Expected]:
    listed = sum(row["amount"] for row in found if row["reference"] != TOTAL)
    for row in found:
        amount = row["amount"] - (listed if row["reference"] == TOTAL else 0)
        if amount > 0 and (in_day(row["found_at"]) or in_day(row["refunded_at"])):
            yield Group.FOUND, f"{row['payment_no']} {row['reference']}", amount
    if payment["overdrawn"] and any(row["found_at"] < UNTIL for row in found):
        yield Group.OVERDRAWN, payment["payment_no"], payment["overdrawn"]


def shown(rows: Iterable[ReconciliationRow]) -> list[Expected]:
    return [(row.group, key_of(row), row.amount) for row in rows]


def key_of(row: ReconciliationRow) -> str:
    if row.refund is not None:
        return row.refund.refund_no if row.report is None else f"{row.refund.refund_no} {row.report.n}"
    assert row.payment is not None
    return row.payment.payment_no if row.found is None else f"{row.payment.payment_no} {row.found.reference}"


def summed(rows: Iterable[Expected]) -> dict[Group, Total]:
    counts: Counter[Group] = Counter()
    amounts: Counter[Group] = Counter()
    for group, _, amount in rows:
        counts[group] += 1
        amounts[group] += amount
    return {group: Total(counts[group], amounts[group]) for group in Group}


async def all_pages(
    store: ReconciliationStore, day: ReconciledDay, size: int
) -> tuple[list[ReconciliationRow], list[ReconciliationPage]]:
    rows: list[ReconciliationRow] = []
    pages: list[ReconciliationPage] = []
    after: ReconciliationPosition | None = None
    while True:
        page = await store.report(day, limit=size, after=after)
        pages.append(page)
        rows += page.rows
        if len(page.rows) < size:
            return rows, pages
        after = page.rows[-1]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("channel", [None, Channel.WECHAT_PAY, Channel.BALANCE])
async def test_the_report_is_what_the_rows_say(engine: AsyncEngine, seed: int, channel: Channel | None) -> None:
    """Every row in its group, once, whatever the size of a page; the sums are those of the rows."""
    day = ReconciledDay(SINCE, UNTIL, channel)
    async with transaction(engine) as connection:
        book, theirs = await books(connection), await books(connection, OTHER_SITE)
        anything(book, random.Random(seed), 80)
        anything(theirs, random.Random(seed), 80)
        await book.write(connection)
        await theirs.write(connection)
        expected = sorted(expected_of(book, channel))
        store = ReconciliationStore(connection, SITE)
        whole, _ = await all_pages(store, day, 1_000)
        assert sorted(shown(whole)) == expected
        assert [row.section for row in whole] == sorted(row.section for row in whole)
        for size in (1, 7):
            rows, pages = await all_pages(store, day, size)
            assert rows == whole
            assert all({**summed(()), **page.totals} == summed(expected) for page in pages)
        assert [row async for page in store.pages(day, size=3) for row in page] == whole
        assert {**summed(()), **await store.totals(day)} == summed(expected)
    # None of it is empty, or the comparison would say nothing.
    assert {group for group, _, _ in expected} == (set() if channel is Channel.BALANCE else set(Group))


@pytest.mark.parametrize(("at", "settled"), [(SINCE - A_TICK, 0), (SINCE, 1), (UNTIL - A_TICK, 1), (UNTIL, 0)], ids=str)
async def test_a_day_is_from_its_first_instant_to_before_its_last(
    engine: AsyncEngine, at: datetime, settled: int
) -> None:
    async with transaction(engine) as connection:
        book = await books(connection)
        book.refund(RefundState.SUCCEEDED, reported_at=at)
        await book.write(connection)
        totals = await ReconciliationStore(connection, SITE).totals(DAY)
        assert totals[Group.SETTLED] == Total(settled, 100 * settled)


async def test_rows_show_whose_they_are_and_how_late(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        now: datetime = await connection.scalar(text("SELECT now()"))
        day = ReconciledDay(now - AN_HOUR, now + AN_HOUR)
        book = await books(connection)
        book.refund(RefundState.REQUESTED, created_at=now - timedelta(days=3, hours=23))
        book.refund(RefundState.REQUESTED, created_at=now - timedelta(minutes=59))
        book.refund(RefundState.SUCCEEDED, created_at=now - timedelta(days=9), reported_at=now)
        await book.write(connection)
        rows, _ = await all_pages(ReconciliationStore(connection, SITE), day, 10)
        assert [(row.group, row.age_days, row.overdue) for row in rows] == [
            (Group.SETTLED, None, False), (Group.OPEN, 3, True), (Group.OPEN, 0, False),
        ]  # fmt: skip


async def test_what_moves_meanwhile_is_in_a_reading_of_one_moment_once(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        book = await books(connection)
        for _ in range(6):
            book.refund(RefundState.PROCESSING)
            book.refund(RefundState.SUCCEEDED, reported_at=SINCE)
        await book.write(connection)
    seen: list[ReconciliationRow] = []
    async with one_moment(engine) as connection:
        store = ReconciliationStore(connection, SITE)
        totals = await store.totals(DAY)
        async for page in store.pages(DAY, size=2):
            seen += page
            async with transaction(engine) as other:
                await other.execute(_SETTLE, [{"id": row["refund_id"], "at": SINCE + AN_HOUR} for row in book.refunds])
    assert {**summed(()), **totals} == summed(shown(seen))
    assert Counter(row.group for row in seen) == {Group.SETTLED: 6, Group.OPEN: 6}
    async with transaction(engine) as connection:
        after, _ = await all_pages(ReconciliationStore(connection, SITE), DAY, 100)
        assert Counter(row.group for row in after) == {Group.SETTLED: 12}


async def test_a_reading_of_one_moment_writes_nothing(engine: AsyncEngine) -> None:
    with pytest.raises(Unavailable):
        async with one_moment(engine) as connection:
            await connection.execute(text("DELETE FROM refunds"))


def of_other_days(book: Books) -> None:
    """A long past: settled, stopped, contradicted, found; and a few of the day itself."""
    for n in range(MANY):
        at = SINCE - timedelta(days=1 + n % 50)
        refund = book.refund((RefundState.SUCCEEDED, RefundState.CLOSED)[n % 2], reported_at=at, created_at=at)
        book.report(refund, 1, at)
        book.finds(book.payment(), "5001", at, at, 5)
    for n in range(40):
        refund = book.refund(RefundState.SUCCEEDED, reported_at=SINCE + n * A_TICK)
        book.refund(RefundState.CLOSED, reported_at=SINCE + n * A_TICK)
        book.report(refund, 1, SINCE + n * A_TICK)
        book.refund(RefundState.PROCESSING)
        book.finds(book.payment(overdrawn=5), "5001", SINCE + n * A_TICK, None, 5)


async def test_a_day_reads_no_more_rows_when_the_site_has_more_of_other_days(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        book = await books(connection)
        of_other_days(book)
        await book.write(connection)
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))
    wanted = ReconciledDay(SINCE, UNTIL, Channel.ALIPAY)
    async with engine.connect() as connection:
        for _ in range(8):  # more than it takes for a plan to be kept
            async with connection.begin():
                before = int(await connection.scalar(_READ) or 0)
                page = await ReconciliationStore(connection, SITE).report(wanted, limit=300)
                assert len(page.rows) == 6 * 40
                assert int(await connection.scalar(_READ) or 0) - before < MANY / 2


async def test_paging_through_a_day_does_not_read_it_anew_for_every_page(engine: AsyncEngine) -> None:
    """Refunds of one instant, as a channel that counts whole seconds has them."""
    count, size = 2_000, 50
    async with transaction(engine) as connection:
        book = await books(connection)
        for _ in range(count):
            book.refund(RefundState.SUCCEEDED, reported_at=SINCE)
            book.refund(RefundState.PROCESSING)
        await book.write(connection)
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))
    async with one_moment(engine) as connection:
        before = int(await connection.scalar(_READ) or 0)
        pages = [page async for page in ReconciliationStore(connection, SITE).pages(DAY, size=size)]
        assert sum(map(len, pages)) == 2 * count
        # Each row with its case, and a page of each section beside; a page that began anew would read all of them.
        assert int(await connection.scalar(_READ) or 0) - before < 10 * 2 * count


def test_the_sections_are_in_the_order_of_the_groups() -> None:
    assert list(dict.fromkeys(section.group for section in SECTIONS)) == list(Group)
