"""The records of a site as a model keeps them: what was told last, and what is promised on each payment."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from app.rules.facts import Delivery, Merchant, Order, Payment
from tests.lifecycle.found_model import Found

_DOCUMENTS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in (Order, Payment, Delivery, Merchant)}
Record = Order | Payment | Delivery | Merchant


@dataclass
class Records:
    """By number; a delivery with its order. `promised`: of every refund that was not closed."""

    orders: dict[str, Order] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    deliveries: dict[str, tuple[str, Delivery]] = field(default_factory=dict)
    merchants: dict[str, Merchant] = field(default_factory=dict)
    promised: Counter[str] = field(default_factory=Counter)
    found: defaultdict[str, Found] = field(default_factory=lambda: defaultdict(Found))

    def payments_of(self, order_no: str) -> tuple[Payment, ...]:
        """As the rules have to see them: what others paid back and what is promised counts as gone."""
        return tuple(
            replace(each, refunded_amount=each.amount - self.left_of(each))
            for _, each in sorted(self.payments.items())
            if each.order_no == order_no
        )

    def deliveries_of(self, order_no: str) -> tuple[Delivery, ...]:
        """What was delivered of an order."""
        return tuple(each for _, (of, each) in sorted(self.deliveries.items()) if of == order_no)

    def gone(self, payment: Payment) -> int:
        """What went back by others, as the site or as the channel told it, and what is promised beside that."""
        return self.gone_by_others(payment) + self.promised[payment.payment_no]

    def gone_by_others(self, payment: Payment) -> int:
        """The greater of what the site and what the channel told: it may be the same money."""
        return max(payment.refunded_amount, self.found[payment.payment_no].amount)

    def left_of(self, payment: Payment) -> int:
        """What may be promised still."""
        return max(0, payment.amount - self.gone(payment))

    def overdrawn(self, payment: Payment) -> int:
        """By how much more went back, or is promised, than was paid."""
        return max(0, self.gone(payment) - payment.amount)

    def stands_against(self, payment: Payment) -> bool:
        """Whether a payment as told now would be less than what is gone: a slip of the pen overdraws nothing."""
        known = self.payments.get(payment.payment_no)
        return self.overdrawn(payment) > (0 if known is None else self.overdrawn(known))


def body_of(record: Record, number: str, **more: Any) -> dict[str, Any]:
    """What is sent of a record: everything but its number."""
    document: dict[str, Any] = _DOCUMENTS[type(record)].dump_python(record, mode="json")
    return {**{name: value for name, value in document.items() if name not in (number, "response")}, **more}
