"""What is read back over the API, held against the model; and what must hold whatever the model says."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from app.ids import read, show
from app.rules.decision import decide, decision_document, decision_text
from app.rules.presets import PRESETS
from app.services.assembling import facts_from
from tests.lifecycle.case_model import CHORES, OPEN, PAYING_BACK, PROMISES, CaseModel
from tests.lifecycle.deposit_model import ACCOUNTS, Ledger
from tests.lifecycle.records_model import Records
from tests.lifecycle.refund_model import RefundModel
from tests.lifecycle.service import Request, Site, at

STATES = {"pending": "running", "fired": "over", "kept": "kept", "void": "void"}


def path_of(case_id: UUID) -> str:
    """Where a case is."""
    return f"/v1/cases/{show('case', case_id)}"


class Reader:
    """Reads cases back, and remembers what must not change."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._decisions: dict[UUID, list[tuple[str, str]]] = {}
        self._numbers: dict[str, str] = {}
        self._events: dict[UUID, list[tuple[str, str]]] = {}

    def check(self, case: CaseModel, now: datetime) -> None:
        """One case, whole."""
        answer = self._site.send(Request("GET", path_of(case.case_id)))
        document = answer.body
        assert answer.status == 200
        assert answer.etag == f'"{case.version}"'
        self.compare(case, document, now)
        self._check_timeline(case, document["timeline"])
        self._check_decisions(case)

    def compare(self, case: CaseModel, document: dict[str, Any], now: datetime) -> None:
        """A case as it was answered, with the case as it should be."""
        self._check_refunds(case, document["refunds"])
        found = _found(document)
        wanted = _wanted(case, now)
        differences = {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}
        assert not differences, f"found, wanted: {differences}"

    def _check_refunds(self, case: CaseModel, documents: list[dict[str, Any]]) -> None:
        assert len(documents) == len(case.refunds)
        for document in documents:
            self.compare_refund(case, self._refund(case, document), document)

    def _refund(self, case: CaseModel, document: dict[str, Any]) -> RefundModel:
        """The one that a document is about. One that is new gets its id and its number from there, and keeps them."""
        new = (each for each in case.refunds if each.shown_id is None)
        known = next((each for each in case.refunds if each.shown_id == document["id"]), None)
        refund = known or next(each for each in new if each.payment_no == document["payment_no"])
        if refund.shown_id is None:
            assert document["refund_no"] not in self._numbers.values(), "a number that another refund has"
            refund.shown_id, refund.refund_no = document["id"], document["refund_no"]
            self._numbers[document["id"]] = document["refund_no"]
        return refund

    def compare_refund(self, case: CaseModel, refund: RefundModel, document: dict[str, Any]) -> None:
        """A refund as it was answered, with the refund as it should be; with all that was said of it if it is there."""
        self._refund(case, document)
        assert document["refund_no"] == self._numbers[document["id"]], "a refund's number changes"
        assert (document["id"], document["case_id"]) == (refund.shown_id, show("case", case.case_id))
        found, wanted = _found_refund(document), refund.shown
        differences = {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}
        assert not differences, f"found, wanted: {differences}"
        if "reports" in document:
            said = Counter(map(_found_report, document["reports"]))
            assert said == refund.said, f"found, wanted: {said - refund.said}, {refund.said - said}"
            assert [each["n"] for each in document["reports"]] == list(range(1, len(document["reports"]) + 1))

    def check_refund(self, case: CaseModel, refund: RefundModel) -> None:
        """One refund, whole."""
        answer = self._site.send(Request("GET", f"/v1/refunds/{refund.shown_id}"))
        assert (answer.status, answer.etag) == (200, f'"{refund.version}"')
        self.compare_refund(case, refund, answer.body)

    def check_deposit(self, merchant_id: str, ledger: Ledger) -> None:
        """The balances as they are read, and the journal that they are the sum of."""
        path = f"/v1/merchants/{merchant_id}/deposit"
        document = self._site.get(path)
        wanted = {"balances": ledger.balances, "told": ledger.told, "owed": ledger.owed}
        assert {name: document[name] for name in wanted} == wanted
        due = ledger.told - ledger.balance("available") - ledger.balance("held")
        assert document["top_up_due"] == max(0, due)
        entries = list(reversed(self._site.pages(f"{path}/entries?limit=100")))
        found = [(each["kind"], each["moved"], each["case_id"] and read("case", each["case_id"])) for each in entries]
        assert found == ledger.journal
        assert [each["n"] for each in entries] == list(range(1, len(entries) + 1))
        assert document["entries"] == len(entries)
        sums = {name: sum(each["moved"][name] for each in entries) for name in ledger.balances}
        assert sums == document["balances"]

    def _check_timeline(self, case: CaseModel, timeline: list[dict[str, Any]]) -> None:
        assert [each["sequence"] for each in timeline] == list(range(1, len(timeline) + 1))
        events = [(each["event_id"], each["type"]) for each in timeline]
        assert len({event_id for event_id, _ in events}) == len(events)
        before = self._events.get(case.case_id, [])
        assert events[: len(before)] == before
        self._events[case.case_id] = events

    def _check_decisions(self, case: CaseModel) -> None:
        """They are appended to and never changed, and each can be come to again from its facts."""
        statement = "SELECT n, facts, body FROM decisions WHERE site_id = $1 AND case_id = $2 ORDER BY n"
        rows = self._site.service.rows(statement, self._site.site_id, case.case_id)
        assert [row["n"] for row in rows] == list(range(1, len(case.verdicts) + 1))
        texts = [(row["facts"], row["body"]) for row in rows]
        before = self._decisions.get(case.case_id, [])
        assert texts[: len(before)] == before
        for facts, body in texts[len(before) :]:
            decision = decide(facts_from(facts), PRESETS[case.policy])
            assert decision_text(decision_document(decision)) == body
            assert decision.facts_text == facts
        if texts != before:
            listed = self._site.get(f"{path_of(case.case_id)}/decisions")["data"]
            assert [decision_text(each["decision"]) for each in listed] == [body for _, body in texts]
        self._decisions[case.case_id] = texts


