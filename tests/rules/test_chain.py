"""The evidence chain: what stands in each link, what completes it, and what is said of its gap."""

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import event, given

from app.rules.chain import Link, chain_document, evidence_chain, outside_the_chain
from app.rules.chain_entries import BESIDE, LINK_OF, Entry
from app.rules.chain_words import LinkName, Record
from app.rules.decision import instant
from app.rules.facts import (
    ChatChannel,
    DeliveryMode,
    EvidenceKind,
    Facts,
    MerchantResponse,
    Party,
    PaymentStatus,
    Position,
    Reason,
    Usage,
)
from app.rules.policy import Policy
from app.rules.presets import PRESETS
from app.rules.standing import Standing, read_standing
from app.rules.weighing import Discount
from tests.rules.building import (
    AS_OF,
    DELIVERED_AT,
    FILED_AT,
    PAID_AT,
    PLACED_AT,
    a_claim,
    a_delivery,
    a_merchant,
    a_payment,
    a_piece,
    an_order,
    facts,
)
from tests.rules.strategies import POLICIES
from tests.rules.strategies import facts as drawn_facts
from tests.rules.test_properties import REASONS, readable, steady

STANDARD = PRESETS["standard"]
A_MOMENT = timedelta(microseconds=1)
DUE_AT = PAID_AT + timedelta(minutes=5)
PLACES = {
    LinkName.PAYMENT: {"payment_proof", "bank_statement", "failure_page", "network_log", "merchant_statement"},
    LinkName.CONFIRMATION: {"order_record", "listing_snapshot", "operation_record"},
    LinkName.DELIVERY: {
        "delivery_anomaly",
        "error_screenshot",
        "received_proof",
        "third_party_statement",
        "screen_recording",
    },
}
COMPLETING = {
    *("payment_proof", "bank_statement", "order_record", "delivery_anomaly", "error_screenshot", "received_proof"),
    *("third_party_statement", "screen_recording", "chat_log"),
}
NOTHING = facts(order=None, payments=(), evidence=(), merchant=None)


def standing(drawn: Facts, policy: Policy = STANDARD) -> Standing:
    return read_standing(drawn, policy)


def chain(drawn: Facts) -> dict[LinkName, Link]:
    return {link.name: link for link in evidence_chain(standing(drawn))}


def said(link: Link) -> list[tuple[str, bool]]:
    return [(entry.what.value, entry.completes) for entry in link.entries]


def gaps(drawn: Facts) -> set[LinkName]:
    return {name for name, link in chain(drawn).items() if link.gap is not None}


def test_the_dull_claim_has_a_whole_chain() -> None:
    links = chain(facts(evidence=(a_piece(EvidenceKind.CHAT_LOG, captured_at=FILED_AT),)))
    assert list(links) == [LinkName.PAYMENT, LinkName.CONFIRMATION, LinkName.DELIVERY, LinkName.NEGOTIATION]
    assert {name: said(link) for name, link in links.items()} == {
        LinkName.PAYMENT: [("payment", True)],
        LinkName.CONFIRMATION: [("order", True)],
        LinkName.DELIVERY: [("nothing_delivered", True)],
        LinkName.NEGOTIATION: [("chat_log", True)],
    }
    assert [link.entries[0].at for link in links.values()] == [PAID_AT, PLACED_AT, DUE_AT, FILED_AT]
    assert [link.entries[0].ref for link in links.values()] == ["T-1", "K-1", None, None]
    assert [link.gap for link in links.values()] == [None] * 4


def test_a_claim_of_which_nothing_is_known_has_four_gaps_that_say_what_would_close_them() -> None:
    links = chain(NOTHING)
    assert gaps(NOTHING) == set(LinkName)
    assert all(link.entries == () for link in links.values())
    closed_by = {
        LinkName.PAYMENT: ("支付凭证", "proof of payment"),
        LinkName.CONFIRMATION: ("订单截图", "screenshot of the order"),
        LinkName.DELIVERY: ("第三方佐证", "third party's statement"),
        LinkName.NEGOTIATION: ("站内沟通记录", "chat on the site"),
    }
    for name, (zh, en) in closed_by.items():
        gap = links[name].gap
        assert gap is not None
        assert zh in gap[0]
        assert en in gap[1]


# --- payment


