"""What stands in the evidence chain: the site's records and the pieces put forward, each with its link."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from app.rules.chain_words import (
    FIRST_CONTACT,
    NO_LINK,
    LinkName,
    Record,
    answer_words,
    delivery_words,
    discount_words,
    nothing_delivered_words,
    order_words,
    payment_words,
    piece_words,
)
from app.rules.facts import Evidence, EvidenceKind, PaymentStatus
from app.rules.labels import Words
from app.rules.standing import Standing
from app.rules.weighing import Discount

# Which link a piece belongs to by its kind. A chat belongs to one of two by its time, and a kind that is not named here
# to none: a notarised record may be of anything.
LINK_OF: Mapping[EvidenceKind, LinkName] = MappingProxyType(
    {
        EvidenceKind.PAYMENT_PROOF: LinkName.PAYMENT,
        EvidenceKind.BANK_STATEMENT: LinkName.PAYMENT,
        EvidenceKind.FAILURE_PAGE: LinkName.PAYMENT,
        EvidenceKind.NETWORK_LOG: LinkName.PAYMENT,
        EvidenceKind.MERCHANT_STATEMENT: LinkName.PAYMENT,
        EvidenceKind.ORDER_RECORD: LinkName.CONFIRMATION,
        EvidenceKind.LISTING_SNAPSHOT: LinkName.CONFIRMATION,
        EvidenceKind.OPERATION_RECORD: LinkName.CONFIRMATION,
        EvidenceKind.DELIVERY_ANOMALY: LinkName.DELIVERY,
        EvidenceKind.ERROR_SCREENSHOT: LinkName.DELIVERY,
        EvidenceKind.RECEIVED_PROOF: LinkName.DELIVERY,
        EvidenceKind.THIRD_PARTY_STATEMENT: LinkName.DELIVERY,
        EvidenceKind.SCREEN_RECORDING: LinkName.DELIVERY,
    }
)
# Pieces that go with their link without showing it: a failure page does not show that money was taken.
BESIDE = frozenset(
    {
        EvidenceKind.FAILURE_PAGE,
        EvidenceKind.NETWORK_LOG,
        EvidenceKind.MERCHANT_STATEMENT,
        EvidenceKind.LISTING_SNAPSHOT,
        EvidenceKind.OPERATION_RECORD,
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that is known: a record of the site's, or a piece of evidence.

    `ref` is the record's own number; `piece` the place in the facts' list of evidence, from 0. `completes`: its link
    needs nothing else.
    """

    at: datetime
    what: Record | EvidenceKind
    completes: bool
    zh: str
    en: str
    ref: str | None = None
    piece: int | None = None
    discount: Discount | None = None


def record_entries(standing: Standing) -> Iterator[tuple[LinkName, Entry]]:
    """What the site itself knows, with the link that each record belongs to."""
    yield from ((LinkName.PAYMENT, entry) for entry in _payments(standing))
    order = standing.order
    if order is not None:
        placed = _record(Record.ORDER, order.placed_at, order_words(order), order.order_no)
        yield LinkName.CONFIRMATION, placed
    yield from ((LinkName.DELIVERY, entry) for entry in _deliveries(standing))
    yield from ((LinkName.NEGOTIATION, entry) for entry in _negotiations(standing))


def _record(what: Record, at: datetime, words: Words, ref: str | None = None, *, completes: bool = True) -> Entry:
    zh, en = words
    return Entry(at, what, completes, zh, en, ref)


def _payments(standing: Standing) -> Iterator[Entry]:
    """Every payment that the site recorded; those that succeeded for this order count."""
    for payment in standing.facts.payments:
        is_foreign = payment in standing.foreign
        completes = payment.status is PaymentStatus.SUCCEEDED and not is_foreign
        words = payment_words(payment, is_foreign=is_foreign)
        yield _record(Record.PAYMENT, payment.paid_at, words, payment.payment_no, completes=completes)


def _deliveries(standing: Standing) -> Iterator[Entry]:
    """What was delivered; else that the promised time came and nothing was, which is a fact as well."""
    for delivery in standing.delivered:
        assert delivery.delivered_at is not None
        yield _record(Record.DELIVERY, delivery.delivered_at, delivery_words(delivery), delivery.delivery_no)
    if not standing.delivered and standing.due_at is not None and standing.is_due:
        yield _record(Record.NOTHING_DELIVERED, standing.due_at, nothing_delivered_words(standing.as_of))


def _negotiations(standing: Standing) -> Iterator[Entry]:
    first_contact_at, merchant = standing.claim.first_contact_at, standing.facts.merchant
    if first_contact_at is not None and first_contact_at <= standing.as_of:
        yield _record(Record.FIRST_CONTACT, first_contact_at, FIRST_CONTACT)
    answer = None if merchant is None else merchant.response
    if answer is not None and answer.at <= standing.as_of:
        yield _record(Record.MERCHANT_ANSWER, answer.at, answer_words(answer.position))


def piece_entries(standing: Standing) -> Iterator[tuple[LinkName | None, Entry]]:
    """Every piece put forward, counted or not, with its link; None where its kind does not tell."""
    discounts = {each.index: each.reason for each in standing.discounted}
    trouble_at = _trouble_at(standing)
    for index, piece in enumerate(standing.facts.evidence):
        name, discount = _link_of(piece, trouble_at), discounts.get(index)
        remarks = [] if discount is None else [discount_words(discount)]
        zh, en = piece_words(piece, [*([NO_LINK] if name is None else []), *remarks])
        completes = name is not None and discount is None and piece.kind not in BESIDE
        yield name, Entry(piece.captured_at, piece.kind, completes, zh, en, piece=index, discount=discount)


def _link_of(piece: Evidence, trouble_at: datetime) -> LinkName | None:
    """What was said before there was trouble confirms the order; from then on it is negotiation."""
    if piece.kind is EvidenceKind.CHAT_LOG:
        return LinkName.CONFIRMATION if piece.captured_at < trouble_at else LinkName.NEGOTIATION
    return LINK_OF.get(piece.kind)


def _trouble_at(standing: Standing) -> datetime:
    """The earliest moment there can have been something to settle: goods came or were due, or the buyer complained."""
    claim = standing.claim
    moments = [claim.filed_at, claim.first_contact_at, standing.due_at]
    moments += [delivery.delivered_at for delivery in standing.delivered]
    return min(moment for moment in moments if moment is not None)