def _found(document: dict[str, Any]) -> dict[str, Any]:
    decision = document["decision"]
    return {
        "status": document["status"],
        "version": document["version"],
        "told": [each["type"] for each in document["timeline"]],
        "next": Counter((each["action"], each["by"], each["until"] and at(each["until"])) for each in document["next"]),
        "deadlines": Counter((each["name"], at(each["at"]), each["state"]) for each in document["deadlines"]),
        "acts": [each["kind"] for each in document["acts"]],
        "evidence": [(each["n"], each["kind"], each["reused"]) for each in document["evidence"]],
        "outcome": (decision["outcome"], decision["decisive_rule"]),
        "set": {each["name"]: at(each["at"]) for each in decision["deadlines"]},
    }


def _found_refund(document: dict[str, Any]) -> dict[str, Any]:
    instants = {name: document[name] and at(document[name]) for name in ("accept_by", "expected_by", "reported_at")}
    failure, account = document["failure"], document["other_account"]
    return {
        **document,
        **instants,
        "failure": failure and failure["code"],
        "other_account": account and account["account_ref"],
        "is_settled": document["settled_at"] is not None,
    }


def _found_report(document: dict[str, Any]) -> tuple[object, ...]:
    names = ("source", "state", "amount", "channel_refund_no", "verdict", "conflict", "times")
    return tuple(document[name] for name in names)


def _wanted(case: CaseModel, now: datetime) -> dict[str, Any]:
    verdict = case.verdicts[-1]
    return {
        "status": case.status,
        "version": case.version,
        "told": case.told,
        "next": Counter(case.allowed(now)),
        "deadlines": Counter(
            (name, limit, STATES[timer.state])
            for (name, kind, limit), timer in case.timers.items()
            if kind == "due" and name not in CHORES
        ),
        "acts": case.acts,
        "evidence": [(n, piece.kind.value, piece.reused) for n, piece in enumerate(case.evidence, start=1)],
        "outcome": (verdict.outcome.value, verdict.decisive.rule.id),
        "set": case.limits,
    }


def check_money(site: Site) -> None:
    """What may still be paid on a payment is reserved and no more; no money is on its way twice; parts add up."""
    rows = site.service.rows(
        """SELECT p.payment_no, p.reserved_amount, p.overdrawn_amount,
                  greatest(0, greatest(p.refunded_amount, p.found_amount) + p.reserved_amount - p.amount) AS beyond,
                  coalesce((SELECT sum(r.amount) FROM refunds r WHERE r.site_id = p.site_id
                            AND r.payment_no = p.payment_no AND r.state <> 'closed'), 0) AS promised
           FROM payments p WHERE p.site_id = $1""",
        site.site_id,
    )
    for row in rows:
        assert row["promised"] == row["reserved_amount"], dict(row)
        assert row["beyond"] == row["overdrawn_amount"], dict(row)
    odd = site.service.rows(
        """SELECT c.case_id, 'granted without refunds' AS what FROM cases c WHERE c.site_id = $1
               AND (c.status IN ('approved', 'refunding', 'refund_failed', 'refunded')) <> EXISTS (
                   SELECT FROM refunds r WHERE r.site_id = c.site_id AND r.case_id = c.case_id)
           UNION SELECT case_id, 'twice on its way'
                 FROM refunds WHERE site_id = $1 AND state <> 'closed'
                 GROUP BY case_id, payment_no HAVING count(*) > 1
           UNION SELECT case_id, 'replaced, not closed'
                 FROM refunds r WHERE site_id = $1 AND state <> 'closed' AND EXISTS (
                 SELECT FROM refunds later WHERE later.site_id = $1 AND later.replaces = r.refund_id)
           UNION SELECT c.case_id, 'refunded or not'
                 FROM cases c WHERE c.site_id = $1 AND (c.status = 'refunded') <> coalesce((
                 SELECT bool_and(state = 'succeeded' OR (state = 'closed' AND failure_code = 'refunded_elsewhere'))
                 FROM refunds r WHERE r.site_id = $1 AND r.case_id = c.case_id
                     AND NOT EXISTS (SELECT FROM refunds later
                                     WHERE later.site_id = $1 AND later.replaces = r.refund_id)), false)""",
        site.site_id,
    )
    assert not odd, list(map(dict, odd))
    parts = site.service.rows(
        """SELECT c.case_id, sum(r.amount) AS parts,
                  (SELECT (body::jsonb -> 'refund' ->> 'amount')::bigint FROM decisions d
                   WHERE d.site_id = $1 AND d.case_id = c.case_id ORDER BY n DESC LIMIT 1) AS granted
           FROM cases c JOIN refunds r USING (site_id, case_id)
           WHERE c.site_id = $1
             AND NOT EXISTS (SELECT FROM refunds later WHERE later.site_id = $1 AND later.replaces = r.refund_id)
           GROUP BY c.case_id""",
        site.site_id,
    )
    for row in parts:
        assert row["parts"] == row["granted"], dict(row)


