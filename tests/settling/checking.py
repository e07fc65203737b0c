"""What has to hold at every moment, and what in the end; held against what the channels really paid."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text

from app import ids
from app.rules.facts import Channel
from app.services.showing import REFUND
from tests.settling.gateways import Gateways
from tests.settling.scene import Scene, document

V1: Final = Channel.UNIONPAY
STOPPED: Final = ("failed", "abnormal", "closed")
_REFUNDS: Final = text("SELECT * FROM refunds WHERE site_id = :site_id ORDER BY refund_id")
_PAYMENTS: Final = text("SELECT * FROM payments WHERE site_id = :site_id ORDER BY payment_no")
_REPORTS: Final = text("SELECT * FROM refund_reports WHERE site_id = :site_id ORDER BY refund_id, n")
_EVENTS: Final = text("SELECT type, full_data FROM events WHERE site_id = :site_id AND type LIKE 'refund.%'")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Books:
    """All that we have written down."""

    refunds: Sequence[Row]
    payments: Sequence[Row]
    reports: Sequence[Row]
    events: Sequence[Row]

    def over(self, payment_no: str) -> list[Row]:
        """The refunds over a payment."""
        return [row for row in self.refunds if row["payment_no"] == payment_no]


async def books(scene: Scene) -> Books:
    """As they are now."""
    rows = [await scene.all(query, site_id=scene.site_id) for query in (_REFUNDS, _PAYMENTS, _REPORTS, _EVENTS)]
    return Books(*rows)


def faults_now(books: Books, gateways: Gateways) -> list[str]:
    """What must not be at any moment."""
    return [
        *_of_payments(books, gateways),
        *_of_refunds(books, gateways),
        *_of_reports(books, gateways),
        *_of_events(books),
    ]


def _of_payments(books: Books, gateways: Gateways) -> Iterator[str]:
    for payment in books.payments:
        number, channel = payment["payment_no"], Channel(payment["channel"])
        reserved = sum(row["amount"] for row in books.over(number) if row["state"] != "closed")
        if payment["reserved_amount"] != reserved:
            yield f"{number}: {payment['reserved_amount']} reserved, {reserved} promised"
        if gateways.paid_out(channel, number) > payment["amount"]:
            yield f"{number}: more went back than was paid"
        by_hand = gateways.by_hand.get(number, 0)
        if payment["found_amount"] > by_hand:
            yield f"{number}: {payment['found_amount']} found, others paid {by_hand}"
        gone = max(payment["refunded_amount"], payment["found_amount"]) + payment["reserved_amount"]
        if payment["overdrawn_amount"] != max(0, gone - payment["amount"]):
            yield f"{number}: overdrawn by {payment['overdrawn_amount']}"


def _of_refunds(books: Books, gateways: Gateways) -> Iterator[str]:
    for payment in books.payments:
        number, channel = payment["payment_no"], Channel(payment["channel"])
        rows, paid = books.over(number), paid_by_us(gateways, channel, number)
        settled = sum(row["amount"] for row in rows if row["state"] == "succeeded")
        if settled > sum(paid.values()):
            yield f"{number}: {settled} said to be back, {sum(paid.values())} are"
        if channel is V1:
            continue
        ours = {row["refund_no"]: row for row in rows}
        for refund_no, amount in paid.items():
            if refund_no not in ours or ours[refund_no]["amount"] != amount:
                yield f"{number}: {amount} paid under {refund_no}"
        for row in rows:
            if row["state"] == "succeeded" and row["refund_no"] not in paid:
                yield f"{number}: {row['refund_no']} said to be back, and is not"
        yield from (f"{number}: {chain} paid twice" for chain in _chains(rows) if len(chain & paid.keys()) > 1)


def paid_by_us(gateways: Gateways, channel: Channel, payment_no: str) -> dict[str, int]:
    """What went back by our doing, by number; at V1, which knows none, all that others did not pay."""
    if channel is V1:
        return {"": gateways.paid_out(channel, payment_no) - gateways.by_hand.get(payment_no, 0)}
    found: Counter[str] = Counter()
    for each in gateways.paid(channel, payment_no):
        if each.refund_no:
            found[each.refund_no] += each.amount
    return dict(found)


def _of_reports(books: Books, gateways: Gateways) -> Iterator[str]:
    """What contradicts the refund was not believed, and none was said to have failed that had been paid before."""
    refunds, paid_at = {row["refund_id"]: row for row in books.refunds}, _paid_at(books, gateways)
    for said in books.reports:
        row = refunds[said["refund_id"]]
        if said["verdict"] != "applied":
            continue
        if said["amount"] not in (None, row["amount"]):
            yield f"{row['refund_no']}: {said['amount']} was believed"
        paid = paid_at.get(row["refund_no"])
        if said["state"] in ("failed", "closed") and paid is not None and paid < said["received_at"]:
            yield f"{row['refund_no']}: said to be {said['state']} after it was paid"


def _paid_at(books: Books, gateways: Gateways) -> dict[str, datetime]:
    """When money began to go back, by number."""
    told = [(Channel(row["channel"]), row["payment_no"]) for row in books.payments]
    return {each.refund_no: each.at for payment in told for each in gateways.paid(*payment) if each.refund_no}


def _chains(rows: Sequence[Row]) -> list[set[str]]:
    """The numbers of refunds that took each other's place."""
    first: dict[Any, Any] = {}
    chains: defaultdict[Any, set[str]] = defaultdict(set)
    for row in rows:
        first[row["refund_id"]] = first.get(row["replaces"], row["refund_id"])
        chains[first[row["refund_id"]]].add(row["refund_no"])
    return list(chains.values())


