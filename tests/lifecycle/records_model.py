"""The records of a site as a model keeps them: what was told last, and what is promised on each payment."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from app.rules.facts import Delivery, Merchant, Order, Payment

_DOCUMENTS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in (Order, Payment, Delivery, Merchant)}
Record = Order | Payment | Delivery | Merchant


@dataclass
class Records:
    """By number; a delivery with its order."""

    orders: dict[str, Order] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    deliveries: dict[str, tuple[str, Delivery]] = field(default_factory=dict)
    merchants: dict[str, Merchant] = field(default_factory=dict)
    promised: Counter[str] = field(default_factory=Counter)

    def payments_of(self, order_no: str) -> tuple[Payment, ...]:
        """As the rules have to see them: what is promised counts as gone."""
        return tuple(
            replace(each, refunded_amount=each.refunded_amount + self.promised[each.payment_no])
            for _, each in sorted(self.payments.items())
            if each.order_no == order_no
        )

    def deliveries_of(self, order_no: str) -> tuple[Delivery, ...]:
        """What was delivered of an order."""
        return tuple(each for _, (of, each) in sorted(self.deliveries.items()) if of == order_no)

    def stands_against(self, payment: Payment) -> bool:
        """Whether a payment as told now would be less than what went back and is promised on it."""
        return payment.amount < payment.refunded_amount + self.promised[payment.payment_no]


def body_of(record: Record, number: str, **more: Any) -> dict[str, Any]:
    """What is sent of a record: everything but its number."""
    document: dict[str, Any] = _DOCUMENTS[type(record)].dump_python(record, mode="json")
    return {**{name: value for name, value in document.items() if name not in (number, "response")}, **more}