@pytest.mark.parametrize("status", PaymentStatus)
@pytest.mark.parametrize("order_no", ["K-1", "K-2", None])
def test_a_payment_on_record(status: PaymentStatus, order_no: str | None) -> None:
    link = chain(facts(payments=(a_payment(status=status, order_no=order_no),)))[LinkName.PAYMENT]
    completes = status is PaymentStatus.SUCCEEDED and order_no != "K-2"
    assert said(link) == [("payment", completes)]
    assert (link.gap is None) is completes
    assert ("names another order" in link.entries[0].en) is (order_no == "K-2")
    assert ("属于其他订单" in link.entries[0].zh) is (order_no == "K-2")


def test_a_payment_is_told_with_its_number_and_amount() -> None:
    [entry] = chain(facts())[LinkName.PAYMENT].entries
    assert (entry.zh, entry.en) == ("支付 T-1：99.00 元，成功", "Payment T-1 of CNY 99.00 succeeded")


# --- delivery


def test_a_delivery_on_record_stands_where_the_due_moment_would() -> None:
    link = chain(facts(deliveries=(a_delivery(usage=Usage.CONSUMED),)))[LinkName.DELIVERY]
    assert said(link) == [("delivery", True)]
    assert (link.entries[0].at, link.entries[0].ref) == (DELIVERED_AT, "D-1")
    assert (link.entries[0].zh, link.entries[0].en) == ("发货 D-1（已消耗）", "Delivery D-1 (consumed)")


@pytest.mark.parametrize("delivered_at", [None, AS_OF + A_MOMENT])
def test_a_delivery_still_to_come_is_none(delivered_at: datetime | None) -> None:
    link = chain(facts(deliveries=(a_delivery(delivered_at=delivered_at),)))[LinkName.DELIVERY]
    assert said(link) == [("nothing_delivered", True)]


@pytest.mark.parametrize(("before", "whole"), [(timedelta(0), True), (A_MOMENT, False)])
def test_nothing_delivered_is_a_fact_from_the_due_moment_on(before: timedelta, whole: bool) -> None:
    early = facts(as_of=DUE_AT - before, claim=a_claim(filed_at=PAID_AT))
    link = chain(early)[LinkName.DELIVERY]
    assert said(link) == [("nothing_delivered", True)] * whole
    assert (link.gap is None) is whole
    if link.gap is not None:
        assert "2026-04-13 09:05:20" in link.gap[0]
        assert "2026-04-13 09:05:20" in link.gap[1]


def test_without_a_payment_it_is_not_known_when_delivery_was_due() -> None:
    link = chain(facts(payments=()))[LinkName.DELIVERY]
    assert link.entries == ()
    assert link.gap is not None
    assert "应发货时间也不明" in link.gap[0]
    assert "nor is it known" in link.gap[1]


# --- confirmation and negotiation


def test_a_chat_from_before_there_was_trouble_confirms_and_a_later_one_negotiates() -> None:
    def place(captured_at: datetime, **changes: Any) -> LinkName:
        drawn = facts(evidence=(a_piece(EvidenceKind.CHAT_LOG, captured_at=captured_at),), **changes)
        [name] = [name for name, link in chain(drawn).items() if any(entry.piece == 0 for entry in link.entries)]
        return name

    goods = {"delivery_mode": DeliveryMode.SCHEDULED}
    contact = {"claim": a_claim(first_contact_at=DUE_AT - A_MOMENT)}
    assert place(DUE_AT - A_MOMENT) is LinkName.CONFIRMATION
    assert place(DUE_AT) is LinkName.NEGOTIATION
    assert place(FILED_AT - A_MOMENT, order=an_order(goods=goods)) is LinkName.CONFIRMATION
    assert place(FILED_AT, order=an_order(goods=goods)) is LinkName.NEGOTIATION
    assert place(DELIVERED_AT - A_MOMENT, deliveries=(a_delivery(),)) is LinkName.CONFIRMATION
    assert place(DELIVERED_AT, deliveries=(a_delivery(),)) is LinkName.NEGOTIATION
    assert place(DUE_AT - A_MOMENT, **contact) is LinkName.NEGOTIATION


def test_an_order_that_nobody_recorded_may_be_shown_by_a_piece() -> None:
    missing = replace(NOTHING, claim=a_claim(Reason.CHARGED_WITHOUT_ORDER))
    for kind, at in ((EvidenceKind.ORDER_RECORD, FILED_AT), (EvidenceKind.CHAT_LOG, PLACED_AT)):
        shown = replace(missing, evidence=(a_piece(kind, captured_at=at),))
        assert gaps(missing) - gaps(shown) == {LinkName.CONFIRMATION}
    later = replace(missing, evidence=(a_piece(EvidenceKind.CHAT_LOG, captured_at=FILED_AT),))
    assert gaps(missing) - gaps(later) == {LinkName.NEGOTIATION}