def check_payments(site: Site, records: Records) -> None:
    """What went back and is promised of each payment, as the model has it."""
    rows = site.service.rows(
        """SELECT payment_no, amount, refunded_amount, reserved_amount, found_amount, overdrawn_amount
           FROM payments WHERE site_id = $1""",
        site.site_id,
    )
    wanted = {
        (number, each.amount, each.refunded_amount, records.promised[number], records.found[number].amount,
         records.overdrawn(each))
        for number, each in records.payments.items()
    }  # fmt: skip
    found = set(map(tuple, rows))
    assert found == wanted, f"found, wanted: {found - wanted}, {wanted - found}"


def check_deposits(site: Site, ledgers: Mapping[str, Ledger]) -> None:
    """Each account is the sum of its entries and what the model has, and what a case took is what its refunds are."""
    names = ", ".join(ACCOUNTS)
    rows = site.service.rows(f"SELECT merchant_id, {names} FROM deposit_accounts WHERE site_id = $1", site.site_id)
    balances = {row["merchant_id"]: {name: row[name] for name in ACCOUNTS} for row in rows}
    wanted = {merchant_id: ledger.balances for merchant_id, ledger in ledgers.items()}
    assert _moved(balances) == _moved(wanted), f"found, wanted: {balances}, {wanted}"
    sums = ", ".join(f"sum({name})::bigint" for name in ACCOUNTS)
    added = site.service.rows(
        f"SELECT merchant_id, {sums} FROM deposit_entries WHERE site_id = $1 GROUP BY 1", site.site_id
    )
    booked = {row[0]: dict(zip(ACCOUNTS, row[1:], strict=True)) for row in map(tuple, added)}
    assert _moved(booked) == _moved(balances)
    odd = site.service.rows(
        """SELECT e.case_id, sum(e.refunds) AS taken, (
               SELECT coalesce(sum(r.amount), 0) FROM refunds r
               WHERE r.site_id = e.site_id AND r.case_id = e.case_id AND r.state <> 'closed') AS promised
           FROM deposit_entries e WHERE e.site_id = $1 AND e.case_id IS NOT NULL
           GROUP BY e.site_id, e.case_id HAVING sum(e.refunds) <> 0""",
        site.site_id,
    )
    for row in odd:
        assert row["taken"] == row["promised"], dict(row)


def _moved(balances: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    return {merchant_id: each for merchant_id, each in balances.items() if any(each.values())}


def check_instructions(site: Site, refunds: Iterable[RefundModel]) -> None:
    """A refund is asked for once, and once more with each retry: always under its own number."""
    rows = site.service.rows(
        "SELECT full_data FROM events WHERE site_id = $1 AND type = 'refund.requested'", site.site_id
    )
    told = Counter((each["id"], each["refund_no"]) for each in (json.loads(row["full_data"]) for row in rows))
    assert told == Counter({(each.shown_id, each.refund_no): each.asked for each in refunds})


def check_timers(site: Site) -> None:
    """Deadlines run where a case is undecided, granted or refused; a broken promise, until it is told."""
    found = site.service.rows(
        """SELECT DISTINCT c.status FROM case_timers t JOIN cases c USING (site_id, case_id)
           WHERE site_id = $1 AND t.state = 'pending' AND t.name <> ALL($2)
             AND NOT (t.name = ANY($3) AND t.due_at < testclock.now())""",
        site.site_id,
        sorted(CHORES),
        sorted(PROMISES),
    )
    assert {row["status"] for row in found} <= {*OPEN, *PAYING_BACK, "rejected"}


def everything_of(site: Site) -> str:
    """All that is kept of a site, as one text."""
    tables = ("cases", "case_evidence", "case_acts", "case_timers", "decisions", "events", "refunds", "signals",
              "refund_reports", "orders", "payments", "deliveries", "merchants", "deposit_accounts", "deposit_entries",
              "idempotency_keys")  # fmt: skip
    rows = {
        table: sorted(
            row[0] for row in site.service.rows(f"SELECT t::text FROM {table} t WHERE site_id = $1", site.site_id)
        )
        for table in tables
    }
    return json.dumps(rows)
