"""What was said, told and done about refunds: kept, told once, and what cases made of it."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from app import ids
from app.services.showing import REFUND
from tests.settling.books import Books, Row, is_back_elsewhere
from tests.settling.checking_money import Truth
from tests.settling.scene import document

STOPPED: Final = ("failed", "abnormal", "closed")
_COUNTS: Final = ("times", "last_received_at")


def of_reports(books: Books, truth: Truth) -> Iterator[str]:
    """What contradicts a refund was not believed, none failed that had been paid before; what was heard is kept."""
    paid_at = truth.paid_at(books)
    for row in books.refunds:
        number, said = row["refund_no"], books.said_of(row)
        for each in said:
            if each["verdict"] == "applied":
                if each["amount"] not in (None, row["amount"]):
                    yield f"{number}: {each['amount']} was believed"
                paid = paid_at.get(number)
                if each["state"] in ("failed", "closed") and paid is not None and paid < each["received_at"]:
                    yield f"{number}: said to be {each['state']} by {each['source']} after it was paid"
        heard: Counter[str] = Counter()
        for each in said:
            heard[each["source"]] += each["times"]
        told, closings = truth.cashier.told[row["refund_id"]], truth.closings[row["refund_id"]]
        if (heard["adapter"], heard["person"]) != (told, closings):
            yield f"{number}: {told} reports taken and {closings} closings, kept {heard}"


def lost(before: Books, now: Books) -> Iterator[str]:
    """Reports, acts and entries of deposits are only ever added to; a report may be counted once more."""
    later = {(each["refund_id"], each["n"]): each for each in now.reports}
    for each in before.reports:
        kept = later.get((each["refund_id"], each["n"]), {})
        same = all(kept.get(name) == value for name, value in each.items() if name not in _COUNTS)
        if not same or kept["times"] < each["times"]:
            yield f"a report of {each['refund_id']} was lost or changed"
    for what in ("acts", "entries"):
        known = [list(each.items()) for each in getattr(now, what)]
        yield from (f"{what}: {each} was lost" for each in getattr(before, what) if list(each.items()) not in known)


def of_events(books: Books) -> Iterator[str]:
    """What happened was told, each time once."""
    told: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for event in books.events:
        shown = document(event["full_data"])
        told[shown["id"], event["type"].removeprefix("refund.")].append(shown)
    retries = _retries(books)
    for row in books.refunds:
        number, shown_id, said = row["refund_no"], ids.show(REFUND, row["refund_id"]), books.said_of(row)
        applied = Counter(each["state"] for each in said if each["verdict"] == "applied" for _ in range(each["times"]))
        expected = {
            "requested": 1 + retries[number],
            "succeeded": applied["succeeded"],
            "failed": applied["failed"] + applied["closed"],
            "abnormal": applied["abnormal"],
            "conflict": sum(each["verdict"] == "conflict" for each in said),
        }
        for kind, count in expected.items():
            if len(told[shown_id, kind]) != count:
                yield f"{number}: {kind} told {len(told[shown_id, kind])} times, happened {count} times"
        for first, second in _said_again(said):
            if retries[number] == 0:
                yield f"{number}: {second['state']} told at {first['at']} and at {second['at']}"
        if applied["succeeded"] + applied["closed"] > 1:
            yield f"{number}: ended {applied['succeeded'] + applied['closed']} times"
        late = [(each["awaited"], each["since"]) for each in told[shown_id, "overdue"]]
        if len(set(late)) != len(late):
            yield f"{number}: {late} told as overdue"


def _retries(books: Books) -> Counter[str]:
    """How often each number was asked for again."""
    acts = [each["details"] for each in books.acts if each["kind"] == "refund_retry"]
    return Counter(each["refund_no"] for each in acts if each["new_refund_no"] is None)


def _said_again(said: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """What moved the refund to where it had been already, for the same reason."""
    moves = [each for each in said if each["verdict"] == "applied"]
    for first, second in itertools.pairwise(moves):
        same = all(first[name] == second[name] for name in ("state", "failure_code", "channel_refund_no"))
        if same and second["state"] in STOPPED:
            yield first, second


def of_repairs(books: Books) -> Iterator[str]:
    """Only a closed refund gets another in its place, one, by an act; any other goes on under its number.

    What a person closed stays closed.
    """
    by_id = {row["refund_id"]: row for row in books.refunds}
    retried = {
        each["details"]["new_refund_no"]: each["details"] for each in books.acts if each["kind"] == "refund_retry"
    }
    for row in books.refunds:
        if row["replaces"] is None:
            continue
        before, act = by_id[row["replaces"]], retried.get(row["refund_no"])
        if before["state"] != "closed":
            yield f"{before['refund_no']} is {before['state']}, and {row['refund_no']} took its place"
        if act is None or act["refund_no"] != before["refund_no"]:
            yield f"{row['refund_no']} took a place by nobody's doing"
        if (row["payment_no"], row["amount"]) != (before["payment_no"], before["amount"]):
            yield f"{row['refund_no']} is not the refund whose place it took"
    places = Counter(row["replaces"] for row in books.refunds if row["replaces"] is not None)
    yield from (f"{by_id[each]['refund_no']} was replaced {count} times" for each, count in places.items() if count > 1)
    closed = [each["details"]["refund_no"] for each in books.acts if each["kind"] == "refund_closing"]
    states = {row["refund_no"]: row["state"] for row in books.refunds}
    yield from (f"{each} was closed by hand, and is {states[each]}" for each in closed if states[each] != "closed")


def of_requests(books: Books) -> Iterator[str]:
    """No channel is asked any more for what is over, or what goes to another account since."""
    for row in books.refunds:
        asked_at, over_at = row["submitted_at"], row["settled_at"]
        if asked_at is not None and over_at is not None and asked_at > over_at:
            yield f"{row['refund_no']} was {row['state']} at {over_at}, and asked for at {asked_at}"
        if row["other_account"] is None:
            continue
        if row["account_id"] is not None or (asked_at is not None and asked_at > row["instructed_at"]):
            yield f"{row['refund_no']} goes to another account, and the channel is asked for it"


def of_cases(books: Books) -> Iterator[str]:
    """A case stands where its refunds stand, those left out whose place another has taken."""
    retried = {each["case_id"] for each in books.acts if each["kind"] == "refund_retry"}
    applied = {each["refund_id"] for each in books.reports if each["verdict"] == "applied"}
    for case in books.cases:
        rows = books.of(case)
        has_moved = case["case_id"] in retried or any(row["refund_id"] in applied for row in rows)
        expected = _status(rows, has_moved=has_moved)
        if rows and case["status"] != expected:
            yield f"case {case['case_id']} is {case['status']}, its refunds say {expected}"


def _status(rows: Sequence[Row], *, has_moved: bool) -> str:
    replaced = {row["replaces"] for row in rows}
    stand = [row for row in rows if row["refund_id"] not in replaced]
    going = [row for row in stand if row["state"] != "succeeded" and not is_back_elsewhere(row)]
    if not going:
        return "refunded"
    if any(row["state"] in STOPPED for row in going):
        return "refund_failed"
    return "refunding" if has_moved else "approved"


def unended(books: Books) -> Iterator[str]:
    """In the end every refund is over, or stands with a person who was told."""
    told = {(document(each["full_data"])["id"], each["type"]) for each in books.events}
    for row in books.refunds:
        shown_id, state = ids.show(REFUND, row["refund_id"]), row["state"]
        kind = "refund.abnormal" if state == "abnormal" else "refund.failed"
        if state not in ("succeeded", *STOPPED):
            yield f"{row['refund_no']} at {row['channel']} is still {state}, last said {row['last_said']}"
        elif state in STOPPED and (shown_id, kind) not in told:
            yield f"{row['refund_no']} is {state}, and no person was told"


def unraised(books: Books) -> Iterator[str]:
    """In the end every promise over an overdrawn payment was raised."""
    raised = {document(each["full_data"])["id"] for each in books.events if each["type"] == "refund.conflict"}
    for payment in books.payments:
        going = [row for row in books.over(payment["payment_no"]) if row["state"] not in ("succeeded", "closed")]
        if payment["overdrawn_amount"] and any(ids.show(REFUND, row["refund_id"]) not in raised for row in going):
            yield f"{payment['payment_no']} is overdrawn, and not every promise was raised"
