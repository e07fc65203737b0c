"""Which cases a record makes due for a new judgement, and that a claim and a record never miss each other."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import ids
from app.models.closed_sets import RecordKind
from app.rules.lifecycle import UNDECIDED, CaseStatus
from app.services.records import put_record, put_records
from app.store.engine import Collided, transaction
from app.store.record_rows import RecordRow, Told
from app.store.records import RecordStore, kind_of
from app.store.rejudging import RejudgingStore
from tests.store.rows import (
    DELIVERY,
    MERCHANT,
    NOW,
    ORDER,
    OTHER_SITE,
    PAYMENT,
    SITE,
    TOLD,
    until_somebody_waits,
)
from tests.store.test_bounded_reads import told

CARD = "ab" * 32
OTHER_ORDER = replace(ORDER, order_no="A-2", merchant_id="m-8")
OTHER_DELIVERY = replace(DELIVERY, delivery_no="D-2", order_no="A-2", card_fingerprint=CARD)

_CASE = text("""
    INSERT INTO cases (site_id, case_id, order_no, merchant_id, reason, status, claim, policy_name, policy_version,
                       filed_at, created_at, updated_at, version, next_sequence)
    VALUES (:site_id, :case_id, :order_no, :merchant_id, 'not_delivered', :status, '{}', 'standard', 1,
            :now, :now, :now, 1, 1)""")
_CASE_PAYMENT = text("INSERT INTO case_payments VALUES (:site_id, :case_id, :payment_no)")
_LOCK_ORDER = text("SELECT FROM orders WHERE site_id = :site_id AND order_no = :order_no FOR UPDATE")
_LOCK_PAYMENTS = text("""
    SELECT payment_no FROM payments WHERE site_id = :site_id AND order_no = :order_no ORDER BY payment_no FOR UPDATE""")
_ON_FILE = text("""
    SELECT payment_no FROM payments WHERE site_id = :site_id AND order_no = :order_no
    UNION SELECT delivery_no || ' sold ' || (SELECT count(*) FROM deliveries same WHERE same.site_id = :site_id
                                             AND same.card_fingerprint = d.card_fingerprint)
    FROM deliveries d WHERE site_id = :site_id AND order_no = :order_no""")
_FETCHED = text("SELECT CAST(sum(idx_tup_fetch + seq_tup_read) AS integer) FROM pg_stat_xact_user_tables")


async def add_case(
    connection: AsyncConnection,
    order_no: str | None = "A-1",
    *,
    merchant_id: str = "m-0",
    status: CaseStatus = CaseStatus.WAITING,
    payment_nos: tuple[str, ...] = (),
    site_id: UUID = SITE,
) -> UUID:
    """A case about nothing but what bears on it."""
    key = {"site_id": site_id, "case_id": ids.new_uuid()}
    case = {"order_no": order_no, "merchant_id": merchant_id, "status": status.value, "now": NOW}
    await connection.execute(_CASE, {**key, **case})
    for payment_no in payment_nos:
        await connection.execute(_CASE_PAYMENT, {**key, "payment_no": payment_no})
    return key["case_id"]


async def due(connection: AsyncConnection) -> list[UUID]:
    """The cases that wait for a new judgement, each as often as it does."""
    found = await connection.execute(
        text("""SELECT case_id FROM case_timers WHERE state = 'pending' AND name = 'rejudge' AND kind = 'due'
                AND NOT provisional AND attempts = 0 AND due_at = next_attempt_at""")
    )
    return list(found.scalars())


async def due_after(engine: AsyncEngine, record: RecordRow, **case: object) -> bool:
    """Whether a case is due when this record has come, on top of an order with its records."""
    async with transaction(engine) as connection:
        await put_records(connection, SITE, TOLD, NOW)
        case_id = await add_case(connection, **case)  # type: ignore[arg-type]
        await put_record(connection, SITE, record, NOW)
        return await due(connection) == [case_id]


@pytest.mark.parametrize(
    ("record", "case"),
    [
        (replace(ORDER, amount=1), {}),
        (replace(PAYMENT, amount=1), {}),
        (replace(PAYMENT, payment_no="P-2"), {}),
        (replace(PAYMENT, order_no="A-2"), {}),
        (replace(PAYMENT, order_no="A-2"), {"order_no": "A-2"}),
        (replace(PAYMENT, order_no=None), {}),
        (replace(PAYMENT, payment_no="P-2", order_no=None), {"order_no": None, "payment_nos": ("P-2", "P-3")}),
        (replace(DELIVERY, times_sold=2), {}),
        (replace(DELIVERY, delivery_no="D-2"), {}),
        (replace(DELIVERY, order_no="A-2"), {}),
        (replace(DELIVERY, order_no="A-2"), {"order_no": "A-2"}),
        (replace(MERCHANT, deposit=1), {"merchant_id": "m-7"}),
        (replace(MERCHANT, merchant_id="m-8"), {"merchant_id": "m-8"}),
    ],
)
async def test_a_record_makes_the_case_due_that_it_bears_on(
    engine: AsyncEngine, record: RecordRow, case: dict[str, object]
) -> None:
    assert await due_after(engine, record, **case)


@pytest.mark.parametrize(
    "record", [ORDER, PAYMENT, DELIVERY, MERCHANT, replace(ORDER, order_no="A-2"), replace(DELIVERY, delivery_no="D-2")]
)
async def test_a_record_that_is_unchanged_or_of_another_order_makes_nothing_due(
    engine: AsyncEngine, record: RecordRow
) -> None:
    where = {"order_no": "A-3"} if record == replace(DELIVERY, delivery_no="D-2") else {}
    assert not await due_after(engine, record, merchant_id="m-7", **where)


@pytest.mark.parametrize("status", CaseStatus)
async def test_only_what_is_undecided_is_judged_anew(engine: AsyncEngine, status: CaseStatus) -> None:
    assert await due_after(engine, replace(PAYMENT, amount=1), status=status) == (status in UNDECIDED)


async def test_a_case_of_another_site_is_never_due(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await add_case(connection, merchant_id="m-7", site_id=OTHER_SITE, payment_nos=("P-1",))
        await put_records(connection, SITE, TOLD, NOW)
        assert await due(connection) == []


async def test_a_card_that_is_sold_again_makes_the_case_of_its_first_buyer_due(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await put_records(connection, SITE, replace(TOLD, deliveries=(replace(DELIVERY, card_fingerprint=CARD),)), NOW)
        case_id = await add_case(connection)
        await put_record(connection, SITE, replace(OTHER_DELIVERY, card_fingerprint="cd" * 32), NOW)
        assert await due(connection) == []
        await put_record(connection, SITE, OTHER_DELIVERY, NOW)
        assert await due(connection) == [case_id]


async def test_a_card_that_turns_out_to_be_another_makes_the_case_due_again(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        first = replace(DELIVERY, card_fingerprint=CARD)
        await put_records(connection, SITE, Told(deliveries=(first, OTHER_DELIVERY)), NOW)
        case_id = await add_case(connection)
        await put_record(connection, SITE, replace(OTHER_DELIVERY, card_fingerprint=None), NOW)
        assert await due(connection) == [case_id]


async def test_a_case_that_waits_to_be_judged_anew_is_not_due_twice(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        case_id = await add_case(connection)
        for seconds in range(3):
            at = NOW + timedelta(seconds=seconds)
            await put_record(connection, SITE, replace(ORDER, amount=seconds), at)
        assert await due(connection) == [case_id]


@pytest.mark.parametrize("later", [timedelta(0), timedelta(seconds=1)])
async def test_a_case_that_was_judged_anew_is_due_again(engine: AsyncEngine, later: timedelta) -> None:
    async with transaction(engine) as connection:
        case_id = await add_case(connection)
        await put_record(connection, SITE, ORDER, NOW)
        await connection.execute(text("UPDATE case_timers SET state = 'fired', settled_at = now()"))
        await put_record(connection, SITE, replace(ORDER, amount=1), NOW + later)
        assert await due(connection) == [case_id]


async def test_many_records_make_each_case_due_once(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        cases = [await add_case(connection, f"A-{n}", merchant_id="m-7") for n in range(30)]
        await put_records(connection, SITE, replace(told(*range(20)), merchants=(MERCHANT,)), NOW)
        assert sorted(await due(connection)) == sorted(cases)


async def test_looking_for_cases_reads_no_more_when_the_site_has_more_of_them(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await put_records(connection, SITE, told(*range(1000, 1500)), NOW)
        for number in range(1000, 1500):
            await add_case(connection, f"A-{number}", merchant_id=f"m-{number}", payment_nos=(f"P-{number}",))
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("ANALYZE"))
    fetched = []
    async with engine.connect() as connection:
        for number in range(12):  # more than it takes for a plan to be kept
            async with connection.begin():
                before = int(await connection.scalar(_FETCHED) or 0)
                await put_records(connection, SITE, told(number, 1000 + number), NOW)
                for record in (OTHER_ORDER, PAYMENT, OTHER_DELIVERY, MERCHANT):
                    changed = replace(record, **({"deposit": number} if record is MERCHANT else {}))  # type: ignore[arg-type]
                    await put_record(connection, SITE, changed, NOW)
                fetched.append(int(await connection.scalar(_FETCHED) or 0) - before)
    assert max(fetched) < 100


# From here on: two transactions at a time, driven step by step.


async def lock_and_read(connection: AsyncConnection, order_no: str = "A-1") -> list[str]:
    """As a filing does: it locks the order and its payments, and then reads what is there."""
    key = {"site_id": SITE, "order_no": order_no}
    await connection.execute(_LOCK_ORDER, key)
    await connection.execute(_LOCK_PAYMENTS, key)
    return sorted((await connection.execute(_ON_FILE, key)).scalars())


Step = Callable[[AsyncConnection], Awaitable[object]]


async def one_after_the_other(engine: AsyncEngine, first: Step, second: Step) -> object:
    """`second` begins while the transaction of `first` is open, has to wait for it, and is then done."""

    async def waiting() -> object:
        async with transaction(engine) as connection:
            return await second(connection)

    async with transaction(engine) as connection:
        await first(connection)
        task = asyncio.create_task(waiting())
        await until_somebody_waits(engine)
    return await task


async def claimed(connection: AsyncConnection) -> list[str]:
    """A filing with what it has read."""
    found = await lock_and_read(connection)
    await add_case(connection)
    return found


def putting(record: RecordRow) -> Step:
    """The put of a record, as a step."""

    async def put(connection: AsyncConnection) -> None:
        await put_record(connection, SITE, record, NOW)

    return put


SOLD_ONCE, SOLD_TWICE = ["D-1 sold 1", "P-1"], ["D-1 sold 2", "P-1"]
ARRIVALS = [
    (replace(PAYMENT, payment_no="P-2"), [*SOLD_ONCE, "P-2"]),
    (replace(PAYMENT, order_no="A-9"), ["D-1 sold 1"]),
    (replace(PAYMENT, order_no=None), ["D-1 sold 1"]),
    (replace(DELIVERY, delivery_no="D-3", card_fingerprint="cd" * 32), ["D-1 sold 1", "D-3 sold 1", "P-1"]),
    (replace(DELIVERY, order_no="A-9", card_fingerprint=CARD), ["P-1"]),
    (OTHER_DELIVERY, SOLD_TWICE),
]


async def on_file(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        first = replace(DELIVERY, card_fingerprint=CARD)
        await put_records(connection, SITE, replace(TOLD, deliveries=(first,)), NOW)
        await put_record(connection, SITE, OTHER_ORDER, NOW)


@pytest.mark.parametrize(("record", "seen"), ARRIVALS)
async def test_a_record_that_waits_for_a_filing_makes_its_case_due(
    engine: AsyncEngine, record: RecordRow, seen: list[str]
) -> None:
    await on_file(engine)
    await one_after_the_other(engine, claimed, putting(record))
    async with transaction(engine) as connection:
        assert len(await due(connection)) == 1
        assert await lock_and_read(connection) == seen


@pytest.mark.parametrize(("record", "seen"), ARRIVALS)
async def test_a_filing_that_waits_for_a_record_reads_it(
    engine: AsyncEngine, record: RecordRow, seen: list[str]
) -> None:
    await on_file(engine)
    assert await one_after_the_other(engine, putting(record), claimed) == seen


@pytest.mark.parametrize(
    ("record", "orders"),
    [
        (ORDER, {"A-1"}),
        (replace(PAYMENT, order_no="A-2"), {"A-1", "A-2"}),
        (replace(PAYMENT, order_no=None), {"A-1"}),
        (replace(DELIVERY, order_no="A-2"), {"A-1", "A-2"}),
        (OTHER_DELIVERY, {"A-1", "A-2"}),
        (MERCHANT, set()),
    ],
)
async def test_all_orders_are_locked_before_anything_is_written(
    engine: AsyncEngine, record: RecordRow, orders: set[str]
) -> None:
    """Those that are found to be affected afterwards are locked too, but out of turn, where two could meet."""
    await on_file(engine)
    async with transaction(engine) as connection:
        store = RecordStore(connection, SITE)
        await store.put(kind_of(record), [record], NOW)
        assert store.locked == orders


async def filed_with_its_order(connection: AsyncConnection) -> list[str]:
    """A filing whose order comes along."""
    await put_records(connection, SITE, Told((ORDER,)), NOW)
    return await claimed(connection)


@pytest.mark.parametrize("record", [PAYMENT, DELIVERY])
async def test_a_record_of_an_order_that_is_just_coming_is_not_missed(engine: AsyncEngine, record: RecordRow) -> None:
    await one_after_the_other(engine, filed_with_its_order, putting(record))
    async with transaction(engine) as connection:
        assert len(await due(connection)) == 1


async def test_a_filing_whose_order_comes_along_reads_a_record_that_was_first(engine: AsyncEngine) -> None:
    assert await one_after_the_other(engine, putting(PAYMENT), filed_with_its_order) == ["P-1"]


async def test_new_orders_do_not_wait_for_each_other(engine: AsyncEngine) -> None:
    async with transaction(engine) as one, transaction(engine) as two:
        await put_records(one, SITE, told(*range(300)), NOW)
        await two.execute(text("SET LOCAL lock_timeout = '50ms'"))
        others = told(*range(300, 320))
        await put_records(two, SITE, replace(others, deliveries=(), merchants=()), NOW)


async def test_an_order_that_comes_to_light_late_is_not_waited_for(engine: AsyncEngine) -> None:
    """Somebody files on an order which was not there when a payment that names it was written.

    To wait for it now would be out of turn; begun again, it is locked in turn.
    """
    async with engine.connect() as connection:
        store = RecordStore(connection, SITE)
        puts = await store.put(kind_of(PAYMENT), [PAYMENT], NOW)
        assert store.locked == frozenset()

        async with transaction(engine) as other:
            # Not by way of the store, which would wait: as if it had been created when the payment was being written.
            await other.execute(text("SELECT set_config('lock_timeout', '50ms', true)"))
            await other.execute(
                text("""INSERT INTO orders (site_id, order_no, merchant_id, buyer_id, amount, currency, status,
                            placed_at, sku, goods_name, goods_kind, delivery_mode, card_use, traits, version,
                            created_at, updated_at)
                        VALUES (:site_id, 'A-1', 'm', 'b', 1, 'CNY', 'paid', :now, 's', 'g', 'game_card', 'instant',
                            'unknown', '{}', 1, :now, :now)"""),
                {"site_id": SITE, "now": NOW},
            )
        async with transaction(engine) as filing:
            await claimed(filing)
            with pytest.raises(Collided):
                await RejudgingStore(connection, SITE).enqueue(puts, NOW, locked=store.locked)
            await connection.rollback()
    async with transaction(engine) as connection:
        store = RecordStore(connection, SITE)
        again = await store.put(kind_of(PAYMENT), [PAYMENT], NOW)
        assert store.locked == frozenset({"A-1"})
        await RejudgingStore(connection, SITE).enqueue(again, NOW, locked=store.locked)
        assert len(await due(connection)) == 1


async def test_a_filing_and_a_put_of_its_payment_do_not_lock_each_other_out(engine: AsyncEngine) -> None:
    await on_file(engine)

    async def filing(connection: AsyncConnection) -> None:
        await connection.execute(_LOCK_ORDER, {"site_id": SITE, "order_no": "A-1"})

    async def put(connection: AsyncConnection) -> None:
        await put_record(connection, SITE, replace(PAYMENT, amount=5), NOW)

    async def waiting() -> None:
        async with transaction(engine) as connection:
            await put(connection)

    async with transaction(engine) as connection:
        await filing(connection)
        task = asyncio.create_task(waiting())
        await until_somebody_waits(engine)
        await connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
        assert await lock_and_read(connection) == SOLD_ONCE  # the put holds nothing yet
    await task


async def test_orders_are_locked_by_number_whether_given_or_named(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await put_records(connection, SITE, Told((ORDER, OTHER_ORDER)), NOW)
    crossing = Told((replace(OTHER_ORDER, amount=5),), (PAYMENT,))  # gives A-2 and names A-1

    async def importing() -> None:
        async with transaction(engine) as connection:
            await put_records(connection, SITE, crossing, NOW)

    async with transaction(engine) as one:
        await one.execute(_LOCK_ORDER, {"site_id": SITE, "order_no": "A-1"})
        task = asyncio.create_task(importing())
        await until_somebody_waits(engine)
        async with transaction(engine) as two:
            await two.execute(text("SET LOCAL lock_timeout = '50ms'"))
            await two.execute(_LOCK_ORDER, {"site_id": SITE, "order_no": "A-2"})
    await task


async def test_a_payment_that_is_promised_meanwhile_does_not_move(engine: AsyncEngine) -> None:
    """The put cannot see the payment when it begins, and finds it promised when its turn comes."""
    promise = text("UPDATE payments SET reserved_amount = 1 WHERE site_id = :site_id AND payment_no = 'P-1'")

    async def promised(connection: AsyncConnection) -> None:
        await put_records(connection, SITE, Told((ORDER,), (PAYMENT,)), NOW)
        await connection.execute(promise, {"site_id": SITE})

    with pytest.raises(Exception, match="payment_has_refunds"):
        await one_after_the_other(engine, promised, putting(replace(PAYMENT, order_no=None)))


async def test_who_sells_one_card_at_a_time_hears_of_the_other(engine: AsyncEngine) -> None:
    """Two orders get the same card at the same moment; the first of them has a case."""
    async with transaction(engine) as connection:
        await put_records(connection, SITE, Told((ORDER, OTHER_ORDER)), NOW)
        case_id = await add_case(connection)

    async def first(connection: AsyncConnection) -> None:
        await RecordStore(connection, SITE).put(
            RecordKind.DELIVERY, [replace(DELIVERY, card_fingerprint=CARD)], NOW
        )  # written; whoever it makes due was due before

    await one_after_the_other(engine, first, putting(OTHER_DELIVERY))
    async with transaction(engine) as connection:
        assert await due(connection) == [case_id]