@pytest.mark.parametrize("position", Position)
def test_an_answer_of_the_merchants_is_negotiation(position: Position) -> None:
    for at, known in ((AS_OF, True), (AS_OF + A_MOMENT, False)):
        drawn = facts(evidence=(), merchant=a_merchant(response=MerchantResponse(position, at)))
        link = chain(drawn)[LinkName.NEGOTIATION]
        assert said(link) == [("merchant_answer", True)] * known
        assert (link.gap is None) is known


def test_a_first_contact_is_negotiation() -> None:
    for at, known in ((AS_OF, True), (AS_OF + A_MOMENT, False)):
        link = chain(facts(evidence=(), claim=a_claim(first_contact_at=at)))[LinkName.NEGOTIATION]
        assert said(link) == [("first_contact", True)] * known
        assert (link.gap is None) is known


# --- pieces


@pytest.mark.parametrize("kind", sorted(set(EvidenceKind) - {EvidenceKind.CHAT_LOG}))
def test_a_piece_of_each_kind_has_its_place(kind: EvidenceKind) -> None:
    drawn = replace(NOTHING, evidence=(a_piece(kind, party=Party.MERCHANT),))
    links, outside = chain(drawn), outside_the_chain(standing(drawn))
    of = {name for name, link in links.items() if link.entries}
    assert of == {name for name, placed in PLACES.items() if kind in placed}
    assert gaps(NOTHING) - gaps(drawn) == (of if kind in COMPLETING else set())
    assert [entry.what for entry in outside] == ([] if of else [kind])
    [entry] = [*outside, *(entry for link in links.values() for entry in link.entries)]
    assert (entry.piece, entry.discount, entry.ref) == (0, None, None)
    assert entry.completes is (kind in COMPLETING)
    assert entry.zh.startswith("商家提交的")
    assert "put forward by the merchant" in entry.en


def test_every_kind_is_placed_or_left_outside() -> None:
    left = set(EvidenceKind) - LINK_OF.keys() - {EvidenceKind.CHAT_LOG}
    assert left == {EvidenceKind.NOTARISED_RECORD, EvidenceKind.OTHER}
    assert LINK_OF.keys() >= BESIDE
    assert {
        name.value: {kind.value for kind in LINK_OF if LINK_OF[kind] is name} for name in LINK_OF.values()
    } == PLACES


def test_a_piece_that_does_not_count_is_shown_with_its_reason_and_leaves_the_gap() -> None:
    private = a_piece(EvidenceKind.CHAT_LOG, channel=ChatChannel.OFF_PLATFORM, captured_at=FILED_AT)
    pasted = a_piece(EvidenceKind.PAYMENT_PROOF, composite=True)
    drawn = facts(payments=(), evidence=(private, pasted))
    links = chain(drawn)
    [chat], [proof] = links[LinkName.NEGOTIATION].entries, links[LinkName.PAYMENT].entries
    assert (chat.discount, chat.completes, chat.piece) == (Discount.PRIVATE_CHAT, False, 0)
    assert (proof.discount, proof.completes, proof.piece) == (Discount.COMPOSITE, False, 1)
    assert chat.zh.endswith("不计入：不是站内沟通记录")
    assert chat.en.endswith("not counted: it is not a chat on the site")
    assert {LinkName.NEGOTIATION, LinkName.PAYMENT} <= gaps(drawn)


def test_a_piece_without_a_link_says_why() -> None:
    again = a_piece(EvidenceKind.NOTARISED_RECORD, reused=True)
    [entry] = outside_the_chain(standing(facts(evidence=(again,))))
    assert (entry.discount, entry.completes) == (Discount.REUSED, False)
    assert "仅凭类型无法判断属于哪个环节；不计入：" in entry.zh
    assert "its kind does not tell which link it belongs to; not counted: " in entry.en


def test_entries_at_one_moment_have_one_order() -> None:
    both = (a_payment("T-2"), a_payment("T-1"))
    proof = a_piece(EvidenceKind.PAYMENT_PROOF, captured_at=PAID_AT)
    for paid in permutations(both):
        entries = chain(facts(payments=paid, evidence=(proof,)))[LinkName.PAYMENT].entries
        assert [(entry.ref, entry.piece) for entry in entries] == [("T-1", None), ("T-2", None), (None, 0)]