def _of_events(books: Books) -> Iterator[str]:
    told: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for event in books.events:
        shown = document(event["full_data"])
        told[shown["id"], event["type"].removeprefix("refund.")].append(shown)
    for row in books.refunds:
        shown_id = ids.show(REFUND, row["refund_id"])
        said = [each for each in books.reports if each["refund_id"] == row["refund_id"]]
        applied = Counter(each["state"] for each in said if each["verdict"] == "applied" for _ in range(each["times"]))
        expected = {
            "succeeded": applied["succeeded"],
            "failed": applied["failed"] + applied["closed"],
            "abnormal": applied["abnormal"],
            "conflict": sum(each["verdict"] == "conflict" for each in said),
        }
        for kind, count in expected.items():
            if len(told[shown_id, kind]) != count:
                yield f"{row['refund_no']}: {kind} told {len(told[shown_id, kind])} times, happened {count} times"
        for first, second in _said_again(said):
            if len(told[shown_id, "requested"]) < 2:
                yield f"{row['refund_no']}: {second['state']} told at {first['at']} and at {second['at']}"
        if applied["succeeded"] > 1:
            yield f"{row['refund_no']}: succeeded {applied['succeeded']} times"
        late = [(each["awaited"], each["since"]) for each in told[shown_id, "overdue"]]
        if len(set(late)) != len(late):
            yield f"{row['refund_no']}: {late} told as overdue"


def _said_again(said: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """What moved the refund to where it had been already, for the same reason."""
    moves = [each for each in said if each["verdict"] == "applied"]
    for first, second in itertools.pairwise(moves):
        same = all(first[name] == second[name] for name in ("state", "failure_code", "channel_refund_no"))
        if same and second["state"] in STOPPED:
            yield first, second


def faults_at_the_end(books: Books, gateways: Gateways, at: datetime) -> list[str]:
    """What must be once nothing goes wrong any more, and time has gone on."""
    late = [row for row in books.refunds if row["overdue_at"] is not None and row["overdue_at"] < at]
    untold = [f"{row['refund_no']} is overdue, and nobody was told" for row in late]
    return [*untold, *_unended(books), *_unpaid(books, gateways), *_unfound(books, gateways)]


def _unended(books: Books) -> Iterator[str]:
    told = {(document(each["full_data"])["id"], each["type"]) for each in books.events}
    for row in books.refunds:
        shown_id, state = ids.show(REFUND, row["refund_id"]), row["state"]
        kind = "refund.abnormal" if state == "abnormal" else "refund.failed"
        if state not in ("succeeded", *STOPPED):
            yield f"{row['refund_no']} at {row['channel']} is still {state}, last said {row['last_said']}"
        elif state in STOPPED and (shown_id, kind) not in told:
            yield f"{row['refund_no']} is {state}, and no person was told"


def _unpaid(books: Books, gateways: Gateways) -> Iterator[str]:
    """What went back is what we say, but for the aggregator that cannot tell whose it was: there a person looks."""
    for payment in books.payments:
        number, channel = payment["payment_no"], Channel(payment["channel"])
        paid = sum(paid_by_us(gateways, channel, number).values())
        settled = sum(row["amount"] for row in books.over(number) if row["state"] == "succeeded")
        doubtful = sum(row["amount"] for row in books.over(number) if row["state"] == "abnormal")
        if not settled <= paid <= settled + (doubtful if channel is V1 else 0):
            yield f"{number} at {channel.value}: {paid} paid by us, {settled} said to be back"


def _unfound(books: Books, gateways: Gateways) -> Iterator[str]:
    for payment in books.payments:
        number, channel = payment["payment_no"], Channel(payment["channel"])
        by_hand = gateways.by_hand.get(number, 0)
        if channel in (Channel.WECHAT_PAY, Channel.ALIPAY) and payment["found_amount"] != by_hand:
            yield f"{number}: {payment['found_amount']} found, others paid {by_hand}"
        open_ones = [row for row in books.over(number) if row["state"] not in ("succeeded", "closed")]
        if payment["overdrawn_amount"] and not all(_is_raised(books, row) for row in open_ones):
            yield f"{number} is overdrawn, and not every promise was raised"


def _is_raised(books: Books, row: Row) -> bool:
    shown_id = ids.show(REFUND, row["refund_id"])
    return any(
        each["type"] == "refund.conflict" and document(each["full_data"])["id"] == shown_id for each in books.events
    )
