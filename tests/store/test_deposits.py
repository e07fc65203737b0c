"""Deposits in real Postgres: accounts and journal say the same, whoever comes at once and wherever it breaks off."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import event, exc, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.ids import new_uuid
from app.rules.deposits import Balances, DepositKind, Entry, Movement, NotEnough, book, folded, stated
from app.store import deposit_sql
from app.store.deposit_rows import NewEntry
from app.store.deposits import DepositStore
from app.store.engine import transaction
from app.store.record_rows import MerchantRow
from app.store.records import RecordStore, kind_of
from tests.store.rows import NOW, OTHER_SITE, SITE, until_somebody_waits
from tests.store.test_statement_counts import counted

CHECKOUT = Path(__file__).parents[2]
CASE = UUID("01900000-0000-7000-8000-0000000000c1")
OTHER_CASE = UUID("01900000-0000-7000-8000-0000000000c2")
MERCHANT = MerchantRow("m-7", deposit=100)


async def told(connection: AsyncConnection, deposit: int, merchant_id: str = "m-7", site_id: UUID = SITE) -> None:
    """The merchant's record, as a version of the service without deposits would store it."""
    row = replace(MERCHANT, merchant_id=merchant_id, deposit=deposit)
    await RecordStore(connection, site_id).put(kind_of(row), [row], NOW)


async def booked(connection: AsyncConnection, entry: NewEntry, merchant_id: str = "m-7") -> Balances:
    deposits = DepositStore(connection, SITE)
    account = (await deposits.lock(merchant_id, NOW)).account
    return (await deposits.append(account, [entry], NOW)).balances


def top_up(amount: int, reference: str | None = None, by: str | None = None, note: str | None = None) -> NewEntry:
    moved = stated(DepositKind.TOP_UP, amount).moved
    return NewEntry(DepositKind.TOP_UP, moved, reference=reference, by=by, note=note)


@asynccontextmanager
async def store(engine: AsyncEngine, site_id: UUID = SITE) -> AsyncIterator[DepositStore]:
    async with transaction(engine) as connection:
        yield DepositStore(connection, site_id)


async def kinds(engine: AsyncEngine, merchant_id: str = "m-7", site_id: UUID = SITE) -> list[str]:
    """What was booked, the first entry first."""
    async with store(engine, site_id) as deposits:
        return [row.kind.value for row in await deposits.page(merchant_id, limit=1000)][::-1]


async def is_sound(engine: AsyncEngine, site_id: UUID = SITE) -> bool:
    """Whether every account can be rebuilt from its entries, by the store's own word and by folding what it lists."""
    async with store(engine, site_id) as deposits:
        if await deposits.differences():
            return False
        found = await deposits._connection.scalars(text("SELECT merchant_id FROM deposit_accounts"))
        for merchant_id in found.all():
            rows = (await deposits.page(merchant_id, limit=10_000))[::-1]
            account = await deposits.get(merchant_id)
            rebuilt = folded([Entry(row.kind, row.moved) for row in rows])
            if account is None or account.balances != rebuilt or [row.n for row in rows] != [*range(1, len(rows) + 1)]:
                return False
    return True


# --- accounts


