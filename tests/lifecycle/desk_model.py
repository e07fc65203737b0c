"""A site's after-sales desk as a model: records, cases, and what each request and each deadline does to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from app.rules.adjudicate import Verdict, judge
from app.rules.facts import (
    Buyer,
    Claim,
    Course,
    Evidence,
    Facts,
    Merchant,
    MerchantResponse,
    PaymentStatus,
    Position,
    Reason,
    Ruled,
    Ruling,
    RulingCode,
)
from app.rules.liability import Liability
from app.rules.presets import PRESETS
from app.rules.reasons import MERCHANT_FAULT
from app.rules.signals import Subject, signals_of
from tests.lifecycle.case_model import (
    CHORES,
    FREE_AGAIN,
    GRANTED,
    LEADS_TO,
    OPEN,
    PAYING_BACK,
    PROMISES,
    TOLD,
    CaseModel,
    Key,
    Refusal,
)
from tests.lifecycle.deposit_model import Deposits, Ledger
from tests.lifecycle.found_model import Explained, Listed, foreign
from tests.lifecycle.limits import arrival, limits, own
from tests.lifecycle.records_model import Records
from tests.lifecycle.refund_model import CLOCKS_DIFFER, ELSEWHERE, FINAL, TOLD_OF, Heard, RefundModel, Said

Check = Refusal | None


@dataclass
class DeskModel:
    """What a site should look like."""

    now: datetime
    records: Records = field(default_factory=Records)
    cases: dict[UUID, CaseModel] = field(default_factory=dict)
    deposits: Deposits = field(default_factory=Deposits)

    # --- records

    def changed(self, *, order_no: str | None = None, merchant_id: str | None = None) -> None:
        """A record of an order or of a merchant has changed: undecided cases are to be judged anew."""
        for case in self.cases.values():
            if case.status in OPEN and (case.order_no == order_no or case.merchant_id == merchant_id):
                case.chore("rejudge", self.now, for_sure=case.merchant_id == merchant_id)

    # --- judging

    def facts(self, case: CaseModel, course: Course | None) -> Facts:
        """All that is known of a case now."""
        order = self.records.orders[case.order_no]
        merchant = self.records.merchants.get(order.merchant_id)
        if merchant is not None:
            merchant = replace(merchant, deposit=self.deposits.free_for(order.merchant_id, case.case_id))
        elif case.answer is not None:
            merchant = Merchant(order.merchant_id)
        return Facts(
            as_of=self.now,
            claim=case.claim,
            order=order,
            payments=self.records.payments_of(case.order_no),
            deliveries=self.records.deliveries_of(case.order_no),
            evidence=tuple(case.evidence),
            merchant=None if merchant is None else replace(merchant, response=case.answer),
            buyer=Buyer(self._strikes(order.buyer_id, case)),
            course=course,
        )

    def _strikes(self, buyer_id: str, but: CaseModel) -> int:
        others = [case for case in self.cases.values() if case is not but and self._buyer(case) == buyer_id]
        return sum(
            strike and expires_at > self.now for case in others for _, strike, expires_at in case.strikes.values()
        )

    def _buyer(self, case: CaseModel) -> str:
        return self.records.orders[case.order_no].buyer_id

    def _judged(
        self, case: CaseModel, *, told: Sequence[str] = (), kept: Iterable[str] = (), appealing: bool = False,
        ruling: Ruling | None = None,
    ) -> None:  # fmt: skip
        course = case.course(self.now, appealing=appealing, ruling=ruling)
        verdict = judge(self.facts(case, course), PRESETS[case.policy])
        self._decided(case, verdict, told=told, kept=kept, appealing=appealing)

    def _decided(
        self, case: CaseModel, verdict: Verdict, *, told: Sequence[str], kept: Iterable[str] = (),
        appealing: bool = False,
    ) -> None:  # fmt: skip
        outcome, by_rule = verdict.outcome.value, verdict.standing.course.ruling is None
        status = LEADS_TO[outcome]
        if status == "in_review" and (appealing or case.status == "appealed"):
            status = "appealed"
        assert not (by_rule and outcome == "reject" and (appealing or case.appealed_at)), "rejected by rule on appeal"
        before = (case.status, case.acted_on()) if case.verdicts else None
        self._overturn(case, verdict)
        case.verdicts.append(verdict)
        case.limits = limits(verdict, verdict.standing.facts, case.terms)
        promises = {"review", "first_answer"} if outcome in ("approve", "reject") else set()
        case.expect(case.limits, {*kept, *promises}, self.now)
        is_first = before is None
        if before != (status, case.acted_on()) and not (is_first and outcome == "wait"):
            told = (*told, TOLD[outcome])
        was, most = case.status, self.grantable(case)
        case.move(status, self.now, told, appealing=appealing)
        self._pay_back(case, verdict)
        self._book(case, was, most)
        self._strike(case, verdict)

    def _pay_back(self, case: CaseModel, verdict: Verdict) -> None:
        assert (verdict.refund is not None) is (verdict.outcome.value == "approve")
        for share in () if verdict.refund is None else verdict.refund.shares:
            assert share.amount > 0
            self.records.promised[share.payment.payment_no] += share.amount
            assert not self.records.overdrawn(self.records.payments[share.payment.payment_no])
            case.refunds.append(self._asked_for(case, share.payment.payment_no, share.amount))
            case.told.append("refund.requested")
        if verdict.refund is not None and verdict.liability is Liability.MERCHANT:
            case.chore("refund_rate", self.now)

    def _asked_for(self, case: CaseModel, payment_no: str, amount: int) -> RefundModel:
        payment = self.records.payments[payment_no]
        expected_by = arrival(self.now, payment.channel, case.terms)
        gone = self.records.gone_by_others(payment)
        return RefundModel(payment_no, payment.channel, amount, self.now, expected_by, gone_before=gone)

    # --- deposits

    def ledger(self, case: CaseModel) -> Ledger:
        """Of the case's merchant."""
        return self.deposits.ledgers[case.merchant_id]

    def _book(self, case: CaseModel, was: str, most: int = 0) -> None:
        """Frozen while the case is open, if the policy freezes; drawn on by its approval; else free again."""
        freezes = case.terms.freezes and case.claim.reason in MERCHANT_FAULT
        if freezes and was not in OPEN and case.status in OPEN:
            self.ledger(case).hold(case.case_id, most)
        if was not in GRANTED and case.status in GRANTED:
            self._draw(case, sum(each.amount for each in case.refunds))
        if freezes and was in OPEN and case.status not in OPEN:
            self.ledger(case).release(case.case_id)

    def _draw(self, case: CaseModel, amount: int) -> None:
        if self.ledger(case).draw(self._funding(case), case.case_id, amount):
            case.told.append("merchant.deposit_deducted")

    def _funding(self, case: CaseModel) -> str:
        refund = case.verdicts[-1].refund
        assert refund is not None
        return refund.funding.value

    # --- what becomes of the money

    @property
    def refunds(self) -> list[tuple[CaseModel, RefundModel]]:
        """Every refund of the site, with its case."""
        return [(case, refund) for case in self.cases.values() for refund in case.refunds]

    def report(self, case: CaseModel, refund: RefundModel, said: Said, source: str = "adapter") -> Heard | Refusal:
        """Somebody says what became of a refund."""
        if said.failure == "refunded_elsewhere" and said.state != "closed":
            return Refusal(422, "elsewhere_is_closed")
        if said.at > self.now + CLOCKS_DIFFER:
            return Refusal(422, "in_the_future")
        if said.at < self.records.payments[refund.payment_no].paid_at:
            return Refusal(422, "before_the_payment")
        others = [each for _, each in self.refunds if each is not refund]
        heard = refund.weigh(said, others)
        if source == "reconciliation" and refund.other_account is not None and said.state != "succeeded":
            heard = Heard("late")  # the way that it came is not the way that it goes
        times = refund.keep(said, heard, self.now, source)
        if heard.verdict == "applied":
            self._applied(case, refund, said)
        elif heard.verdict == "repeated" and refund.state not in ("succeeded", "closed"):
            refund.reported_at = said.at if refund.reported_at is None else max(refund.reported_at, said.at)
        elif heard.verdict == "conflict" and times == 1:
            case.move(case.status, self.now, ("refund.conflict",))
        if heard.conflict is not None and source == "reconciliation":
            self._contradicted_by_the_channel(case, refund, said, is_new=times == 1 and heard.conflict != "payment_no")
        return heard

    def _contradicted_by_the_channel(self, case: CaseModel, refund: RefundModel, said: Said, *, is_new: bool) -> None:
        """What the channel says that it paid of a closed refund is found money."""
        if is_new and (refund.state, said.state) == ("closed", "succeeded"):
            paid = (said.number or refund.number, said.amount or refund.amount, said.at)
            if self.records.found[refund.payment_no].take([paid], self.now):
                self.changed(order_no=case.order_no)
        self._raise(refund.payment_no)

    def _applied(self, case: CaseModel, refund: RefundModel, said: Said) -> None:
        refund.goes_to(said)
        if refund.state == "closed":
            self.records.promised[refund.payment_no] -= refund.amount
            refund.ended_at = self.now
            if refund.is_back:
                self._gone_elsewhere(refund.payment_no)
            self.changed(order_no=case.order_no)  # there is more to give now
            if self._funding(case) in ("deposit", "platform_advance"):
                self.ledger(case).reverse(case.case_id, refund.amount)
        status = case.status_by_refunds if case.status in PAYING_BACK else case.status
        if status == "refunded":
            case.expect({}, ("money_back",), self.now)
        case.move(status, self.now, (TOLD_OF[refund.state],) if refund.state in TOLD_OF else ())

    def retry(self, case: CaseModel, refund: RefundModel, account: str | None, *, despite: bool = False) -> Check:
        """A person lets a refund go on that has stopped: only a closed one gets another in its place."""
        refusal = case.refusal("retry_refund", self.now)
        if refusal is None and not refund.is_stopped:
            return Refusal(409, "refund_replaced" if refund.is_replaced else "refund_not_stopped")
        pays_anew = refund.state == "closed" or account is not None
        if refusal is None and pays_anew and refund.is_doubted and not despite:
            return Refusal(409, "refund_disputed")
        if refusal is None and account is not None and refund.has_a_way_back:
            return Refusal(409, "original_route_open")
        if refusal is None and refund.state == "closed":
            refusal = self._replace(case, refund, account)
        elif refusal is None:
            refund.is_asked_again(self.now, arrival(self.now, refund.channel, case.terms), account)
        if refusal is None:
            case.acts.append("refund_retry")
            case.move(case.status_by_refunds, self.now, ("refund.requested",))
            if refund.state == "closed":
                self._draw(case, refund.amount)
        return refusal

    def _replace(self, case: CaseModel, refund: RefundModel, account: str | None) -> Check:
        if self.records.left_of(self.records.payments[refund.payment_no]) < refund.amount:
            return Refusal(409, "refund_exceeds_payment")
        another = self._asked_for(case, refund.payment_no, refund.amount)
        another.replaces, another.other_account = refund, account or refund.other_account
        refund.is_replaced = True
        self.records.promised[refund.payment_no] += refund.amount
        case.refunds.append(another)
        return None

    def give_up(self, case: CaseModel, refund: RefundModel, code: str) -> Check:
        """A person ends a refund that has stopped, and that the channel will never pay."""
        refusal = case.refusal("close_refund", self.now)
        if refusal is None and not refund.can_be_given_up:
            return Refusal(409, "refund_not_stopped")
        if refusal is None:
            said = Said("closed", self.now, None, failure=code)
            refund.keep(said, Heard("applied"), self.now, "person")
            case.acts.append("refund_closing")
            self._applied(case, refund, said)
        return refusal

    # --- what others paid back

    def finds(self, payment_no: str, listed: Sequence[Listed], total: int | None) -> int:
        """A channel tells what went back over a payment; how many promises it raises that this is too much for."""
        over = [each for _, each in self.refunds if each.payment_no == payment_no]
        ours = [Explained(each.refund_no, each.number, each.amount, each.state != "closed") for each in over]
        strange = foreign(listed, total, ours)
        if payment_no not in self.records.payments or not strange:
            return 0
        if self.records.found[payment_no].take(strange, self.now):
            self.changed(order_no=self.records.payments[payment_no].order_no)
        return self._raise(payment_no)

    def _raise(self, payment_no: str) -> int:
        """Every promise that is still open over an overdrawn payment; each is told once of the same amount."""
        beyond = self.records.overdrawn(self.records.payments[payment_no])
        said = Said("succeeded", self.now, beyond, currency=None)
        promised = [each for each in self.refunds if each[1].payment_no == payment_no and each[1].state not in FINAL]
        raised = promised if beyond else []
        for case, refund in raised:
            if refund.keep(said, ELSEWHERE, self.now, "reconciliation") == 1:
                case.move(case.status, self.now, ("refund.conflict",))
        return len(raised)

    def _gone_elsewhere(self, payment_no: str) -> None:
        """What closed refunds since it was paid by another way is gone, beside what was when those were made."""
        over = [each for _, each in self.refunds if each.payment_no == payment_no]
        closed = [each for each in over if each.state == "closed" and each.is_back]
        gone = [
            one.gone_before + sum(each.amount for each in closed if each is one or each.ended_at > one.created_at)
            for one in closed
        ]
        self.records.found[payment_no].take([(None, max(gone), None)], self.now)

    def bills(self, payment_no: str, listed: Listed) -> None:
        """A line of the channel's bill: of a refund of ours it is a report, of any other it is found."""
        ours = next(((case, each) for case, each in self.refunds if each.refund_no == listed.refund_no), None)
        if ours is None or listed.refund_no is None:
            self.finds(payment_no, [listed], None)
            return
        refund, at = ours[1], listed.at or self.now
        if (refund.state, refund.amount, refund.payment_no) != (listed.state, listed.amount, payment_no):
            number = listed.number if refund.number is None else None  # an adapter may call it otherwise than the bill
            said = Said(listed.state, at, listed.amount, number, currency=None, payment_no=payment_no)
            self.report(*ours, said, "reconciliation")  # of an odd moment it is nothing
        if refund.payment_no != payment_no:
            self.finds(payment_no, [listed], None)

    def overdue(self) -> list[tuple[CaseModel, RefundModel]]:
        """What nobody has taken, or what is not there, in its time, and was not told yet; the oldest first."""
        late = [(case, each) for case, each in self.refunds if each.overdue_at and each.overdue_at < self.now]
        return sorted(late, key=lambda each: each[1].overdue_at or self.now)

    def tell_overdue(self, case: CaseModel, refund: RefundModel) -> None:
        """What comes after it is awaited from now on."""
        refund.overdue_at = refund.expected_by if refund.expected_by >= self.now else None
        refund.version += 1
        case.move(case.status, self.now, ("refund.overdue",))

    # --- signals

    def _strike(self, case: CaseModel, verdict: Verdict) -> None:
        before = verdict.standing.facts.buyer.strikes + sum(strike for _, strike, _ in case.strikes.values())
        lifetime, limit = verdict.standing.policy.strike_lifetime, verdict.standing.policy.strikes_limit
        seen = [each for each in signals_of(verdict) if each.subject is Subject.BUYER and each.kind not in case.strikes]
        case.strikes |= {each.kind: (each.rule, each.strike, self.now + lifetime) for each in seen}
        if before < limit <= before + sum(each.strike for each in seen):
            case.told.append("buyer.restriction_recommended")

    def _overturn(self, case: CaseModel, verdict: Verdict) -> None:
        """What is granted in the end was not asked for in bad faith, whatever a rule saw in it before."""
        if verdict.outcome.value == "approve" and case.verdicts:
            found = case.verdicts[-1].findings
            against = next((each.rule.id for each in found if each.outcome and each.outcome.value == "reject"), None)
            case.strikes = {kind: seen for kind, seen in case.strikes.items() if seen[0] != against}

    # --- what the parties do

    def stands_in_the_way(self, order_no: str, reason: Reason) -> bool:
        """One case at a time for an order and a reason, and none after it was granted."""
        return any(
            (case.order_no, case.claim.reason) == (order_no, reason) and case.status not in FREE_AGAIN
            for case in self.cases.values()
        )

    def file(self, case_id: UUID, order_no: str, claim: Claim, policy: str, pieces: Sequence[Evidence]) -> None:
        """A claim comes in."""
        order = self.records.orders[order_no]
        case = CaseModel(case_id, order_no, order.merchant_id, claim, policy)
        case.stands_aside = lambda: self.stands_in_the_way(order_no, claim.reason)
        case.evidence += self._weighed(case, pieces)
        verdict = judge(self.facts(case, None), PRESETS[policy])
        self.cases[case_id] = case
        self._decided(case, verdict, told=("case.filed",))

    def _weighed(self, case: CaseModel, pieces: Sequence[Evidence]) -> list[Evidence]:
        used = {
            each.sha256 for other in self.cases.values() for each in other.evidence if other.order_no != case.order_no
        } - {None}
        return [replace(each, reused=each.sha256 in used) for each in pieces]

    def supply(self, case: CaseModel, pieces: Sequence[Evidence]) -> Check:
        """More evidence."""
        refusal = case.refusal("supply_evidence", self.now)
        if refusal is None:
            case.evidence += self._weighed(case, pieces)
            self._judged(case, kept=("evidence_supplement",))
        return refusal

    def respond(self, case: CaseModel, position: Position, pieces: Sequence[Evidence] = ()) -> Check:
        """The merchant's answer."""
        refusal = case.refusal("respond", self.now)
        if refusal is None:
            case.evidence += self._weighed(case, pieces)
            case.answers.append(MerchantResponse(position, self.now))
            case.acts.append("merchant_response")
            self._judged(case, kept=("merchant_turn",))
        return refusal

    def withdraw(self, case: CaseModel, because: str) -> Check:
        """The buyer gives up, or takes what the merchant offers instead."""
        refusal = case.refusal("withdraw", self.now)
        if refusal is None and because == "reissue_accepted" and not case.offers_reissue:
            return Refusal(409, "no_reissue_offered")
        if refusal is None:
            case.acts.append("withdrawal")
            self._end(case, "withdrawn", "case.withdrawn")
        return refusal

    def _end(self, case: CaseModel, status: str, told: str) -> None:
        """Without a decision."""
        was = case.status
        case.expect({}, (), self.now)
        case.move(status, self.now, (told,))
        self._book(case, was)

    def appeal(self, case: CaseModel, pieces: Sequence[Evidence]) -> Check:
        """Once, in time, with something new."""
        refusal = case.refusal("appeal", self.now)
        known = [replace(each, reused=False) for each in case.evidence]
        files = {each.sha256 for each in known} - {None}
        if refusal is None and not any(each not in known and each.sha256 not in files for each in pieces):
            return Refusal(422, "no_new_evidence")
        if refusal is None:
            case.evidence += self._weighed(case, pieces)
            case.acts.append("appeal")
            self._judged(case, told=("case.appealed",), kept=("appeal",), appealing=True)
        return refusal

    def escalate(self, case: CaseModel) -> Check:
        """It is taken elsewhere; nothing changes here."""
        refusal = case.refusal("escalate", self.now)
        if refusal is None:
            case.acts.append("escalation")
            case.move(case.status, self.now)
        return refusal

    def grantable(self, case: CaseModel) -> int:
        """The most that a person may grant, in fen."""
        facts = self.facts(case, case.course(self.now))
        paid = own(facts, PaymentStatus.SUCCEEDED)
        if case.claim.reason is Reason.DUPLICATE_CHARGE:  # the charge that pays for the order is kept
            kept = next((each for each in paid if each.remaining > 0), paid[0] if paid else None)
            paid = [each for each in paid if each is not kept]
        left = sum(each.remaining for each in paid)
        return left if case.claim.amount is None else min(left, case.claim.amount)

    def takes_two(self, case: CaseModel) -> bool:
        """Whether so much is at stake that one person cannot grant all of it."""
        above = case.terms.two_people_above
        return above is not None and self.grantable(case) > above

    def rule(self, case: CaseModel, outcome: Ruled, code: RulingCode, amount: int | None, by: str) -> Check:
        """A person decides, or proposes what a second one has to confirm."""
        refusal = case.refusal("rule", self.now)
        if refusal is not None:
            return refusal
        granted = None
        if outcome is Ruled.APPROVE:
            most = self.grantable(case)
            if most == 0:
                return Refusal(409, "nothing_to_grant")
            if amount is not None and amount > most:
                return Refusal(422, "more_than_grantable")
            granted = most if amount is None else amount
            above = case.terms.two_people_above
            if above is not None and granted > above:
                if case.proposal is None or case.proposal[1] != granted:
                    case.acts.append("ruling_proposal")
                    case.move(case.status, self.now)
                    case.proposed = (by, granted, self.now)
                    return None
                if case.proposal[0] == by:
                    return Refusal(409, "second_person_needed")
        case.acts.append("ruling")
        self._judged(case, ruling=Ruling(outcome, code, self.now, granted), kept=("review", "first_answer"))
        return None

    # --- what time does

    def fires(self, case: CaseModel, key: Key) -> None:
        """A timer takes effect."""
        name, kind, _ = key
        assert key in case.due(self.now), f"{name} {kind} is not due"
        case.timers[key].state = "fired"
        if kind == "approaching":
            self._remind(case, key)
        elif name in ("rejudge", "wait", "merchant_turn"):
            self._judge_if_new(case)
        elif name in PROMISES:
            case.move(case.status, self.now, ("case.deadline_missed",))
        elif name == "evidence_supplement":
            assert case.status == "awaiting_evidence"
            self._end(case, "lapsed", "case.lapsed")
        else:
            assert name in CHORES or name in ("appeal", "channel_dispute")

    def _remind(self, case: CaseModel, key: Key) -> None:
        running = [at for (name, kind, at), timer in case.timers.items()
                   if name == key[0] and kind == "due" and timer.state == "pending"]  # fmt: skip
        if not running or max(running) < self.now:
            case.timers[key].state = "void"
        else:
            case.move(case.status, self.now, ("case.deadline_approaching",))

    def _judge_if_new(self, case: CaseModel) -> None:
        if case.status not in OPEN:
            return
        verdict = judge(self.facts(case, case.course(self.now)), PRESETS[case.policy])
        if case.is_news(verdict):
            self._decided(case, verdict, told=())

    def next_due(self) -> datetime | None:
        """When the next thing of all is due, from now on."""
        timers = [timer for case in self.cases.values() for timer in case.timers.values() if timer.state == "pending"]
        due = [*(timer.next_attempt_at for timer in timers), *(refund.overdue_at for _, refund in self.refunds)]
        return min((at for at in due if at is not None and at >= self.now), default=None)
