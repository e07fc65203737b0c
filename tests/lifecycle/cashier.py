"""What happens to money that was granted: adapters report, people let refunds go on, sites move deposits."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from app.rules.facts import Channel, DeliveryMode, PaymentStatus, Position, Reason, Ruled, RulingCode
from tests.lifecycle.case_model import WITH_A_PERSON, CaseModel, Refusal
from tests.lifecycle.checking import check_instructions
from tests.lifecycle.desk import Desk
from tests.lifecycle.office import INSTANT
from tests.lifecycle.refund_model import CLOCKS_DIFFER, FINAL, STOPPED, Heard, RefundModel, Said
from tests.lifecycle.service import Answer, Request

ENDS = frozenset({"rejected", "withdrawn", "lapsed", "refunded", "refund_failed"})
# A number that another site's refund bears, and two that anybody may use.
NUMBERS = ("50-known", "50-1", "50-2")
NEXT = {"requested": "accepted", "accepted": "processing"}
# Steps on a refund's way that nobody honest takes, or that come too late: what is said, how, and of which moment.
ODD = MappingProxyType({
    "another_amount": ("next", "amount", "now"),
    "another_currency": ("next", "currency", "now"),
    "another_number": ("next", "another_number", "now"),
    "another_channel": ("next", "channel", "now"),
    "a_taken_number": ("succeeded", "a_taken_number", "now"),
    "an_old_step": ("processing", "a_number_early", "just_before_the_last"),
    "an_old_failure": ("failed", "honest", "an_hour_ago"),
    "account_gone": ("failed", "account_gone", "now"),
    "failed_elsewhere": ("failed", "refunded_elsewhere", "now"),
    "closed_elsewhere": ("closed", "refunded_elsewhere", "now"),
})  # fmt: skip
POLICIES = ("standard", "binghui", "consumption", "card_error")
MOST_GRANTED = 6
Refund = tuple[CaseModel, RefundModel]


class Cashier(Desk):
    """The desk, and what becomes of the money that it grants."""

    def granted(
        self, of: int, policy: str, code: RulingCode, amount: int | None, reason: Reason = Reason.NOT_WORKING
    ) -> None:
        """A claim that the merchant contests and a person grants, whole or in part, at whoever's expense."""
        known = set(self.model.cases)
        self.file(of, reason, "what_is_needed", policy, None)
        for case in [case for case_id, case in self.model.cases.items() if case_id not in known]:
            contested = self._post(case, "merchant-response", {"position": "contest"}, key=self._key())
            self._check(case, contested, self.model.respond(case, Position.CONTEST))
            for by in ("op-1", "op-2"):
                if case.status in WITH_A_PERSON:
                    answer = self._rule(case, Ruled.APPROVE, code, amount, by)
                    self._check(case, answer, self.model.rule(case, Ruled.APPROVE, code, amount, by))

    def reported(self, of: int, state: str, twist: str, when: str) -> None:
        """What an adapter says of a refund: in honest steps, or otherwise."""
        found = self._some_refund(of)
        if found is not None:
            self._report(found, self._said(found[1], state, twist, when))

    def walks(self, of: int, steps: Sequence[str]) -> None:
        """One refund on a way of several steps, a second between any two; the worker may look in between."""
        found = self._some_refund(of)
        for step in steps if found is not None else ():
            assert found is not None
            self.set_time(self.now + timedelta(seconds=1))
            if step in ("retry", "retry_elsewhere", "retry_despite"):
                self._send_retry(
                    found, "acct-2" if step == "retry_elsewhere" else None, despite=step == "retry_despite"
                )
                found = next(((found[0], each) for each in found[0].refunds if each.replaces is found[1]), found)
            elif step == "worker":
                self.fire_all()
            elif step in ("given_up", "paid_elsewhere"):
                self._give_up(found, "rejected" if step == "given_up" else "refunded_elsewhere")
            else:
                self._report(found, self._said(found[1], *ODD.get(step, (step, "honest", "now"))))

    def said_again(self, of: int) -> None:
        """The very same report, in a request of its own."""
        said = [(case, refund, said) for (case, refund), said in self.reports]
        if said:
            case, refund, again = said[of % len(said)]
            self._report((case, refund), again)

    def at_once(self, of: int, other: str) -> None:
        """The money is back, says one, while another says that it is not or a person lets it go on: both in turn."""
        found = self._some_refund(of)
        if found is None or found[1].state in FINAL:
            return
        back = self._said(found[1], "succeeded", "honest", "now")
        requests = [self._reporting(found[1], back)]
        if other == "retry":
            requests.append(self._retrying(found[1], None))
        else:
            requests.append(self._reporting(found[1], self._said(found[1], other, "honest", "now")))
        one, two = self.site.send_together(requests)
        self.agrees = False
        self.say(f"{self.now.isoformat()} at once: {requests} -> {one.status}, {two.status}")
        first_is_back = two.status == 409
        for is_back in (first_is_back, not first_is_back):
            if is_back:
                self._heard(found, one, self.model.report(*found, back), is_last=not first_is_back)
            elif other == "retry":
                self._retried(found, two, self.model.retry(*found, None), is_last=first_is_back)
            else:
                said = self._said_of(requests[1])
                self._heard(found, two, self.model.report(*found, said), is_last=first_is_back)

    def retried(self, of: int, account: str | None) -> None:
        """Mostly one that has stopped; where it has not, it is refused."""
        found = self._some_refund(of, stopped=True)
        if found is not None:
            self._send_retry(found, account)

    def retried_too_late(self, of: int, consented: bool) -> None:
        """By somebody who saw it as it was before; or with a consent of tomorrow."""
        found = self._some_refund(of, stopped=True)
        if found is None:
            return
        case, refund = found
        if not consented:
            stale = replace(self._retrying(refund, None), if_match=f'"{refund.version + 1}"')
            assert self._send(stale).status == 412
        elif case.refusal("retry_refund", self.now) is None and refund.is_stopped and not refund.is_doubted:
            consented_at = self.now + CLOCKS_DIFFER + INSTANT
            answer = self._send(self._retrying(refund, "acct-9", consented_at=consented_at))
            self._check(case, answer, Refusal(422, "in_the_future"))

    def refunds_listed(self, of: int, state: str | None, overdue: bool | None) -> None:
        """All, or some of them; the newest first, page by page."""
        self.check_touched()
        payment_no = None if of < 9 else f"P-{of % 3}"
        wanted = [
            refund
            for _, refund in self.model.refunds
            if state in (None, refund.state)
            and overdue in (None, refund.is_overdue(self.now))
            and payment_no in (None, refund.payment_no)
        ]
        given = {"state": state, "overdue": overdue and "true", "payment_no": payment_no}
        if overdue is False:
            given["overdue"] = "false"
        asked = "".join(f"&{name}={value}" for name, value in given.items() if value is not None)
        found = self.site.pages(f"/v1/refunds?limit={1 + of % 3}{asked}")
        assert [each["id"] for each in found] == sorted((str(each.shown_id) for each in wanted), reverse=True)
        by_id = {refund.shown_id: (case, refund) for case, refund in self.model.refunds}
        for document in found:
            self.reader.compare_refund(*by_id[document["id"]], document)

    def deposit_moves(self, of: int, kind: str, amount: int, twice: bool) -> None:
        """A site tells of money at the same level; told again under its number it is booked once."""
        merchants = sorted(self.model.records.merchants)
        if not merchants:
            return
        merchant_id = merchants[of % len(merchants)]
        body = {"kind": kind, "amount": amount, "reference": f"T-{next(self.numbers)}"}
        ledger = self.model.deposits.ledgers[merchant_id]
        refused = ledger.states(kind, amount)
        for status in (201, 200) if twice else (201,):
            path = f"/v1/merchants/{merchant_id}/deposit/entries"
            answer = self._send(Request("POST", path, body, key=self._key()))
            wanted = (status, None) if refused is None else (409, refused)
            assert (answer.status, answer.body.get("code")) == wanted, answer.raw

    def refunds_become_overdue(self, of: int, how: str) -> None:
        """Time passes, and of all the worker does it only looks for what is late."""
        late = sorted(each.overdue_at for _, each in self.model.refunds if each.overdue_at is not None)
        if late:
            shift = {"just_before": -INSTANT, "exactly": timedelta(0)}.get(how, INSTANT)
            self.set_time(max(self.now, late[of % len(late)] + shift))
            self.touched |= set(self.model.cases)
        self.tell_overdue()

    # --- how all ends

    def check_everything(self) -> None:
        """Beside the cases: every refund with all that was said of it, every instruction, every deposit."""
        super().check_everything()
        for case, refund in self.model.refunds:
            self.reader.check_refund(case, refund)
        check_instructions(self.site, [refund for _, refund in self.model.refunds])
        for merchant_id, ledger in self.model.deposits.of(self.model.records.merchants).items():
            self.reader.check_deposit(merchant_id, ledger)

    def ended(self, case: CaseModel) -> bool:
        """Money that was granted comes back; else a person knows why not, and has to look into it outside."""
        if case.status != "refund_failed":
            return case.status in ENDS
        stopped = [each for each in case.refunds if each.is_stopped]
        return all(each.state == "closed" and self._cannot_go_on(case, each) for each in stopped)

    def _cannot_go_on(self, case: CaseModel, refund: RefundModel) -> bool:
        """Whether it would be more than there is."""
        return self._send_retry((case, refund), None, despite=True) is not None

    def money_comes_back(self) -> None:
        """Adapters and people do their work: whatever still can be paid is."""
        self.check_touched()
        for case, refund in list(self.model.refunds):
            if refund.state == "closed" and refund.is_stopped:
                self._send_retry((case, refund), None, despite=True)
        for case, refund in self.model.refunds:
            if refund.state not in FINAL:
                said = Said("succeeded", self.now, refund.amount, refund.number or f"51-{next(self.numbers)}")
                self._report((case, refund), said)
                assert refund.state == "succeeded"

    # --- requests

    def _some_refund(self, of: int, *, stopped: bool = False) -> Refund | None:
        """Mostly one with which something can happen; where there is none, one more is granted."""
        if all(refund.is_back for _, refund in self.model.refunds):
            self._grant(of)
        self.check_touched()  # so that every refund is known by its id
        every = self.model.refunds
        going = [each for each in every if (each[1].is_stopped if stopped else each[1].state not in FINAL)]
        chosen = going if going and of < 9 else every
        return chosen[of % len(chosen)] if chosen else None

    def _grant(self, of: int) -> None:
        granted = {case.order_no for case, _ in self.model.refunds}
        if len(granted) < MOST_GRANTED:
            self.new_order((9_900, 400_000)[of % 2], DeliveryMode.INSTANT)
            number = len(self.model.records.orders) - 1
            if of % 3 == 0:
                self.payment(number, True, PaymentStatus.SUCCEEDED, 0)
            code = RulingCode.GOODWILL if of % 5 == 4 else RulingCode.MERCHANT_FAILED
            self.granted(number, POLICIES[of % len(POLICIES)], code, None)
            if of % 3 == 1:  # another claim that waits for what the first one leaves
                self.file(number, Reason.OTHER, "nothing", "standard", None)

    def _said(self, refund: RefundModel, state: str, twist: str, when: str) -> Said:
        state = NEXT.get(refund.state, "succeeded") if state == "next" else state
        last = refund.reported_at or self.now
        at = {
            "now": self.now,
            "as_the_last": last,
            "just_before_the_last": last - INSTANT,
            "just_after_the_last": last + INSTANT,
            "an_hour_ago": self.now - timedelta(hours=1),
            "a_day_ago": self.now - timedelta(days=1),
            "by_a_fast_clock": self.now + CLOCKS_DIFFER,
            "in_the_future": self.now + CLOCKS_DIFFER + INSTANT,
            "before_the_payment": self.model.records.payments[refund.payment_no].paid_at - INSTANT,
        }[when]
        number = refund.number or f"50-{refund.refund_no}"
        failure = "rejected" if state in STOPPED else None
        honest = Said(state, at, refund.amount, number if state in ("processing", "succeeded") else None, failure)
        return _twisted(honest, twist, refund, self._another_number(refund))

    def _another_number(self, refund: RefundModel) -> str:
        """One that another refund of the channel's bears, if there is one."""
        others = (each.number for _, each in self.model.refunds if each is not refund and each.number is not None)
        return next(others, NUMBERS[1])

    def _report(self, found: Refund, said: Said) -> None:
        answer = self._send(self._reporting(found[1], said))
        self.reports.append((found, said))
        self._heard(found, answer, self.model.report(*found, said))

    def _reporting(self, refund: RefundModel, said: Said) -> Request:
        return Request("POST", f"/v1/refunds/{refund.shown_id}/result", said.body, key=self._key())

    def _said_of(self, request: Request) -> Said:
        body: dict[str, Any] = request.body
        at = datetime.fromisoformat(body["at"])
        failure = body["failure"]["code"] if "failure" in body else None
        return Said(body["state"], at, body["amount"], body.get("channel_refund_no"), failure)

    def _heard(self, found: Refund, answer: Answer, heard: Heard | Refusal, *, is_last: bool = True) -> None:
        case, refund = found
        self.touched.add(case.case_id)
        if isinstance(heard, Refusal):
            self._check(case, answer, heard)
            return
        assert (answer.status, answer.body.get("code")) == (heard.status, heard.code), (answer.raw, heard)
        if heard.status == 200:
            assert answer.body["verdict"] == heard.verdict
        if heard.status == 200 and is_last:
            assert answer.etag == f'"{refund.version}"'
            self.reader.compare_refund(case, refund, answer.body["refund"])

    def _retrying(
        self, refund: RefundModel, account: str | None, *, consented_at: datetime | None = None, despite: bool = False
    ) -> Request:
        consented = {"consented_at": (consented_at or self.now).isoformat(), "consent": "聊天记录 #12"}
        other = {"account_ref": account, "display": "招商银行 尾号 1234", **consented}
        body: dict[str, Any] = {"by": "op-1", **({} if account is None else {"other_account": other})}
        body |= {"despite_dispute": True} if despite else {}
        return Request("POST", f"/v1/refunds/{refund.shown_id}/retry", body, key=self._key())

    def _give_up(self, found: Refund, code: str) -> None:
        body = {"by": "op-1", "code": code, "note": "已向渠道核实"}
        answer = self._send(Request("POST", f"/v1/refunds/{found[1].shown_id}/close", body, key=self._key()))
        self._retried(found, answer, self.model.give_up(*found, code))

    def close_what_is_listed(self, case: CaseModel) -> None:
        """`next` names it, so there is a refund to close."""
        refund = next(each for each in case.refunds if each.can_be_given_up)
        self._give_up((case, refund), "other")
        assert refund.state == "closed"

    def _send_retry(self, found: Refund, account: str | None, *, despite: bool = False) -> Refusal | None:
        answer = self._send(self._retrying(found[1], account, despite=despite))
        refusal = self.model.retry(*found, account, despite=despite)
        self._retried(found, answer, refusal)
        return refusal

    def _retried(self, found: Refund, answer: Answer, refusal: Refusal | None, *, is_last: bool = True) -> None:
        case, refund = found
        self.touched.add(case.case_id)
        if refusal is not None:
            self._check(case, answer, refusal)
            return
        assert answer.status == 200, answer.raw
        goes_on = case.refunds[-1] if refund.is_replaced else refund
        if is_last:
            self.reader.compare_refund(case, goes_on, answer.body)
            assert answer.etag == f'"{goes_on.version}"'

    def retry_what_is_listed(self, case: CaseModel) -> None:
        """`next` names it, so there is a refund to retry; only what would pay twice or too much is refused still."""
        refund = next(each for each in case.refunds if each.is_stopped)
        self._send_retry((case, refund), None)


def _twisted(said: Said, twist: str, refund: RefundModel, taken: str) -> Said:
    number = refund.number or f"50-{refund.refund_no}"
    other = Channel.BALANCE if refund.channel is not Channel.BALANCE else Channel.ALIPAY
    changes: dict[str, dict[str, Any]] = {
        "amount": {"amount": refund.amount + 1},
        "currency": {"currency": "USD"},
        "payment_no": {"payment_no": "P-77"},
        "channel": {"channel": other},
        "all_named": {"payment_no": refund.payment_no, "channel": refund.channel},
        "another_number": {"number": f"{said.number or '50'}-x"},
        "a_taken_number": {"number": taken},
        "the_neighbours_number": {"number": refund.number or NUMBERS[0]},
        "a_number_early": {"number": number},
        "account_gone": {"failure": "account_gone"},
        "refunded_elsewhere": {"failure": "refunded_elsewhere"},
    }
    return replace(said, **changes.get(twist, {}))
