"""The only bridge between rows and facts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from pydantic import TypeAdapter

from app.rules.decision import instant
from app.rules.facts import (
    Buyer,
    Claim,
    Course,
    Delivery,
    Evidence,
    Facts,
    Goods,
    Merchant,
    MerchantResponse,
    Order,
    Payment,
    Terms,
)
from app.store.case_rows import EvidenceRow, FileRow, OnFile
from app.store.record_rows import DeliveryRow, HeldPayment, MerchantRow, OrderRow, PaymentRow

_FACTS: Final = TypeAdapter(Facts)
_CLAIM: Final = TypeAdapter(Claim)
_PIECE: Final = tuple(field.name for field in fields(Evidence))


@dataclass(frozen=True, slots=True)
class PutForward:
    """A piece of evidence as a party puts it forward, with the file that is to follow, if any."""

    piece: Evidence
    file: FileRow | None = None

    def row(self, *, reused: bool) -> EvidenceRow:
        """As it is stored. Whether the file was used before is the service's own finding."""
        return replace(evidence_row(replace(self.piece, reused=reused)), file=self.file)


def facts_of(
    claim: Claim,
    evidence: Iterable[Evidence],
    on_file: OnFile,
    *,
    response: MerchantResponse | None = None,
    course: Course | None = None,
) -> Facts:
    """Everything that is known about a claim, judged at the database's own time."""
    return Facts(
        as_of=on_file.now,
        claim=claim,
        order=None if on_file.order is None else order_fact(on_file.order),
        payments=tuple(payment_fact(row) for row in on_file.payments),
        deliveries=tuple(delivery_fact(row) for row in on_file.deliveries),
        evidence=tuple(evidence),
        merchant=_merchant(on_file, response),
        buyer=Buyer(on_file.strikes),
        course=course,
    )


def _merchant(on_file: OnFile, response: MerchantResponse | None) -> Merchant | None:
    """A merchant that answered is somebody, even if the site never told of it."""
    if on_file.merchant is not None:
        return replace(merchant_fact(on_file.merchant), response=response)
    if response is None or on_file.order is None:
        return None
    return Merchant(on_file.order.merchant_id, response=response)


def facts_from(text: str) -> Facts:
    """The facts of a stored decision, from their canonical text."""
    return _FACTS.validate_json(text)


def claim_document(claim: Claim) -> dict[str, Any]:
    """A claim as it was filed, and as it is shown."""
    contact = claim.first_contact_at
    return {
        "reason": claim.reason.value,
        "remedy": claim.remedy.value,
        "amount": claim.amount,
        "filed_at": instant(claim.filed_at),
        "first_contact_at": None if contact is None else instant(contact),
        "via": claim.via.value,
        "description": claim.description,
    }


def claim_from(document: Mapping[str, Any]) -> Claim:
    """A claim as it was filed, from what is stored of it."""
    return _CLAIM.validate_python(document)


def order_fact(row: OrderRow) -> Order:
    """An order as the rules know it."""
    goods = Goods(
        sku=row.sku,
        name=row.goods_name,
        kind=row.goods_kind,
        delivery_mode=row.delivery_mode,
        promised_at=row.promised_at,
        card_use=row.card_use,
        face_value=row.face_value,
        traits=frozenset(row.traits),
        terms=Terms(row.report_window, row.refundable),
    )
    return Order(
        order_no=row.order_no,
        merchant_id=row.merchant_id,
        buyer_id=row.buyer_id,
        amount=row.amount,
        currency=row.currency,
        status=row.status,
        placed_at=row.placed_at,
        goods=goods,
        cancelled_by=row.cancelled_by,
        cancelled_at=row.cancelled_at,
    )


def order_row(order: Order) -> OrderRow:
    """An order as it is stored."""
    goods = order.goods
    return OrderRow(
        order_no=order.order_no,
        merchant_id=order.merchant_id,
        buyer_id=order.buyer_id,
        amount=order.amount,
        currency=order.currency,
        status=order.status,
        placed_at=order.placed_at,
        sku=goods.sku,
        goods_name=goods.name,
        goods_kind=goods.kind,
        delivery_mode=goods.delivery_mode,
        cancelled_by=order.cancelled_by,
        cancelled_at=order.cancelled_at,
        promised_at=goods.promised_at,
        card_use=goods.card_use,
        face_value=goods.face_value,
        traits=tuple(sorted(goods.traits)),
        report_window=goods.terms.report_window,
        refundable=goods.terms.refundable,
    )


def payment_fact(row: HeldPayment) -> Payment:
    """A payment as the rules know it: what is promised to go back counts as gone."""
    return Payment(
        payment_no=row.payment_no,
        channel=row.channel,
        status=row.status,
        amount=row.amount,
        paid_at=row.paid_at,
        order_no=row.order_no,
        refunded_amount=row.gone,
    )


def payment_row(payment: Payment) -> PaymentRow:
    """A payment as it is stored."""
    return PaymentRow(
        payment_no=payment.payment_no,
        channel=payment.channel,
        status=payment.status,
        amount=payment.amount,
        paid_at=payment.paid_at,
        order_no=payment.order_no,
        refunded_amount=payment.refunded_amount,
    )


def delivery_fact(row: DeliveryRow) -> Delivery:
    """A delivery as the rules know it."""
    return Delivery(
        delivery_no=row.delivery_no,
        delivered_at=row.delivered_at,
        face_value=row.face_value,
        recipient=row.recipient,
        usage=row.usage,
        used_at=row.used_at,
        used_by=row.used_by,
        card_status=row.card_status,
        times_sold=row.times_sold,
    )


def delivery_row(delivery: Delivery, order_no: str, card_fingerprint: str | None) -> DeliveryRow:
    """A delivery as it is stored."""
    return DeliveryRow(
        delivery_no=delivery.delivery_no,
        order_no=order_no,
        delivered_at=delivery.delivered_at,
        face_value=delivery.face_value,
        recipient=delivery.recipient,
        usage=delivery.usage,
        used_at=delivery.used_at,
        used_by=delivery.used_by,
        card_status=delivery.card_status,
        times_sold=delivery.times_sold,
        card_fingerprint=card_fingerprint,
    )


def merchant_fact(row: MerchantRow) -> Merchant:
    """A merchant as the rules know it."""
    return Merchant(row.merchant_id, row.status, row.identity_verified, row.deposit)


def merchant_row(merchant: Merchant) -> MerchantRow:
    """A merchant as it is stored; its answer belongs to a case, not to the record."""
    return MerchantRow(merchant.merchant_id, merchant.status, merchant.identity_verified, merchant.deposit)


def evidence_row(piece: Evidence) -> EvidenceRow:
    """A piece of evidence as it is stored."""
    return EvidenceRow(**{name: getattr(piece, name) for name in _PIECE})


def evidence_fact(row: EvidenceRow) -> Evidence:
    """A piece of evidence as the rules know it."""
    return Evidence(**{name: getattr(row, name) for name in _PIECE})
