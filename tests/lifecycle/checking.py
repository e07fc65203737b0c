"""What is read back over the API, held against the model; and what must hold whatever the model says."""

import json
from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID

from app.ids import show
from app.rules.decision import decide, decision_document, decision_text
from app.rules.presets import PRESETS
from app.services.assembling import facts_from
from tests.lifecycle.case_model import CHORES, OPEN, PROMISES, CaseModel
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
        found = _found(document)
        wanted = _wanted(case, now)
        differences = {name: (found[name], wanted[name]) for name in wanted if found[name] != wanted[name]}
        assert not differences, f"found, wanted: {differences}"

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
        "refunds": Counter((each["payment_no"], each["amount"]) for each in document["refunds"]),
        "outcome": (decision["outcome"], decision["decisive_rule"]),
        "set": {each["name"]: at(each["at"]) for each in decision["deadlines"]},
    }


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
        "refunds": Counter(case.refunds),
        "outcome": (verdict.outcome.value, verdict.decisive.rule.id),
        "set": case.limits,
    }


def check_money(site: Site) -> None:
    """No more is promised on a payment than was paid and is left; a payment goes back once in an approved case."""
    rows = site.service.rows(
        """SELECT p.payment_no, p.amount - p.refunded_amount AS left_over, p.reserved_amount,
                  coalesce((SELECT sum(r.amount) FROM refunds r
                            WHERE r.site_id = p.site_id AND r.payment_no = p.payment_no), 0) AS promised
           FROM payments p WHERE p.site_id = $1""",
        site.site_id,
    )
    for row in rows:
        assert row["promised"] == row["reserved_amount"] <= row["left_over"], dict(row)
    odd = site.service.rows(
        """SELECT c.case_id FROM cases c WHERE c.site_id = $1 AND (c.status = 'approved') <> EXISTS (
               SELECT FROM refunds r WHERE r.site_id = c.site_id AND r.case_id = c.case_id)
           UNION SELECT case_id FROM refunds WHERE site_id = $1 GROUP BY case_id, payment_no HAVING count(*) > 1""",
        site.site_id,
    )
    assert not odd


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
    assert {row["status"] for row in found} <= {*OPEN, "approved", "rejected"}


def everything_of(site: Site) -> str:
    """All that is kept of a site, as one text."""
    tables = ("cases", "case_evidence", "case_acts", "case_timers", "decisions", "events", "refunds", "signals",
              "orders", "payments", "deliveries", "merchants", "idempotency_keys")  # fmt: skip
    rows = {
        table: sorted(
            row[0] for row in site.service.rows(f"SELECT t::text FROM {table} t WHERE site_id = $1", site.site_id)
        )
        for table in tables
    }
    return json.dumps(rows)