async def test_accounts_open_with_the_deposit_that_the_record_tells(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await told(connection, 100)
        locked = await DepositStore(connection, SITE).lock("m-7", NOW)
    assert locked.account.balances == Balances(external=-100, available=100)
    assert (locked.account.told, locked.account.entries) == (100, 1)
    assert locked.of_case.moved == Balances()
    assert await kinds(engine) == ["told"]
    assert await is_sound(engine)


async def test_a_merchant_without_a_record_has_empty_accounts(engine: AsyncEngine) -> None:
    async with store(engine) as deposits:
        assert await deposits.get("m-7") is None
        assert (await deposits.lock("m-7", NOW)).account.balances == Balances()
        account = await deposits.get("m-7")
    assert account is not None
    assert (account.told, account.entries) == (0, 0)
    assert await kinds(engine) == []


async def test_what_the_version_before_stored_is_booked_with_the_next_lock_and_shown_before(
    engine: AsyncEngine,
) -> None:
    async with transaction(engine) as connection:
        await told(connection, 100)
        await DepositStore(connection, SITE).lock("m-7", NOW)
    async with transaction(engine) as connection:
        await told(connection, 250)
        shown = await DepositStore(connection, SITE).get("m-7")
    assert await kinds(engine) == ["told"]
    async with store(engine) as deposits:
        assert await deposits.get("m-7") == shown
        locked = (await deposits.lock("m-7", NOW)).account
        assert shown is not None
        assert replace(locked, updated_at=shown.updated_at) == shown
        again = (await deposits.lock("m-7", NOW)).account
    assert again == locked
    assert (shown.told, shown.entries, shown.balances) == (250, 2, Balances(external=-250, available=250))
    assert await kinds(engine) == ["told", "told"]


async def test_a_lowered_deposit_takes_what_is_available_and_is_told_even_if_that_is_nothing(
    engine: AsyncEngine,
) -> None:
    async with transaction(engine) as connection:
        await told(connection, 100)
        deposits = DepositStore(connection, SITE)
        account = (await deposits.lock("m-7", NOW)).account
        taken = book(account.balances, 0, [Movement(DepositKind.DEDUCTION, 80)])
        await deposits.append(account, [NewEntry(each.kind, each.moved, CASE) for each in taken], NOW)
        await told(connection, 40)
        await deposits.catch_up(["m-7"], NOW)
        await told(connection, 30)
        await deposits.catch_up(["m-7"], NOW)
        shown = await deposits.get("m-7")
    assert shown is not None
    assert (shown.told, shown.balances) == (30, Balances(external=-80, refunds=80))
    assert await kinds(engine) == ["told", "deduction", "told", "told"]
    assert await is_sound(engine)


async def test_catching_up_books_what_differs_and_opens_nothing_else(engine: AsyncEngine) -> None:
    ids = [f"m-{n}" for n in range(20)]
    async with transaction(engine) as connection:
        for n, merchant_id in enumerate(ids):
            await told(connection, n, merchant_id)
        deposits = DepositStore(connection, SITE)
        with counted(engine) as seen:
            await deposits.catch_up([*ids, "m-0", "m-unknown"], NOW)
        assert len(seen) == 5  # what differs; open, lock; read; write
        with counted(engine) as seen:
            await deposits.catch_up(ids, NOW)
        assert len(seen) == 1
        opened = (await connection.scalars(text("SELECT merchant_id FROM deposit_accounts ORDER BY told"))).all()
        assert opened == ids[1:]
        nineteenth = await deposits.get("m-19")
    assert nineteenth is not None
    assert nineteenth.balances.available == 19
    assert await is_sound(engine)


async def test_a_booking_is_three_statements(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await told(connection, 100)
        await DepositStore(connection, SITE).lock("m-7", NOW)
        with counted(engine) as seen:
            await booked(connection, top_up(1))
    assert len(seen) == 3


# --- entries


async def test_entries_are_kept_as_they_were_booked_and_listed_newest_first(engine: AsyncEngine) -> None:
    refund_id = new_uuid()
    new = [
        top_up(50, reference="TU-1", by="op-3", note="对公转账"),
        NewEntry(DepositKind.HOLD, Balances(available=-20, held=20), CASE),
        NewEntry(DepositKind.REVERSAL, Balances(available=20, held=-20), CASE, refund_id),
    ]
    async with store(engine) as deposits:
        account = (await deposits.lock("m-7", NOW)).account
        after = await deposits.append(account, new, NOW)
        assert await deposits.append(after, [], NOW + timedelta(days=1)) == after
        rows = await deposits.page("m-7", limit=10)
        assert [row.n for row in rows] == [3, 2, 1]
        kept = [NewEntry(r.kind, r.moved, r.case_id, r.refund_id, r.reference, r.by, r.note) for r in rows[::-1]]
        assert kept == new
        assert {row.created_at for row in rows} == {NOW}
        assert await deposits.page("m-7", limit=1, before=3) == rows[1:2]
        assert await deposits.page("m-7", limit=9, before=1) == []
        assert await deposits.under("m-7", "TU-1") == rows[2]
        assert await deposits.under("m-7", "TU-2") is None
        assert await deposits.under("m-8", "TU-1") is None


async def test_what_a_case_moved_is_summed_for_it_alone(engine: AsyncEngine) -> None:
    back, instead = new_uuid(), new_uuid()
    async with store(engine) as deposits:
        account = (await deposits.lock("m-7", NOW)).account
        await deposits.append(
            account,
            [
                top_up(100),
                NewEntry(DepositKind.HOLD, Balances(available=-30, held=30), CASE),
                NewEntry(DepositKind.HOLD, Balances(available=-40, held=40), OTHER_CASE),
                NewEntry(DepositKind.DEDUCTION, Balances(held=-30, refunds=30), CASE),
                NewEntry(DepositKind.REVERSAL, Balances(available=10, refunds=-10), CASE, back),
                NewEntry(DepositKind.DEDUCTION, Balances(available=-10, refunds=10), CASE, instead),
            ],
            NOW,
        )
        own = (await deposits.lock("m-7", NOW, case_id=CASE)).of_case
        other = (await deposits.lock("m-7", NOW, case_id=OTHER_CASE)).of_case
    assert own.moved == Balances(available=-30, refunds=30)
    assert (set(own.reversed), set(own.replacing)) == ({back}, {instead})
    assert other.moved == Balances(available=-40, held=40)
    assert (other.reversed, other.replacing) == (frozenset(), frozenset())


async def test_an_entry_that_takes_more_than_there_is_is_refused_before_anything_is_written(
    engine: AsyncEngine,
) -> None:
    withdrawal = NewEntry(DepositKind.WITHDRAWAL, stated(DepositKind.WITHDRAWAL, 101).moved)
    async with store(engine) as deposits:
        account = (await deposits.lock("m-7", NOW)).account
        with pytest.raises(NotEnough):
            await deposits.append(account, [top_up(100), withdrawal], NOW)
    assert await kinds(engine) == []


@pytest.mark.parametrize(
    "broken",
    [
        "UPDATE deposit_accounts SET available = available + 1",
        "UPDATE deposit_accounts SET available = -1, external = 1",
        "UPDATE deposit_accounts SET held = -1, external = external + 1",
        "UPDATE deposit_accounts SET recourse = 1, external = external - 1",
        "UPDATE deposit_entries SET held = held + 1",
        "INSERT INTO deposit_entries SELECT * FROM deposit_entries",
        "DELETE FROM deposit_accounts",
    ],
)
async def test_the_database_itself_refuses_what_does_not_balance(engine: AsyncEngine, broken: str) -> None:
    async with transaction(engine) as connection:
        await booked(connection, top_up(100))
    with pytest.raises(exc.IntegrityError):
        async with engine.begin() as connection:
            await connection.execute(text(broken))


async def test_one_reference_is_booked_once_by_the_database_s_own_word(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await booked(connection, top_up(1, reference="TU-1"))
        await booked(connection, top_up(1, reference="TU-1"), "m-8")
        await booked(connection, top_up(1))
        await booked(connection, top_up(1))
    with pytest.raises(exc.IntegrityError):
        async with engine.begin() as connection:
            await booked(connection, top_up(1, reference="TU-1"))


async def test_nothing_of_another_site_is_seen_or_changed(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await told(connection, 100)
        await told(connection, 7, site_id=OTHER_SITE)
        await booked(connection, top_up(5, reference="TU-1"))
        theirs = DepositStore(connection, OTHER_SITE)
        assert await theirs.page("m-7", limit=9) == []
        assert await theirs.under("m-7", "TU-1") is None
        assert (await theirs.lock("m-7", NOW)).account.balances == Balances(external=-7, available=7)
        ours = await DepositStore(connection, SITE).get("m-7")
        assert ours is not None
        assert ours.balances.available == 105
    assert await is_sound(engine)


# --- at once, and broken off


async def test_whoever_comes_second_waits_and_sees_what_the_first_has_booked(engine: AsyncEngine) -> None:
    async def second() -> Balances:
        async with transaction(engine) as connection:
            return await booked(connection, top_up(2))

    async with transaction(engine) as connection:
        await told(connection, 100)
    async with transaction(engine) as connection:
        await told(connection, 150)
        await booked(connection, top_up(1))
        waiting = asyncio.create_task(second())
        await until_somebody_waits(engine)
    assert (await waiting).available == 153
    assert await kinds(engine) == ["told", "top_up", "top_up"]  # 150 were told once, by the first
    assert await is_sound(engine)


async def test_a_record_that_changes_while_an_account_is_waited_for_is_not_taken_back(engine: AsyncEngine) -> None:
    """Read in one statement with the lock, the second one would book the deposit that was told before."""

    async def second() -> Balances:
        async with transaction(engine) as connection:
            return await booked(connection, top_up(2))

    async with transaction(engine) as connection:
        await told(connection, 100)
        await booked(connection, top_up(1))
    async with transaction(engine) as connection:
        await told(connection, 40)
        await DepositStore(connection, SITE).catch_up(["m-7"], NOW)
        waiting = asyncio.create_task(second())
        await until_somebody_waits(engine)
    assert (await waiting).available == 43
    assert await kinds(engine) == ["told", "top_up", "told", "top_up"]


async def test_who_waits_for_accounts_to_be_opened_holds_none_that_their_opener_may_want(engine: AsyncEngine) -> None:
    async def both() -> None:
        async with store(engine) as deposits:
            await deposits.catch_up(["m-1", "m-2"], NOW)

    async with transaction(engine) as connection:
        await told(connection, 10, "m-1")
        await told(connection, 10, "m-2")
        await DepositStore(connection, SITE).lock("m-2", NOW)
        await told(connection, 20, "m-2")
    async with store(engine) as deposits:
        await deposits.lock("m-1", NOW)
        waiting = asyncio.create_task(both())
        await until_somebody_waits(engine)
        await deposits.lock("m-2", NOW)
    await waiting
    assert (await kinds(engine, "m-1"), await kinds(engine, "m-2")) == (["told"], ["told", "told"])
    assert await is_sound(engine)


async def test_many_who_open_the_same_accounts_open_them_once(engine: AsyncEngine) -> None:
    ids = [f"m-{n}" for n in range(8)]
    async with transaction(engine) as connection:
        for merchant_id in ids:
            await told(connection, 10, merchant_id)

    async def caught_up(seed: int) -> None:
        some = random.Random(seed).sample(ids, 5)
        async with store(engine) as deposits:
            await deposits.catch_up(some, NOW)

    await asyncio.gather(*map(caught_up, range(16)))
    for merchant_id in ids:
        assert await kinds(engine, merchant_id) == ["told"]
    assert await is_sound(engine)


class BrokeOff(Exception):
    """The process died here."""


async def test_a_crash_behind_any_statement_leaves_journal_and_balances_as_they_were(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await told(connection, 100)
        await booked(connection, top_up(5))
    reached = 0
    for crash_at in range(1, 9):
        sent = 0

        def count(*_: object, crash_at: int = crash_at) -> None:
            nonlocal sent
            sent += 1
            if sent == crash_at:
                raise BrokeOff

        event.listen(engine.sync_engine, "after_cursor_execute", count)
        try:
            async with engine.begin() as connection:
                await told(connection, 200 + crash_at)
                await booked(connection, top_up(9))
        except BrokeOff:
            reached += 1
        finally:
            event.remove(engine.sync_engine, "after_cursor_execute", count)
        assert await is_sound(engine)
        assert len(await kinds(engine)) == (2 if reached == crash_at else 4)
        if reached < crash_at:
            break
    assert reached == 5  # the record, lock, read, what it tells, the entry


# --- rebuilding


@pytest.mark.parametrize(
    "tampered",
    [
        "UPDATE deposit_accounts SET available = available - 1, external = external + 1",
        "UPDATE deposit_accounts SET last_entry = last_entry + 1",
        "UPDATE deposit_entries SET available = available + 1, external = external - 1 WHERE n = 2",
        "DELETE FROM deposit_entries WHERE n = 3",
        "UPDATE deposit_entries SET n = 7 WHERE n = 3",
        "DELETE FROM deposit_entries WHERE n = 1",
    ],
)
async def test_what_was_changed_behind_the_journal_s_back_is_found(engine: AsyncEngine, tampered: str) -> None:
    async with transaction(engine) as connection:
        for merchant_id in ("m-7", "m-8"):
            for amount in (10, 20, 30):
                await booked(connection, top_up(amount), merchant_id)
        assert await DepositStore(connection, SITE).differences() == []
        await connection.execute(text(f"{tampered}{' AND' if 'WHERE' in tampered else ' WHERE'} merchant_id = 'm-8'"))
        [found] = await DepositStore(connection, SITE).differences()
        assert await DepositStore(connection, OTHER_SITE).differences() == []
    assert found.merchant_id == "m-8"
    wrong = tuple(found.summed.values()) != astuple(found.kept)
    assert wrong or (found.last_entry, found.entries) != (3, 3) or "n = 7" in tampered


def test_no_statement_of_the_service_changes_or_removes_an_entry() -> None:
    changing = re.compile(
        r"(?is)(update|delete\s+from|truncate)\s+(only\s+)?deposit_entries|(update|delete)\(\s*DepositEntry"
    )
    for source in (CHECKOUT / "app").rglob("*.py"):
        assert not changing.search(source.read_text(encoding="utf-8")), source
    assert changing.search("DELETE FROM deposit_entries")
    assert changing.search("update(DepositEntry.__table__)")
    assert "INSERT INTO deposit_entries" in str(deposit_sql.APPEND)
