"""The only bridge between rows and facts."""

from collections.abc import Iterable

from app.rules.facts import Buyer, Claim, Delivery, Evidence, Facts, Goods, Merchant, Order, Payment, Terms
from app.store.case_rows import EvidenceRow, OnFile
from app.store.record_rows import DeliveryRow, HeldPayment, MerchantRow, OrderRow, PaymentRow


def facts_of(claim: Claim, evidence: Iterable[Evidence], on_file: OnFile) -> Facts:
    """Everything that is known about a claim, judged at the database's own time."""
    return Facts(
        as_of=on_file.now,
        claim=claim,
        order=None if on_file.order is None else order_fact(on_file.order),
        payments=tuple(payment_fact(row) for row in on_file.payments),
        deliveries=tuple(delivery_fact(row) for row in on_file.deliveries),
        evidence=tuple(evidence),
        merchant=None if on_file.merchant is None else merchant_fact(on_file.merchant),
        # A strike is recorded by what was seen in earlier cases; nothing records any yet.
        buyer=Buyer(),
    )


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
        refunded_amount=row.refunded_amount + row.reserved_amount,
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
    return EvidenceRow(
        kind=piece.kind,
        party=piece.party,
        captured_at=piece.captured_at,
        order_no=piece.order_no,
        channel=piece.channel,
        composite=piece.composite,
        stamped=piece.stamped,
        reused=piece.reused,
        sha256=piece.sha256,
        supports=piece.supports,
    )
