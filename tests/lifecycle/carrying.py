"""Scenarios of the rules, filed as real cases: what a scenario takes for granted is brought about by real means."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.lifecycle.service import Answer, Request, Service, Site, at
from tests.rules.scenario import Scenario

INSTANT = timedelta(microseconds=1)
STATUS_OF = {
    "wait": "waiting",
    "request_evidence": "awaiting_evidence",
    "await_merchant": "awaiting_merchant",
    "manual_review": "in_review",
}
ENDS = frozenset({"approved", "rejected", "withdrawn", "lapsed"})
A_FILE = "5e" * 32
Body = dict[str, Any]


@dataclass
class Carried:
    """A scenario's case under way, at a site of its own."""

    service: Service
    scenario: Scenario
    site: Site = field(init=False)
    path: str = field(init=False, default="")
    case: Body = field(init=False, default_factory=dict)
    keys: Iterable[str] = field(init=False, default_factory=lambda: (f"key-{n}" for n in itertools.count(1)))

    def __post_init__(self) -> None:
        self.now = at(self.body["claim"]["filed_at"])
        self.service.set_time(self.now)
        self.site = self.service.open_site()

    @property
    def body(self) -> Body:
        """The scenario as it is written."""
        return self.scenario.body

    @property
    def as_of(self) -> datetime:
        """When the scenario is judged."""
        return at(self.body["as_of"])

    # --- bringing it about

    def bring_about(self) -> None:
        """The case as the scenario finds it, at the scenario's own time."""
        course, response = self.body.get("course") or {}, (self.body.get("merchant") or {}).get("response")
        if course:
            self._with_a_course(course)
        elif response is not None and self._can_answer(response):
            self._file(at(self.body["claim"]["filed_at"]), merchant={**_merchant(self.body), "status": "active"})
            self.pass_time(at(response["at"]))
            self.step("merchant-response", {"position": response["position"]})
            self._tell_of_the_merchant()
        else:
            self._strikes(self.body["buyer"]["strikes"])
            self._reuse()
            self._file(self.as_of)
        self.pass_time(self.as_of)

    def _can_answer(self, response: Mapping[str, Any]) -> bool:
        """An answer of tomorrow is none yet, and a merchant whose fault is not named is not heard."""
        return at(response["at"]) <= self.as_of and self.body["claim"]["reason"] != "payment_info_error"

    def _with_a_course(self, course: Mapping[str, str]) -> None:
        if "appealed_at" in course:
            self._file(at(self.body["claim"]["filed_at"]))
            assert self.case["status"] == "rejected"
            self.pass_time(at(course["appealed_at"]))
            self.step("appeal", {"message": "不服", "evidence": [self.piece("other")]})
        elif "resumed_at" in course:
            self._file(at(course["resumed_at"]) - timedelta(hours=1), evidence=[])
            assert self.case["status"] == "awaiting_evidence"
            self.pass_time(at(course["resumed_at"]))
            self.step("evidence", {"evidence": self.body["evidence"]})
        else:  # what began then goes on when something comes in that changes nothing
            self._file(at(course.get("evidence_requested_at") or course["review_started_at"]))
            self.pass_time(self.as_of)
            self.step("evidence", {"evidence": [self.piece("other")]})

    def _tell_of_the_merchant(self) -> None:
        merchant = _merchant(self.body)
        self.pass_time(self.as_of)
        told = Request("PUT", f"/v1/merchants/{merchant.pop('merchant_id')}", merchant)
        assert self.site.send(told).status in (200, 201)
        self.pass_time(self.as_of)

    def _strikes(self, strikes: int) -> None:
        """As many claims of the same buyer's that the log contradicted."""
        self._set_time(self.as_of)
        for n in range(strikes):
            earlier = self._other_order(f"S-{n}")
            delivered = {"delivery_no": f"S-{n}", "delivered_at": earlier["order"]["placed_at"], "face_value": 10_000}
            filed = self._post_case({**earlier, "deliveries": [delivered]})
            assert filed.body["decision"]["decisive_rule"] == "delivered-per-log", filed.raw

    def _reuse(self) -> None:
        """The file was put forward before, in another order's case."""
        if any(piece.get("reused") for piece in self.body["evidence"]):
            piece = {**self.piece("chat_log"), "channel": "in_platform", "sha256": A_FILE}
            assert self._post_case({**self._other_order("S-9"), "evidence": [piece]}).status == 201

    def _other_order(self, number: str) -> Body:
        [payment] = self.body["payments"]
        return {
            "policy": self.body["policy"],
            "claim": {**self.body["claim"], "reason": "not_delivered"},
            "order": {**self.body["order"], "order_no": number},
            "payments": [{**payment, "payment_no": number, "order_no": number}],
        }

    def _file(self, when: datetime, **changes: Any) -> None:
        self._set_time(when)
        names = ("claim", "order", "payments", "deliveries", "evidence", "policy")
        body = {**{name: self.body[name] for name in names}, "merchant": _merchant(self.body) or None, **changes}
        body["evidence"] = [_put_forward(piece) for piece in body["evidence"]]
        filed = self._post_case({name: value for name, value in body.items() if value is not None})
        assert filed.status == 201, filed.raw
        self.case, self.path = filed.body, f"/v1/cases/{filed.body['id']}"

    def _post_case(self, body: Body) -> Answer:
        return self.site.send(Request("POST", "/v1/cases", body, key=next(iter(self.keys))))

    # --- going on

    def piece(self, kind: str) -> Body:
        """One that counts, captured now."""
        formed = {"channel": "in_platform"} if kind == "chat_log" else {"stamped": True}
        return {"kind": kind, "party": "buyer", "captured_at": self.now.isoformat(), **formed}

    def deadline(self, name: str) -> datetime:
        """When a deadline of the case ends that is running."""
        [found] = [each for each in self.case["deadlines"] if (each["name"], each["state"]) == (name, "running")]
        return at(found["at"])

    def pass_time(self, until: datetime) -> None:
        """It is this moment, and the worker has done all that is due."""
        if until > self.now:
            self._set_time(until)
        while self.site.fire().timers:
            pass
        self.case = self.site.get(self.path)

    def step(self, name: str, body: Body) -> None:
        """What a party does; AssertionError if it is refused."""
        answer = self.try_step(name, body)
        assert answer.status == 200, answer.raw
        self.case = answer.body

    def try_step(self, name: str, body: Body) -> Answer:
        """What a party tries to do."""
        return self.site.send(Request("POST", f"{self.path}/{name}", body, key=next(iter(self.keys))))

    def rule(self, outcome: str) -> None:
        """By as many people as it takes."""
        for by in ("op-1", "op-2"):
            if self.case["status"] in ("in_review", "appealed"):
                self.step("ruling", {"outcome": outcome, "code": "other", "text": "已核实", "by": by})

    def to_its_end(self) -> None:
        """Nobody does anything more but who rules; the case ends, and nothing of it is left to be done."""
        for _ in range(20):
            running = [at(each["at"]) for each in self.case["deadlines"] if each["state"] == "running"]
            if self.case["status"] in ("in_review", "appealed"):
                self.rule("reject")
            elif running:
                self.pass_time(min(running) + INSTANT)
            else:
                break
        self.pass_time(self.now + INSTANT)
        self.check_ended()

    def check_ended(self) -> None:
        """It came to one of the ends, with every event told once and nothing pending."""
        assert self.case["status"] in ENDS, self.case["status"]
        assert [each["sequence"] for each in self.case["timeline"]] == list(range(1, len(self.case["timeline"]) + 1))
        assert self.told.count("case.filed") == 1
        assert (self.told.count("refund.requested") > 0) is (self.case["status"] == "approved")
        pending = "SELECT name FROM case_timers WHERE site_id = $1 AND case_id = $2 AND state = 'pending'"
        found = self.service.rows("SELECT case_id FROM cases WHERE site_id = $1 ORDER BY case_id", self.site.site_id)
        assert not self.service.rows(pending, self.site.site_id, found[-1]["case_id"])

    def close(self) -> None:
        """Nothing of this site happens any more."""
        self.service.rows("UPDATE case_timers SET state = 'void' WHERE site_id = $1", self.site.site_id)

    @property
    def told(self) -> list[str]:
        """The types of the events, in order."""
        return [each["type"] for each in self.case["timeline"]]

    @property
    def decided_by(self) -> str:
        """The rule that decides now."""
        return str(self.case["decision"]["decisive_rule"])

    def _set_time(self, when: datetime) -> None:
        self.now = when
        self.service.set_time(when)


def _merchant(body: Body) -> Body:
    """The record; that there is none is said by nothing at all."""
    return {name: value for name, value in (body.get("merchant") or {}).items() if name != "response"}


def _put_forward(piece: Body) -> Body:
    """As a site sends it: that a file was used before is for the service to find."""
    sent = {name: value for name, value in piece.items() if name != "reused"}
    return {**sent, "sha256": A_FILE} if piece.get("reused") else sent