# --- the document


def test_the_document_is_plain() -> None:
    private = a_piece(EvidenceKind.CHAT_LOG, channel=None, captured_at=FILED_AT)
    links = evidence_chain(standing(facts(evidence=(private,))))
    document = json.loads(json.dumps(chain_document(links), ensure_ascii=False))
    assert [each["link"] for each in document] == ["payment", "confirmation", "delivery", "negotiation"]
    assert [each["title"] for each in document] == ["支付", "确认", "交付", "协商"]
    assert document[0] == {
        "link": "payment",
        "title": "支付",
        "title_en": "payment",
        "entries": [
            {
                "at": "2026-04-13T09:00:20+08:00",
                "what": "payment",
                "ref": "T-1",
                "piece": None,
                "completes": True,
                "discount": None,
                "message": "支付 T-1：99.00 元，成功",
                "message_en": "Payment T-1 of CNY 99.00 succeeded",
            }
        ],
        "gap": None,
    }
    last = document[3]
    assert last["entries"][0]["discount"] == "private_chat"
    assert last["entries"][0]["at"] == instant(FILED_AT)
    assert set(last["gap"]) == {"message", "message_en"}


# --- what holds for all


def every_entry(seen: Standing) -> list[Entry]:
    return [*(entry for link in evidence_chain(seen) for entry in link.entries), *outside_the_chain(seen)]


@steady
@given(drawn_facts(REASONS), POLICIES)
def test_every_piece_stands_in_one_place_and_what_does_not_count_says_why(drawn: Facts, policy: Policy) -> None:
    seen = standing(drawn, policy)
    pieces = {entry.piece: entry for entry in every_entry(seen) if entry.piece is not None}
    assert Counter(entry.piece for entry in every_entry(seen) if entry.piece is not None) == Counter(
        range(len(drawn.evidence))
    )
    reasons = {each.index: each.reason for each in seen.discounted}
    for index, entry in pieces.items():
        assert entry.what is drawn.evidence[index].kind
        assert entry.at == drawn.evidence[index].captured_at
        assert entry.discount is reasons.get(index)
        assert not (entry.completes and entry.discount is not None)


@steady
@given(drawn_facts(REASONS), POLICIES)
def test_a_link_has_a_gap_exactly_where_nothing_completes_it(drawn: Facts, policy: Policy) -> None:
    seen = standing(drawn, policy)
    links = evidence_chain(seen)
    event(f"{sum(link.gap is not None for link in links)} gaps")
    assert [link.name for link in links] == list(LinkName)
    for link in links:
        assert (link.gap is None) is any(entry.completes for entry in link.entries)
        assert list(link.entries) == sorted(link.entries, key=lambda entry: entry.at)
        assert link.gap is None or all(map(readable, link.gap))
        assert all(readable(entry.zh) and readable(entry.en) for entry in link.entries)


@steady
@given(drawn_facts(REASONS), POLICIES)
def test_every_record_that_is_known_stands_in_the_chain_once(drawn: Facts, policy: Policy) -> None:
    seen = standing(drawn, policy)
    refs = Counter((entry.what, entry.ref) for entry in every_entry(seen) if entry.ref is not None)
    known = [(Record.PAYMENT, each.payment_no) for each in drawn.payments]
    known += [(Record.DELIVERY, each.delivery_no) for each in seen.delivered]
    known += [] if drawn.order is None else [(Record.ORDER, drawn.order.order_no)]
    assert refs == Counter(known)
    whole = {link.name for link in evidence_chain(seen) if link.gap is None}
    assert (LinkName.PAYMENT in whole) >= bool(seen.succeeded)
    assert (LinkName.CONFIRMATION in whole) >= (drawn.order is not None)
    assert (LinkName.DELIVERY in whole) >= (bool(seen.delivered) or seen.is_due)


@steady
@given(drawn_facts(REASONS), POLICIES)
def test_a_piece_more_opens_no_gap(drawn: Facts, policy: Policy) -> None:
    before = evidence_chain(standing(drawn, policy))
    for kind in EvidenceKind:
        more = replace(drawn, evidence=(*drawn.evidence, a_piece(kind, captured_at=drawn.as_of)))
        after = evidence_chain(standing(more, policy))
        closed = [old.name for old, new in zip(before, after, strict=True) if old.gap != new.gap]
        assert all(new.gap is None or new.gap == old.gap for old, new in zip(before, after, strict=True))
        assert len(closed) <= 1
