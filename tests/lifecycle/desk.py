"""What the parties of a site do, to the service and to the model of it; the answer has to be what the model says."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from app.ids import read
from app.rules.facts import (
    RULING_CODES,
    ChatChannel,
    Claim,
    Evidence,
    EvidenceKind,
    Party,
    Position,
    Reason,
    Ruled,
    RulingCode,
    Side,
)
from tests.lifecycle.case_model import OPEN, WITH_A_PERSON, CaseModel, Refusal
from tests.lifecycle.checking import check_money, check_timers, everything_of, path_of
from tests.lifecycle.office import INSTANT, Office
from tests.lifecycle.records_model import body_of
from tests.lifecycle.service import Answer, Request

PIECES = {
    Reason.NOT_WORKING: (EvidenceKind.ERROR_SCREENSHOT, EvidenceKind.CHAT_LOG),
    Reason.NOT_DELIVERED: (EvidenceKind.CHAT_LOG,),
    Reason.INVALID_GOODS: (EvidenceKind.ERROR_SCREENSHOT, EvidenceKind.CHAT_LOG),
    Reason.SHORT_DELIVERY: (EvidenceKind.RECEIVED_PROOF,),
    Reason.WRONG_ACCOUNT: (EvidenceKind.OPERATION_RECORD,),
}
SAMPLE: dict[str, tuple[str, dict[str, Any]]] = {
    "supply_evidence": ("evidence", {"evidence": []}),
    "respond": ("merchant-response", {"position": "contest"}),
    "rule": ("ruling", {"outcome": "reject", "code": "other", "text": "x", "by": "op-1"}),
    "appeal": ("appeal", {"message": "x"}),
    "withdraw": ("withdraw", {}),
    "escalate": ("escalate", {"venue": "complaint_12315"}),
}
_PIECES: TypeAdapter[list[Evidence]] = TypeAdapter(list[Evidence])
_ELSEWHERE = frozenset({"wait", "pay_back", "dispute_at_channel", "complain_to_12315", "sue"})


class Desk(Office):
    """The after-sales desk: claims, what the parties do with them, requests that go astray, and the end of all."""

    def file(
        self, of: int, reason: Reason, pieces: str, policy: str, part: int | None, *, inline: str | None = None
    ) -> None:
        """A claim on an order that is known; `inline`: with a delivery record that comes along."""
        order = self._order(of)
        evidence = self._pieces(pieces, reason, order.order_no)
        claim = Claim(reason, self.now, amount=part)
        body: dict[str, Any] = {
            "order_no": order.order_no,
            "policy": policy,
            "evidence": _documents(evidence),
            "claim": {"reason": reason.value, "amount": part, "filed_at": self.now.isoformat()},
        }
        delivery = None if inline is None else self._delivered(order, inline)
        if delivery is not None:
            body["deliveries"] = [{"delivery_no": delivery.delivery_no, **body_of(delivery, "delivery_no")}]
        answer = self._send(Request("POST", "/v1/cases", body, key=self._key()))
        if self.model.stands_in_the_way(order.order_no, reason):
            assert (answer.status, answer.body["code"]) == (409, "case_open"), answer.raw
            return
        assert answer.status == 201, answer.raw
        if delivery is not None:
            self._told_delivery(delivery, order.order_no)
        case_id = read("case", answer.body["id"])
        assert case_id is not None
        self.model.file(case_id, order.order_no, claim, policy, evidence)
        self._answered(self.model.cases[case_id], answer)

    def supply_evidence(self, of: int, pieces: str) -> None:
        """In any state, so that what is not allowed is refused; so do all that follow."""
        case = self._case(of)
        evidence = self._pieces(pieces, case.claim.reason, case.order_no)
        answer = self._post(case, "evidence", {"evidence": _documents(evidence)})
        self._check(case, answer, self.model.supply(case, evidence))

    def respond(self, of: int, position: Position, proven: bool) -> None:
        """With a piece of its own, or without."""
        case = self._case(of)
        said = (Evidence(EvidenceKind.OTHER, Party.MERCHANT, self.now, supports=Side.MERCHANT),) if proven else ()
        answer = self._post(
            case, "merchant-response", {"position": position.value, "evidence": _documents(said)}, key=self._key()
        )
        self._check(case, answer, self.model.respond(case, position, said))

    def person_rules(self, of: int, outcome: Ruled, code: int, amount: int | None, by: str) -> None:
        """Within what can be granted or beyond it, where somebody is waited for or not."""
        self._person_rules(self._case(of), outcome, code, amount, by)

    def _person_rules(self, case: CaseModel, outcome: Ruled, code: int, amount: int | None, by: str) -> None:
        codes = sorted(RULING_CODES[outcome])
        because, asked = codes[code % len(codes)], amount if outcome is Ruled.APPROVE else None
        answer = self._rule(case, outcome, because, asked, by)
        self._check(case, answer, self.model.rule(case, outcome, because, asked, by))

    def two_people_rule(self, of: int, code: int, amount: int | None, other: int | None) -> None:
        """The first one twice, another one otherwise, then a third; where one is enough, the others come too late."""
        everything = list(self.model.cases.values())
        large = [n for n, case in enumerate(everything) if case.status in WITH_A_PERSON and self.model.takes_two(case)]
        case = everything[large[of % len(large)]] if large else self._case(of)
        for by, asked in (("op-1", amount), ("op-1", amount), ("op-2", other), ("op-3", other)):
            self._person_rules(case, Ruled.APPROVE, code, asked, by)

    def what_is_listed_can_be_done(self, of: int, which: int) -> None:
        """One of the actions that `next` names, and nothing refuses it."""
        case = self._case(of)
        listed = sorted({action for action, _, _ in case.allowed(self.now)} - _ELSEWHERE - {"confirm_ruling"})
        if not listed:
            return
        action = listed[which % len(listed)]
        if action in ("retry_refund", "close_refund"):
            (self.retry_what_is_listed if action == "retry_refund" else self.close_what_is_listed)(case)
            return
        new = replace(_piece(EvidenceKind.OTHER, self.now), sha256=f"{next(self.numbers):064x}")
        path, body = SAMPLE["withdraw" if action == "accept_reissue" else action]
        if action == "accept_reissue":
            body = {"because": "reissue_accepted"}
        elif action in ("supply_evidence", "appeal"):
            body = {**body, "evidence": _documents([new])}
        answer = self._post(case, path, body, key=self._key())
        assert answer.status == 200, answer.raw
        done: dict[str, Callable[[], Refusal | None]] = {
            "respond": lambda: self.model.respond(case, Position.CONTEST),
            "supply_evidence": lambda: self.model.supply(case, [new]),
            "rule": lambda: self.model.rule(case, Ruled.REJECT, RulingCode.OTHER, None, "op-1"),
            "appeal": lambda: self.model.appeal(case, [new]),
            "withdraw": lambda: self.model.withdraw(case, "changed_mind"),
            "accept_reissue": lambda: self.model.withdraw(case, "reissue_accepted"),
            "escalate": lambda: self.model.escalate(case),
        }
        self._check(case, answer, done[action]())

    def appeal(self, of: int, pieces: str) -> None:
        """With something new, or without."""
        case = self._case(of)
        evidence = self._pieces(pieces, case.claim.reason, case.order_no)
        answer = self._post(case, "appeal", {"message": "不服", "evidence": _documents(evidence)})
        self._check(case, answer, self.model.appeal(case, evidence))

    def appealed_twice(self, of: int) -> None:
        """A rejection, the buyer's appeal, a person's answer to it, and another appeal, which comes too often."""
        rejected = [n for n, case in enumerate(self.model.cases.values()) if case.status == "rejected"]
        for case in [list(self.model.cases.values())[rejected[of % len(rejected)]]] if rejected else []:
            for _ in range(2):
                new = replace(_piece(EvidenceKind.OTHER, self.now), sha256=f"{next(self.numbers):064x}")
                body = {"message": "不服", "evidence": _documents([new])}
                self._check(case, self._post(case, "appeal", body), self.model.appeal(case, [new]))
                if case.status == "appealed":
                    self._person_rules(case, Ruled.REJECT, of, None, "op-1")

    def withdraw(self, of: int, because: str) -> None:
        """For a re-issue, or for nothing."""
        case = self._case(of)
        answer = self._post(case, "withdraw", {"because": because})
        self._check(case, answer, self.model.withdraw(case, because))

    def escalate(self, of: int) -> None:
        """To 12315."""
        case = self._case(of)
        answer = self._post(case, "escalate", {"venue": "complaint_12315"})
        self._check(case, answer, self.model.escalate(case))

    def sent_again(self, which: int, together: bool) -> None:
        """Once more, or twice at the same time: the first answer, to the byte, and nothing else."""
        if not self.sent:
            return
        request, before = self.sent[which % len(self.sent)]
        for answer in self.site.send_together([request] * (2 if together else 1)):
            assert (answer.status, answer.raw, answer.replayed) == (before.status, before.raw, True)

    def twice_at_once(self, of: int) -> None:
        """The same request twice, under one key, before either is answered."""
        case = self._case(of)
        request = self._request(case, "withdraw", {"because": "resolved"}, key=self._key())
        one, other = self.site.send_together([request, request])
        assert (one.status, one.body.get("code")) == (other.status, other.body.get("code"))
        assert (one.raw == other.raw and one.replayed is not other.replayed) or one.status == 409
        self._check(case, one, self.model.withdraw(case, "resolved"))

    def too_old(self, of: int, action: str, back: int) -> None:
        """A request that was decided on when the case stood otherwise."""
        case = self._case(of)
        path, body = SAMPLE[action]
        if action == "supply_evidence":
            body = {"evidence": _documents([Evidence(EvidenceKind.OTHER, Party.BUYER, self.now)])}
        version = case.version - back if case.version > back else case.version + back
        answer = self._send(self._request(case, path, body, key=self._key(), if_match=f'"{version}"'))
        assert answer.status == 412, answer.raw

    def what_is_not_listed_is_refused(self, of: int) -> None:
        """Every action that the model does not list, tried."""
        case = self._case(of)
        evidence = [Evidence(EvidenceKind.OTHER, Party.BUYER, self.now)]
        for action, (path, body) in SAMPLE.items():
            refusal = case.refusal(action, self.now)
            if refusal is not None:
                given = {"evidence": _documents(evidence)} if "evidence" in body else {}
                self._check(case, self._post(case, path, {**body, **given}, key=self._key()), refusal)

    def withdrawn_and_ruled_at_once(self, of: int) -> None:
        """Two parties at the same time: one wins, and the other is told how the case stands then."""
        case = self._case(of)
        ruling = {"outcome": "reject", "code": "other", "text": "驳回", "by": "op-1"}
        withdrawal = self._request(case, "withdraw", {"because": "resolved"})
        withdrawn, ruled = self.site.send_together([withdrawal, self._request(case, "ruling", ruling, key=self._key())])
        self.say(f"race: withdrawn {withdrawn.status}, ruled {ruled.status}")
        if ruled.status == 200:
            self._check(case, ruled, self.model.rule(case, Ruled.REJECT, RulingCode.OTHER, None, "op-1"))
            self._check(case, withdrawn, self.model.withdraw(case, "resolved"))
        else:
            self._check(case, withdrawn, self.model.withdraw(case, "resolved"))
            self._check(case, ruled, self.model.rule(case, Ruled.REJECT, RulingCode.OTHER, None, "op-1"))

    def all_happens_after(self, how: str, days: int) -> None:
        """And the worker does all that is due."""
        self.leap(how, days)
        self.fire_all()

    def some_happens_after(self, how: str, limit: int) -> None:
        """The worker does the oldest of what is due."""
        self.leap(how)
        self.fire(limit)

    def nothing_happens_after(self, how: str) -> None:
        """The worker is not there."""
        self.leap(how)

    def worker_dies_after(self, how: str, at: int) -> None:
        """In the middle of a transaction, after its effect; what it did before is done."""
        self.leap(how)
        self.fire(100, crash_at=at)

    def retry_what_is_listed(self, case: CaseModel) -> None:
        """What has stopped is for the cashier."""
        raise NotImplementedError

    def close_what_is_listed(self, case: CaseModel) -> None:
        """So is what will never be paid."""
        raise NotImplementedError

    def money_comes_back(self) -> None:
        """So is all that was granted."""
        raise NotImplementedError

    def ended(self, case: CaseModel) -> bool:
        """Whether nothing can come of a case any more."""
        raise NotImplementedError

    def check_touched(self) -> None:
        """Every case that something happened to is read back; from then on it is known that all agrees."""
        if self.touched:
            check_money(self.site)
        for case_id in sorted(self.touched):
            self.reader.check(self.model.cases[case_id], self.now)
        self.touched.clear()
        self.agrees = True

    def check_everything(self) -> None:
        """All cases, all money, all timers, and the site beside this one."""
        for case in self.model.cases.values():
            self.reader.check(case, self.now)
        check_money(self.site)
        check_timers(self.site)
        assert everything_of(self.bystander) == self.untouched

    def run_out(self) -> None:
        self._time_runs_out()
        self.money_comes_back()
        self._time_runs_out()
        for case in self.model.cases.values():
            self.say(f"ended {case.status}")
            assert self.ended(case), case.status
            assert all(timer.state != "pending" for timer in case.timers.values())

    def _time_runs_out(self) -> None:
        for _ in range(80):
            due = self.model.next_due()
            if due is not None:
                self.set_time(due + INSTANT)
            self.fire_all()
            for case in [case for case in self.model.cases.values() if case.status in ("in_review", "appealed")]:
                answer = self._rule(case, Ruled.REJECT, RulingCode.OTHER, None, "op-9")
                self._check(case, answer, self.model.rule(case, Ruled.REJECT, RulingCode.OTHER, None, "op-9"))
            if self.model.next_due() is None and not any(case.due(self.now) for case in self.model.cases.values()):
                break

    def _case(self, number: int) -> CaseModel:
        """Mostly one that is open, so that something can happen."""
        everything = list(self.model.cases.values())
        still_open = [case for case in everything if case.status in OPEN]
        cases = still_open if still_open and number < 9 else everything
        return cases[number % len(cases)]

    def _request(self, case: CaseModel, step: str, body: Any, **more: Any) -> Request:
        return Request("POST", f"{path_of(case.case_id)}/{step}", body, **more)

    def _post(self, case: CaseModel, step: str, body: Any, **more: Any) -> Answer:
        return self._send(self._request(case, step, body, **more))

    def _rule(self, case: CaseModel, outcome: Ruled, code: RulingCode, amount: int | None, by: str) -> Answer:
        body = {"outcome": outcome.value, "code": code.value, "text": "已核实", "by": by}
        given = {} if amount is None else {"amount": amount}
        return self._post(case, "ruling", {**body, **given}, key=self._key())

    def _check(self, case: CaseModel, answer: Answer, refusal: Refusal | None) -> None:
        if refusal is None:
            self._answered(case, answer)
        elif refusal.status == 422:
            assert (answer.status, answer.body["errors"][0]["code"]) == (422, refusal.code), answer.raw
        else:
            assert (answer.status, answer.body["code"]) == (refusal.status, refusal.code), answer.raw
            if refusal.code == "not_allowed_now":
                named = {action for action, _, _ in case.allowed(self.now) if action not in _ELSEWHERE}
                assert all(action in answer.body["detail"] for action in named), (answer.body["detail"], named)

    def _answered(self, case: CaseModel, answer: Answer) -> None:
        assert answer.status in (200, 201), answer.raw
        assert answer.etag == f'"{case.version}"', (answer.etag, case.version)
        self.reader.compare(case, answer.body, self.now)
        self.touched.add(case.case_id)

    def _pieces(self, kind: str, reason: Reason, order_no: str) -> tuple[Evidence, ...]:
        match kind:
            case "what_is_needed":
                return tuple(_piece(each, self.now) for each in PIECES.get(reason, (EvidenceKind.OTHER,)))
            case "a_statement":
                said = replace(_piece(EvidenceKind.THIRD_PARTY_STATEMENT, self.now), party=Party.THIRD_PARTY)
                return (replace(said, supports=Side.BUYER),)
            case "a_known_file":  # of one of two files, whoever puts it forward
                return (replace(_piece(EvidenceKind.CHAT_LOG, self.now), sha256=f"{len(order_no) % 2}" * 64),)
            case "a_private_chat":
                return (replace(_piece(EvidenceKind.CHAT_LOG, self.now), channel=ChatChannel.OFF_PLATFORM),)
            case _:
                return ()


def _documents(pieces: Sequence[Evidence]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _PIECES.dump_python(list(pieces), mode="json", exclude={"__all__": {"reused"}})
    return found


def _piece(kind: EvidenceKind, now: datetime) -> Evidence:
    return Evidence(kind, Party.BUYER, now, channel=ChatChannel.IN_PLATFORM, stamped=True)
