"""What we say of money, held against the money: reserved, paid, found, overdrawn, and taken from deposits."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.models.deposits import ACCOUNTS
from app.rules.facts import Channel
from tests.settling.books import Books, Row
from tests.settling.cashier import Cashier
from tests.settling.gateways import Gateways

V1: Final = Channel.UNIONPAY
WITH_BILLS: Final = frozenset({Channel.WECHAT_PAY, Channel.ALIPAY})


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened: at the channels, and to other accounts. `closings`: by people, for each refund."""

    gateways: Gateways
    cashier: Cashier
    closings: Counter[UUID]

    def payouts(self, payment: Row) -> list[tuple[str, int]]:
        """What went back over a payment by our doing, each with its number; what V1 did, which knows none, as one."""
        number, channel, gateways = payment["payment_no"], Channel(payment["channel"]), self.gateways
        elsewhere = [(each.refund_no or "", each.amount) for each in self.cashier.paid.get(number, ())]
        if channel is V1:
            total = gateways.paid_out(channel, number) - gateways.by_hand.get(number, 0)
            return [("", total), *elsewhere] if total else elsewhere
        ours = [(each.refund_no, each.amount) for each in gateways.paid(channel, number) if each.refund_no]
        return [*ours, *elsewhere]

    def paid_at(self, books: Books) -> dict[str, datetime]:
        """When money began to go back, by number."""
        told = [(Channel(row["channel"]), row["payment_no"]) for row in books.payments]
        paid = [each for channel, number in told for each in self.gateways.paid(channel, number)]
        elsewhere = [each for of_payment in self.cashier.paid.values() for each in of_payment]
        return {each.refund_no: each.at for each in (*paid, *elsewhere) if each.refund_no}


def of_payments(books: Books, truth: Truth) -> Iterator[str]:
    """What is reserved, found and overdrawn; no more ever goes back by us than was paid."""
    for payment in books.payments:
        number, amount, rows = payment["payment_no"], payment["amount"], books.over(payment["payment_no"])
        reserved = sum(row["amount"] for row in rows if row["state"] != "closed")
        if payment["reserved_amount"] != reserved:
            yield f"{number}: {payment['reserved_amount']} reserved, {reserved} promised"
        if reserved > amount:
            yield f"{number}: more was promised than was paid"
        if truth.gateways.paid_out(Channel(payment["channel"]), number) > amount:
            yield f"{number}: more went back than was paid"
        if sum(fen for _, fen in truth.payouts(payment)) > amount:
            yield f"{number}: we paid more back than was paid"
        by_hand, late = truth.gateways.by_hand.get(number, 0), sum(_paid_after_all(rows, truth.payouts(payment)))
        if payment["found_amount"] > by_hand + late:
            yield f"{number}: {payment['found_amount']} found, others paid {by_hand}"
        gone = max(payment["refunded_amount"], payment["found_amount"]) + payment["reserved_amount"]
        if payment["overdrawn_amount"] != max(0, gone - amount):
            yield f"{number}: overdrawn by {payment['overdrawn_amount']}"


def _paid_after_all(rows: Sequence[Row], paid: Sequence[tuple[str, int]]) -> Iterator[int]:
    """What was paid, in fen, of refunds that had been closed."""
    closed = {row["refund_no"] for row in rows if row["state"] == "closed"}
    return (fen for refund_no, fen in paid if refund_no in closed)


def of_refunds(books: Books, truth: Truth) -> Iterator[str]:
    """No success without the money, no money under another number or of another amount, and none of it twice."""
    for payment in books.payments:
        number, rows, paid = payment["payment_no"], books.over(payment["payment_no"]), truth.payouts(payment)
        settled, back = sum(row["amount"] for row in rows if row["state"] == "succeeded"), sum(fen for _, fen in paid)
        if settled > back:
            yield f"{number}: {settled} said to be back, {back} are"
        chains, amounts = _chains(rows), {row["refund_no"]: row["amount"] for row in rows}
        if back > sum(max(amounts[each] for each in chain) for chain in chains):
            yield f"{number}: {back} went back, which nobody was promised"
        counted = Counter(refund_no for refund_no, _ in paid)
        twice = [sorted(chain) for chain in chains if sum(counted[each] for each in chain) > 1]
        yield from (f"{number}: {chain} paid twice" for chain in twice)
        others = [each for each in paid if each[0] and amounts.get(each[0]) != each[1]]
        yield from (f"{number}: {fen} paid under {refund_no}" for refund_no, fen in others)
        back_by_word = {row["refund_no"] for row in rows if row["state"] == "succeeded"} - counted.keys()
        if payment["channel"] != V1:
            yield from (f"{number}: {refund_no} said to be back, and is not" for refund_no in back_by_word)


def _chains(rows: Sequence[Row]) -> list[set[str]]:
    """The numbers of refunds that took each other's place."""
    first: dict[Any, Any] = {}
    chains: defaultdict[Any, set[str]] = defaultdict(set)
    for row in rows:
        first[row["refund_id"]] = first.get(row["replaces"], row["refund_id"])
        chains[first[row["refund_id"]]].add(row["refund_no"])
    return list(chains.values())


def of_deposits(books: Books) -> Iterator[str]:
    """Accounts are the sum of their entries; of a deposit is taken what is promised by it, once and no more."""
    for account in books.accounts:
        entries = [each for each in books.entries if each["merchant_id"] == account["merchant_id"]]
        for name in ACCOUNTS:
            total = sum(each[name] for each in entries)
            if account[name] != total:
                yield f"{account['merchant_id']}: {account[name]} in {name}, entries come to {total}"
    for case in books.cases:
        taken = sum(each["refunds"] for each in books.entries if each["case_id"] == case["case_id"])
        promised = sum(row["amount"] for row in books.of(case) if row["state"] != "closed")
        expected = promised if case["funding"] == "deposit" else 0
        if taken != expected:
            yield f"case {case['case_id']}: {taken} taken from the deposit, {expected} promised"


def unpaid(books: Books, truth: Truth) -> Iterator[str]:
    """In the end what went back is what we say, unless a person looks.

    That is so at V1, which cannot tell whose it was, and of what was closed by hand while a worker that slept was about
    to ask for it.
    """
    for payment in books.payments:
        number, rows = payment["payment_no"], books.over(payment["payment_no"])
        paid = sum(fen for _, fen in truth.payouts(payment))
        settled = sum(row["amount"] for row in rows if row["state"] == "succeeded")
        doubtful = sum(row["amount"] for row in rows if row["state"] == "abnormal" and payment["channel"] == V1)
        raised = sum(row["amount"] for row in rows if truth.closings[row["refund_id"]] and _is_raised(books, row))
        if not settled <= paid <= settled + doubtful + raised:
            yield f"{number} at {payment['channel']}: {paid} paid by us, {settled} said to be back"


def _is_raised(books: Books, row: Row) -> bool:
    """Whether it was told that a closed refund was paid after all."""
    return any(each["conflict"] == "after_closed" for each in books.said_of(row))


def unfound(books: Books, truth: Truth) -> Iterator[str]:
    """In the end all that others did is known where there are bills, unless one of them is known to be missing."""
    unread = {each["channel"] for each in books.unread}
    for payment in books.payments:
        by_hand = truth.gateways.by_hand.get(payment["payment_no"], 0)
        if payment["channel"] in WITH_BILLS - unread and payment["found_amount"] < by_hand:
            yield f"{payment['payment_no']}: {payment['found_amount']} found, others paid {by_hand}"
