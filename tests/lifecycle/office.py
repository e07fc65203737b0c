"""A site under test and the model of it: its records, its clock, its worker.

Whatever is told to the one is told to the other. Time stands still and passes only where somebody says so.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app.rules.facts import (
    CancelledBy,
    CardStatus,
    CardUse,
    Channel,
    Delivery,
    DeliveryMode,
    Goods,
    GoodsKind,
    Merchant,
    MerchantStatus,
    Order,
    OrderStatus,
    Payment,
    PaymentStatus,
    Usage,
    UsedBy,
)
from tests.lifecycle.case_model import CaseModel
from tests.lifecycle.checking import Reader, everything_of
from tests.lifecycle.desk_model import DeskModel
from tests.lifecycle.records_model import body_of
from tests.lifecycle.refund_model import RefundModel, Said
from tests.lifecycle.service import Answer, Request, Service, Site

BEGINNING = datetime(2026, 3, 9, 2, 0, tzinfo=UTC)  # a Monday morning in Shanghai
INSTANT = timedelta(microseconds=1)


class Office:
    """A new site; `say` hears every step. Raises AssertionError where service and model differ."""

    def __init__(self, service: Service, bystander: Site, say: Callable[[str], None]) -> None:
        self.service = service
        self.bystander = bystander
        self.say = say
        self.service.set_time(BEGINNING)
        self.site = service.open_site()
        self.model = DeskModel(BEGINNING)
        self.reader = Reader(self.site)
        self.untouched = everything_of(bystander)
        self.touched: set[UUID] = set()
        self.numbers = itertools.count(1)
        self.sent: list[tuple[Request, Answer]] = []
        self.reports: list[tuple[tuple[CaseModel, RefundModel], Said]] = []
        self.agrees = True

    @property
    def now(self) -> datetime:
        """By the database's clock."""
        return self.model.now

    def set_time(self, at: datetime) -> None:
        self.service.set_time(at)
        self.model.now = at

    def leap(self, how: str, days: int = 1) -> None:
        """To just before, exactly, or just after what is due next; or by an hour, or by days."""
        due = self.model.next_due()
        match how:
            case "an_hour":
                self.set_time(self.now + timedelta(hours=1))
            case "days":
                self.set_time(self.now + timedelta(days=days))
            case _ if due is not None:
                shift = {"just_before": -INSTANT, "exactly": timedelta(0), "just_after": INSTANT}[how]
                self.set_time(max(self.now, due + shift))
        self.touched |= set(self.model.cases)  # what may be done now is another question

    def fire(self, limit: int, *, crash_at: int | None = None) -> int:
        self.agrees = False
        fired = self.site.fire(limit, crash_at=crash_at)
        order = []
        for timer in fired.timers:
            case, key = self.model.cases[timer.case_id], (timer.name, timer.kind.value, timer.due_at)
            self.say(f"{self.now.isoformat()} fired {key} of {case.claim.reason.value}")
            order.append(case.timers[key].next_attempt_at)
            self.model.fires(case, key)
            self.touched.add(timer.case_id)
        for timer in fired.crashed:
            self.say(f"{self.now.isoformat()} died in {timer}")
            key = (timer.name, timer.kind.value, timer.due_at)
            self.model.cases[timer.case_id].failed(key, self.now)
        assert order == sorted(order), "the oldest first"
        return len(fired.timers) + len(fired.crashed)

    def tell_overdue(self) -> None:
        """The worker tells of every refund that is late."""
        self.agrees = False
        due = self.model.overdue()
        self.say(f"{self.now.isoformat()} overdue: {[refund.refund_no for _, refund in due]}")
        assert self.site.tell_overdue() == len(due)
        for case, refund in due:
            self.model.tell_overdue(case, refund)
            self.touched.add(case.case_id)

    def fire_all(self) -> None:
        for _ in range(20):
            if self.fire(100) == 0:
                break
        self.tell_overdue()
        left = {str(key) for case in self.model.cases.values() for key in case.due(self.now)}
        assert not left, f"still due: {left}"

    def close(self) -> None:
        """Nothing of this site happens any more."""
        self.service.rows("UPDATE case_timers SET state = 'void' WHERE site_id = $1", self.site.site_id)
        self.service.rows("UPDATE refunds SET overdue_at = NULL WHERE site_id = $1", self.site.site_id)

    def new_order(self, price: int, mode: DeliveryMode) -> None:
        """With its payment; the buyer of the first two is the same."""
        number = len(self.model.records.orders) + 1
        goods = Goods("pass", "会员", GoodsKind.MEMBERSHIP, mode, None, CardUse.SINGLE_USE, 10_000)
        buyer = "user-1" if number < 3 else "user-2"
        order = Order(f"A-{number}", f"m-{number % 2}", buyer, price, "CNY", OrderStatus.PAID, self.now, goods)
        self._put_order(order)
        self._put_payment(
            Payment(f"P-{number}", Channel.ALIPAY, PaymentStatus.SUCCEEDED, price, self.now, order.order_no)
        )

    def order_changes(self, of: int, status: OrderStatus, by: CancelledBy) -> None:
        """Its status."""
        cancelled = status is OrderStatus.CANCELLED
        changed = replace(
            self._order(of), status=status, cancelled_by=by if cancelled else None,
            cancelled_at=self.now if cancelled else None,
        )  # fmt: skip
        self._put_order(changed)

    def payment(self, of: int, second: bool, status: PaymentStatus, back: int) -> None:
        """Of the order, or a second one."""
        order = self._order(of)
        number = order.order_no.replace("A", "P") + ("-2" if second else "")
        known = self.model.records.payments.get(number)
        paid_at = self.now if known is None else known.paid_at
        self._put_payment(
            Payment(number, Channel.BANK_CARD if second else Channel.ALIPAY, status, order.amount, paid_at,
                    order.order_no, back)
        )  # fmt: skip

    def paid_back_by_hand(self, of: int, how: str) -> None:
        """Somebody else pays back: all that is left, more than that, or it was a mistake."""
        payments = list(self.model.records.payments.values())
        payment = payments[of % len(payments)]
        left = payment.amount - self.model.records.promised[payment.payment_no]
        back = {"all_that_is_left": left, "one_fen_too_many": left + 1, "nothing": 0, "a_little": 1}[how]
        if back <= payment.amount:
            self._put_payment(replace(payment, refunded_amount=back))

    def delivery(self, of: int, how: str) -> None:
        """Told for the first time, or otherwise than before."""
        order = self._order(of)
        self._put_delivery(self._delivered(order, how), order.order_no)

    def merchant(self, of: int, status: MerchantStatus, deposit: int) -> None:
        """One of the two."""
        self._put_merchant(Merchant(f"m-{of % 2}", status, True, deposit))

    def _put(self, kind: str, number: str, body: dict[str, Any]) -> Answer:
        return self._send(Request("PUT", f"/v1/{kind}/{number}", body))

    def _put_order(self, order: Order) -> None:
        assert self._put("orders", order.order_no, body_of(order, "order_no")).status in (200, 201)
        if self.model.records.orders.get(order.order_no) != order:
            self.model.records.orders[order.order_no] = order
            self.model.changed(order_no=order.order_no)

    def _put_payment(self, payment: Payment) -> None:
        answer = self._put("payments", payment.payment_no, body_of(payment, "payment_no"))
        if self.model.records.stands_against(payment):
            assert (answer.status, answer.body["code"]) == (409, "payment_below_refunds"), answer.raw
            return
        assert answer.status in (200, 201), answer.raw
        if self.model.records.payments.get(payment.payment_no) != payment:
            self.model.records.payments[payment.payment_no] = payment
            self.model.changed(order_no=payment.order_no)

    def _put_delivery(self, delivery: Delivery, order_no: str) -> None:
        body = body_of(delivery, "delivery_no", order_no=order_no)
        assert self._put("deliveries", delivery.delivery_no, body).status in (200, 201)
        self._told_delivery(delivery, order_no)

    def _told_delivery(self, delivery: Delivery, order_no: str) -> None:
        if self.model.records.deliveries.get(delivery.delivery_no) != (order_no, delivery):
            self.model.records.deliveries[delivery.delivery_no] = order_no, delivery
            self.model.changed(order_no=order_no)

    def _put_merchant(self, merchant: Merchant) -> None:
        answer = self._put("merchants", merchant.merchant_id, body_of(merchant, "merchant_id"))
        assert answer.status in (200, 201), answer.raw
        if self.model.records.merchants.get(merchant.merchant_id) != merchant:
            self.model.records.merchants[merchant.merchant_id] = merchant
            self.model.deposits.ledgers[merchant.merchant_id].is_told(merchant.deposit)
            self.model.changed(merchant_id=merchant.merchant_id)

    def _delivered(self, order: Order, how: str) -> Delivery:
        return _delivery(order.order_no.replace("A", "D"), how, order.placed_at, self.now)

    def _order(self, number: int) -> Order:
        orders = list(self.model.records.orders.values())
        return orders[number % len(orders)]

    def _key(self) -> str:
        return f"key-{next(self.numbers)}"

    def _send(self, request: Request) -> Answer:
        self.agrees = False
        self.say(f"{self.now.isoformat()} {request}")
        answer = self.site.send(request)
        self.say(f"  -> {answer.status} {answer.body.get('status') or answer.body.get('code')}")
        if request.key is not None and answer.status < 300:
            self.sent.append((request, answer))
        return answer


def _delivery(number: str, how: str, placed_at: datetime, now: datetime) -> Delivery:
    in_time = Delivery(number, placed_at + timedelta(minutes=1), 10_000, None, Usage.UNUSED)
    match how:
        case "used":
            used_at = placed_at + timedelta(minutes=2)
            return replace(in_time, usage=Usage.CONSUMED, used_at=used_at, used_by=UsedBy.BUYER)
        case "late":
            return replace(in_time, delivered_at=max(now, placed_at + timedelta(hours=2)))
        case "short":
            return replace(in_time, face_value=4_000, usage=Usage.CONSUMED)
        case "invalid":
            return replace(in_time, card_status=CardStatus.INVALID)
        case "sold_twice":
            return replace(in_time, times_sold=2)
        case "not_yet":
            return replace(in_time, delivered_at=None)
        case _:
            return in_time
