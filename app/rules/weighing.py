"""Which pieces of evidence count. One that does not is reported with its reason, never silently dropped."""

from dataclasses import dataclass
from enum import StrEnum

from app.rules.facts import ChatChannel, Evidence, EvidenceKind, Facts


class Discount(StrEnum):
    """不计入的原因: why a piece does not count."""

    OTHER_ORDER = "other_order"
    BEFORE_ORDER = "captured_before_order"
    AFTER_AS_OF = "captured_after_as_of"
    PRIVATE_CHAT = "private_chat"
    COMPOSITE = "composite"
    NOT_STAMPED = "not_stamped"
    REUSED = "reused"


@dataclass(frozen=True, slots=True)
class Discounted:
    """A piece that does not count: its place in the list as sent (from 0), and why."""

    index: int
    kind: EvidenceKind
    reason: Discount


def weigh_evidence(facts: Facts) -> tuple[tuple[Evidence, ...], tuple[Discounted, ...]]:
    """The pieces that count, and the others with the first reason that tells against each."""
    counting: list[Evidence] = []
    discounted: list[Discounted] = []
    for index, piece in enumerate(facts.evidence):
        reason = _discount(piece, facts)
        if reason is None:
            counting.append(piece)
        else:
            discounted.append(Discounted(index, piece.kind, reason))
    return tuple(counting), tuple(discounted)


def _discount(piece: Evidence, facts: Facts) -> Discount | None:
    if facts.order is not None:
        if piece.order_no is not None and piece.order_no != facts.order.order_no:
            return Discount.OTHER_ORDER
        if piece.captured_at < facts.order.placed_at:
            return Discount.BEFORE_ORDER
    if piece.captured_at > facts.as_of:
        return Discount.AFTER_AS_OF
    return _discount_by_kind(piece) or (Discount.REUSED if piece.reused else None)


def _discount_by_kind(piece: Evidence) -> Discount | None:
    match piece.kind:
        case EvidenceKind.CHAT_LOG if piece.channel is not ChatChannel.IN_PLATFORM:
            return Discount.PRIVATE_CHAT
        case EvidenceKind.PAYMENT_PROOF if piece.composite:
            return Discount.COMPOSITE
        case EvidenceKind.MERCHANT_STATEMENT if not piece.stamped:
            return Discount.NOT_STAMPED
        case _:
            return None
