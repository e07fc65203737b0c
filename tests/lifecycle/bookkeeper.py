"""What others do with the same money: channels tell what went back without us, their bills speak of ours, sites correct
what they told, and several cases compete for one payment.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from app.outbound.channels.said import FoundRefund
from app.rules.facts import Channel, DeliveryMode, Payment, PaymentStatus, Reason, RulingCode
from app.rules.settlement import RefundState
from tests.lifecycle.cashier import Cashier, Refund
from tests.lifecycle.checking import check_deposits, check_payments
from tests.lifecycle.found_model import Listed
from tests.lifecycle.office import INSTANT
from tests.lifecycle.reconciliation_model import Day, day_of, row_of, rows, totals
from tests.lifecycle.refund_model import CLOCKS_DIFFER, RefundModel

# For a second claim on an order of which something was granted already.
OTHER_REASONS = (Reason.OTHER, Reason.SHORT_DELIVERY, Reason.NOT_WORKING, Reason.INVALID_GOODS)
MOST_CASES = 12
MOST_REFUNDS = 14


class Bookkeeper(Cashier):
    """The cashier, and the books of the channels beside the cashier's own."""

    # --- what others paid back

    def found(self, of: int, how: str, when: str) -> None:
        """The channel tells of refunds over one payment: by others, of ours, in single ones or as a sum."""
        self.check_touched()  # so that every refund is known by its number
        payment = self._some_payment(of)
        listed, total = self._told(payment, how, self._moment(when))
        self._finds("P-unheard-of" if how == "unheard_of" else payment.payment_no, listed, total)

    def found_again(self, of: int, how: str) -> None:
        """What the channel listed before, once more: the same, or more, or less of it."""
        self.check_touched()
        known = [
            each for number, each in self.model.records.payments.items() if self.model.records.found[number].listed
        ]
        payment = known[of % len(known)] if known else self._some_payment(of)
        for each in (how,) if known else ("a_part", how):
            listed, total = self._told(payment, each, self.now)
            self._finds(payment.payment_no, listed, total)

    def _finds(self, payment_no: str, listed: Sequence[Listed], total: int | None) -> None:
        self.agrees = False
        self.say(f"{self.now.isoformat()} found over {payment_no}: {total} {listed}")
        raised = self.site.find(payment_no, total, [_as_seen(each) for each in listed])
        assert raised == self.model.finds(payment_no, listed, total)
        self._touch(payment_no)

    def _told(  # noqa: C901 - a table of cases
        self, payment: Payment, how: str, at: datetime | None
    ) -> tuple[list[Listed], int | None]:
        records, number = self.model.records, f"60-{next(self.numbers)}"
        left = records.left_of(payment)
        found = records.found[payment.payment_no]
        ours = [each for _, each in self.model.refunds if each.payment_no == payment.payment_no]
        mine = sum(each.amount for each in ours if each.state != "closed")
        one = Listed(number, min(1_000, payment.amount), at=at)
        match how:
            case "the_rest":
                return [replace(one, amount=max(1, left))], None
            case "beyond":
                return [replace(one, amount=left + 2_500)], None
            case "all":
                return [replace(one, amount=payment.amount)], None
            case "under_way" | "failed" | "closed":
                return [replace(one, state="processing" if how == "under_way" else how)], None
            case "again" | "more_of_it" | "less_of_it" if found.listed:
                number, known = next((key, known) for key, known in found.known.items() if key is not None)
                more = {"again": 0, "more_of_it": 700, "less_of_it": -1}[how]
                return [Listed(number, known.amount + more, at=at)], None
            case "a_sum":
                return [], mine + 1_500
            case "a_sum_beyond":
                return [], mine + records.found[payment.payment_no].amount + left + 400
            case "a_sum_of_ours":
                return [], mine
            case "single_and_sum":
                return [one, replace(one, number=f"{number}-2")], mine + 2_600
            case "ours" if ours:
                return [replace(one, refund_no=each.refund_no, amount=each.amount) for each in ours], mine
            case "ours_by_its_number" if any(each.number for each in ours):
                return [replace(one, number=each.number) for each in ours if each.number is not None], None
            case _:
                return [one, replace(one, number=f"{number}-2", amount=1)], None

    def billed(self, of: int, state: str, twist: str, when: str) -> None:
        """The channel's own bill names a refund of ours: that is a report like any other, but not an adapter's."""
        found = self._some_refund(of)
        if found is None:
            return
        refund = found[1]
        at, number = self._moment(when, refund), refund.number or f"50-{refund.refund_no}"
        line = Listed(number, refund.amount, refund.refund_no, state, at)
        line = {
            "another_amount": replace(line, amount=refund.amount + 1),
            "another_number": replace(line, number=f"{number}-b"),
            "another_payment": line,
            "not_ours": replace(line, number=f"60-{next(self.numbers)}", refund_no="rf-of-somebody-else"),
        }.get(twist, line)
        self._bills(self._some_payment(of).payment_no if twist == "another_payment" else refund.payment_no, line)

    def _bills(self, payment_no: str, line: Listed) -> None:
        self.agrees = False
        self.say(f"{self.now.isoformat()} billed over {payment_no}: {line}")
        self.site.bill([(payment_no, _as_seen(line))])
        self.model.bills(payment_no, line)
        self._touch(payment_no)
        self.touched |= {case.case_id for case, refund in self.model.refunds if refund.refund_no == line.refund_no}

    def _touch(self, payment_no: str) -> None:
        """Every case of the payment's order may be another than before."""
        payment = self.model.records.payments.get(payment_no)
        order_no = None if payment is None else payment.order_no
        self.touched |= {case.case_id for case in self.model.cases.values() if case.order_no == order_no}

    def _moment(self, when: str, refund: RefundModel | None = None) -> datetime | None:
        last = self.now if refund is None or refund.reported_at is None else refund.reported_at
        return {
            "untold": None,
            "the_day_before": self.now - timedelta(days=1),
            "just_before_the_last": last - INSTANT,
            "in_the_future": self.now + CLOCKS_DIFFER + INSTANT,
        }.get(when, self.now)

    # --- what the site tells

    def amount_corrected(self, of: int, how: str) -> None:
        """The payment was of another amount than the site said at first; not of less than is gone."""
        payment = self._some_payment(of)
        gone = self.model.records.gone(payment)
        amount = {"more": payment.amount + 2_000, "as_gone": gone, "less_than_gone": gone - 1}[how]
        if amount > 0 and payment.refunded_amount <= amount:
            self._put_payment(replace(payment, amount=amount))

    def told_as_found(self, of: int, more: int) -> None:
        """The site tells of the same money that the channel told of, or of a little more."""
        payment = self._some_payment(of)
        back = self.model.records.found[payment.payment_no].amount + more
        if back <= payment.amount:
            self._put_payment(replace(payment, refunded_amount=back))

    # --- several cases, one payment

    def granted_again(self, of: int, amount: int | None) -> None:
        """Of an order of which something was granted, on another claim: of what is left, or nothing."""
        orders = [case.order_no for case, _ in self.model.refunds]
        if orders and len(self.model.cases) < MOST_CASES:
            self._grant_on(orders[of % len(orders)], amount, of)

    def _grant_on(self, order_no: str, amount: int | None, of: int = 0) -> None:
        free = [each for each in OTHER_REASONS if not self.model.stands_in_the_way(order_no, each)]
        place = list(self.model.records.orders).index(order_no)
        if free:
            self.granted(place, "standard", RulingCode.GOODWILL, amount, free[of % len(free)])

    def crowded_out(self, of: int, by: str, despite: bool) -> None:
        """A refund is closed, somebody takes what it leaves, and then it is to be replaced."""
        found = self._some_refund(of)
        if found is None or len(self.model.refunds) > MOST_REFUNDS:
            return
        payment = self.model.records.payments[found[1].payment_no]
        if by == "others_before":
            self._finds(payment.payment_no, [Listed(f"61-{next(self.numbers)}", payment.amount)], None)
        self._close(found)
        match by:
            case "the_old_number":  # it was paid after all, as the channel's bill says
                self._bills(payment.payment_no, Listed("61-0", found[1].amount, found[1].refund_no))
            case "another_case" if payment.order_no is not None:
                self._grant_on(payment.order_no, None, of)
            case "the_site":
                left = self.model.records.left_of(payment) - of % 2
                self._put_payment(replace(payment, refunded_amount=payment.refunded_amount + max(left, 0)))
            case "the_channel":
                self._finds(payment.payment_no, [Listed(f"61-{next(self.numbers)}", payment.amount)], None)
            case "a_part":
                self._finds(payment.payment_no, [Listed(f"61-{next(self.numbers)}", 1 + of)], None)
        self.check_touched()
        self._send_retry(found, None, despite=despite)

    def _close(self, found: Refund) -> None:
        """By a person, after it failed; one that cannot be closed stays as it is."""
        self.set_time(self.now + timedelta(seconds=1))
        self._report(found, self._said(found[1], "failed", "honest", "now"))
        self._give_up(found, "rejected")

    def two_compete(self, of: int, taken: int) -> None:
        """Two cases, each with a closed refund over one payment that has not enough for both, are retried at once."""
        if len(self.model.refunds) > MOST_REFUNDS or len(self.model.cases) > MOST_CASES:
            return
        self.new_order(9_900, DeliveryMode.INSTANT)
        place = len(self.model.records.orders) - 1
        for amount, reason in ((5_000, Reason.NOT_WORKING), (4_900, Reason.OTHER)):
            self.granted(place, "standard", RulingCode.GOODWILL, amount, reason)
        self.check_touched()
        order_no = list(self.model.records.orders)[-1]
        pair = [each for each in self.model.refunds if each[0].order_no == order_no]
        if len(pair) < 2:  # a buyer who struck out is granted nothing without more
            return
        for each in pair:
            self._close(each)
        self._finds(pair[0][1].payment_no, [Listed(f"62-{next(self.numbers)}", taken)], None)
        self.check_touched()
        requests = [self._retrying(refund, None) for _, refund in pair]
        answers = self.site.send_together(requests)
        self.agrees = False
        self.say(f"{self.now.isoformat()} both at once: {requests} -> {[each.status for each in answers]}")
        assert sorted(each.status for each in answers) == [200, 409]
        for found, answer in sorted(zip(pair, answers, strict=True), key=lambda each: each[1].status):
            self._retried(found, answer, self.model.retry(*found, None), is_last=answer.status == 200)

    def twice_paid(self, of: int) -> None:
        """A second payment for an order that is known, before anything else happens to it."""
        self.payment(of, True, PaymentStatus.SUCCEEDED, 0)

    # --- what a person does

    def closed_by_hand(self, of: int, code: str) -> None:
        """Whatever it stands at, for whatever reason."""
        found = self._some_refund(of)
        if found is not None:
            self._give_up(found, code)

    def not_listed_not_done(self, of: int) -> None:
        """Where `next` does not offer to retry or to close, neither can be done to any refund of the case."""
        found = self._some_refund(of)
        for case, refund in [] if found is None else [(found[0], each) for each in found[0].refunds]:
            listed = {action for action, _, _ in case.allowed(self.now)}
            if "retry_refund" not in listed:
                assert self._send_retry((case, refund), None, despite=True) is not None
            if "close_refund" not in listed:
                self._give_up((case, refund), "other")

    # --- what has to hold

    def reconciled(self, of: int, days: int, channel: Channel | None) -> None:
        """A day's report, page by page."""
        self.check_touched()
        self._check_day(day_of(self.now) - timedelta(days=days), channel, limit=1 + of)

    def _check_day(self, date: object, channel: Channel | None = None, limit: int = 100) -> None:
        day = Day(date)  # type: ignore[arg-type]
        named = "" if channel is None else f"&channel={channel.value}"
        path = f"/v1/reconciliation?day={day.date.isoformat()}{named}&limit={limit}"
        first, found = self.site.whole(path, "rows")
        wanted = rows(self.model, day, channel)
        shown = wanted.__class__(map(row_of, found))
        assert shown == wanted, f"found, wanted: {shown - wanted}, {wanted - shown}"
        assert first["totals"] == totals(wanted)

    def check_touched(self) -> None:
        """Beside the cases: every payment, every deposit, and today's report."""
        touched = bool(self.touched)
        super().check_touched()
        if touched:
            check_payments(self.site, self.model.records)
            check_deposits(self.site, self.model.deposits.ledgers)
            self._check_day(day_of(self.now))

    def check_everything(self) -> None:
        """And the report of every day on which something was told."""
        super().check_everything()
        told = {self.now, *(refund.reported_at or self.now for _, refund in self.model.refunds)}
        told |= {at for _, refund in self.model.refunds for _, at in refund.contradicted}
        told |= {known.found_at for found in self.model.records.found.values() for known in found.known.values()}
        for date in sorted({day_of(at) for at in told}):
            self._check_day(date)

    def _some_payment(self, of: int) -> Payment:
        """Mostly one over which something is promised."""
        payments = self.model.records.payments
        promised = [each for number, each in payments.items() if self.model.records.promised[number]]
        chosen = promised if promised and of < 6 else list(payments.values())
        return chosen[of % len(chosen)]


def _as_seen(listed: Listed) -> FoundRefund:
    return FoundRefund(listed.number, listed.refund_no, listed.amount, RefundState(listed.state), listed.at)
