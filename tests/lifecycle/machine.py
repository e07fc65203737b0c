"""The desk as hypothesis drives it: anything may happen in any order, and the model knows what has to come of it.

The rules are few and each draws what it is about, so that every example has some of everything.
"""

from typing import Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.rules.facts import (
    CancelledBy,
    Channel,
    DeliveryMode,
    MerchantStatus,
    OrderStatus,
    PaymentStatus,
    Position,
    Reason,
    Ruled,
    RulingCode,
)
from tests.lifecycle.bookkeeper import Bookkeeper
from tests.lifecycle.cashier import ODD
from tests.lifecycle.desk import SAMPLE
from tests.lifecycle.service import Service, Site

MOST_ORDERS, MOST_CASES = 4, 8
REASONS = (
    Reason.NOT_WORKING, Reason.NOT_DELIVERED, Reason.OTHER, Reason.INVALID_GOODS, Reason.NOT_WORKING,
    Reason.SHORT_DELIVERY, Reason.NOT_DELIVERED, Reason.WRONG_ACCOUNT, Reason.INVALID_GOODS, Reason.DELIVERED_LATE,
    Reason.DUPLICATE_CHARGE, Reason.CHANGE_OF_MIND, Reason.ORDER_CANCELLED,
)  # fmt: skip
NUMBERS = st.integers(0, 11)
PRICES = st.sampled_from((9_900, 600_000))
MODES = st.sampled_from(DeliveryMode)
DELIVERIES = st.sampled_from(
    ("not_yet", "unused", "not_yet", "unused", "used", "late", "short", "invalid", "sold_twice")
)
PIECES = st.sampled_from(
    ("nothing", "what_is_needed", "what_is_needed", "a_statement", "a_known_file", "a_private_chat")
)
SOME_PIECES = PIECES.filter(lambda kind: kind != "nothing")
PEOPLE = st.sampled_from(("op-1", "op-2"))
AMOUNTS = st.sampled_from((None, 550_000, None, 1, 700_000))
LEAPS = st.sampled_from(("just_after", "just_before", "exactly", "an_hour", "days"))
PARTS = st.sampled_from((None, None, None, None, 5_000))
POLICIES = st.sampled_from(("standard", "card_error", "binghui", "standard", "consumption"))
CLAIMS = st.tuples(NUMBERS, st.sampled_from(REASONS), PIECES, POLICIES, PARTS)
AT_FAULT = st.sampled_from((RulingCode.MERCHANT_FAILED, RulingCode.MERCHANT_FAILED, RulingCode.GOODWILL))
GRANTS = st.tuples(NUMBERS, POLICIES, AT_FAULT, st.sampled_from((None, None, 5_000)))
Grant = tuple[int, str, RulingCode, int | None]
Claim = tuple[int, Reason, str, str, int | None]


def _named(name: str, *values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *values)


# What somebody tells of the business, what somebody does in a case, what goes wrong with requests, what time brings.
TELLS = st.one_of(
    _named("delivery", DELIVERIES),
    _named("order_changes", st.sampled_from(OrderStatus), st.sampled_from(CancelledBy)),
    _named("payment", st.booleans(), st.sampled_from(PaymentStatus), st.sampled_from((0, 0, 100, 9_900))),
    _named("merchant", st.sampled_from(MerchantStatus), st.sampled_from((0, 1_000_000))),
)
DOES = st.one_of(
    _named("supply_evidence", SOME_PIECES),
    _named("respond", st.sampled_from(Position), st.booleans()),
    _named("person_rules", st.sampled_from(Ruled), NUMBERS, AMOUNTS, PEOPLE),
    _named("two_people_rule", NUMBERS, AMOUNTS, AMOUNTS),
    _named("what_is_listed_can_be_done", NUMBERS),
    _named("appeal", PIECES),
    _named("appealed_twice"),
    _named("two_people_rule", NUMBERS, AMOUNTS, AMOUNTS),
    _named("withdraw", st.sampled_from(("reissue_accepted", "reissue_accepted", "changed_mind"))),
    _named("escalate"),
)
GOES_ASTRAY = st.one_of(
    _named("what_is_not_listed_is_refused"),
    _named("sent_again", st.booleans()),
    _named("twice_at_once"),
    _named("too_old", st.sampled_from(sorted(SAMPLE)), st.integers(1, 3)),
    _named("withdrawn_and_ruled_at_once"),
)
# What becomes of the money. Adapters are honest mostly, and every step of theirs can go wrong.
STATES = st.sampled_from(("next", "next", "succeeded", "failed", "closed", "abnormal", "processing", "accepted"))
TWISTS = st.sampled_from(
    ("honest", "honest", "honest", "honest", "honest", "amount", "currency", "payment_no", "channel", "all_named",
     "another_number", "a_taken_number", "the_neighbours_number", "a_number_early")
)  # fmt: skip
WHEN = st.sampled_from(
    ("now", "now", "now", "as_the_last", "just_before_the_last", "just_after_the_last", "an_hour_ago",
     "a_day_ago", "a_day_ago", "by_a_fast_clock", "in_the_future", "before_the_payment")
)  # fmt: skip
ACCOUNTS = st.sampled_from((None, None, "acct-1"))
ENTRIES = st.sampled_from(("top_up", "withdrawal", "recourse_paid", "recourse_written_off"))
WAYS = st.lists(
    st.sampled_from(("next", "failed", "retry", "closed", "retry", "abnormal", "succeeded", "worker",
                     "given_up", "paid_elsewhere", "retry_elsewhere", "retry_despite", *ODD)),
    min_size=2, max_size=6,
)  # fmt: skip
PAYS = st.one_of(
    _named("walks", WAYS),
    _named("walks", WAYS),
    _named("walks", WAYS),
    _named("reported", STATES, TWISTS, WHEN),
    _named("said_again"),
    _named("at_once", st.sampled_from(("failed", "closed", "retry"))),
    _named("retried", ACCOUNTS),
    _named("retried_too_late", st.booleans()),
    _named(
        "refunds_listed",
        st.sampled_from((None, "requested", "failed", "succeeded")),
        st.sampled_from((None, True, False)),
    ),
    _named("refunds_become_overdue", LEAPS),
    _named("paid_back_by_hand", st.sampled_from(("all_that_is_left", "one_fen_too_many", "nothing", "a_little"))),
    _named("deposit_moves", ENTRIES, st.sampled_from((1, 9_900, 500_000)), st.booleans()),
)
# What others do with the same money.
FINDS = st.sampled_from(
    ("a_part", "the_rest", "beyond", "beyond", "all", "under_way", "failed", "a_sum", "a_sum_beyond", "a_sum_of_ours",
     "single_and_sum", "ours", "ours_by_its_number", "unheard_of")
)  # fmt: skip
CLOSED_FOR = st.sampled_from(
    ("refunded_elsewhere", "rejected", "account_gone", "too_late", "refunded_elsewhere", "insufficient_balance")
)
BOOKS = st.one_of(
    _named("found", FINDS, st.sampled_from(("now", "untold", "the_day_before"))),
    _named("found", FINDS, st.sampled_from(("now", "untold", "the_day_before"))),
    _named(
        "billed",
        st.sampled_from(("succeeded", "processing", "succeeded", "abnormal", "closed", "failed")),
        st.sampled_from(("right", "right", "another_amount", "another_number", "another_payment", "not_ours")),
        st.sampled_from(("now", "untold", "just_before_the_last", "in_the_future")),
    ),
    _named("found_again", st.sampled_from(("again", "more_of_it", "less_of_it"))),
    _named("amount_corrected", st.sampled_from(("more", "as_gone", "less_than_gone"))),
    _named("told_as_found", st.sampled_from((0, 1, 500))),
    _named("granted_again", st.sampled_from((None, 1_000, 5_000))),
    _named(
        "crowded_out",
        st.sampled_from(("another_case", "the_site", "the_channel", "a_part", "the_old_number", "others_before")),
        st.booleans(),
    ),
    _named("two_compete", st.sampled_from((100, 4_000))),
    _named("closed_by_hand", CLOSED_FOR),
    _named("not_listed_not_done"),
    _named("reconciled", st.integers(0, 2), st.sampled_from((None, *Channel))),
)
BRINGS = st.one_of(
    _named("all_happens_after", LEAPS, st.integers(1, 9)),
    _named("some_happens_after", LEAPS, st.integers(1, 2)),
    _named("nothing_happens_after", LEAPS),
    _named("worker_dies_after", LEAPS, st.integers(0, 2)),
)


class DeskMachine(RuleBasedStateMachine):
    """One example is one site. `service` and `bystander` are given by whoever runs it."""

    service: ClassVar[Service]
    bystander: ClassVar[Site]

    def __init__(self) -> None:
        super().__init__()
        self.desk = Bookkeeper(self.service, self.bystander, note)

    @initialize(
        orders=st.tuples(st.tuples(MODES, DELIVERIES), st.tuples(MODES, DELIVERIES)),
        claims=st.lists(CLAIMS, min_size=1, max_size=3),
        grants=st.lists(GRANTS, min_size=1, max_size=2),
        twice_paid=st.booleans(),
        deposit=st.sampled_from((None, 5_000, 1_000_000, 2_000_000)),
        found=st.sampled_from((None, "a_part", None, "a_sum", None)),
    )
    def begins(
        self, *, orders: tuple[tuple[DeliveryMode, str], ...], grants: list[Grant], claims: list[Claim],
        twice_paid: bool, deposit: int | None, found: str | None,
    ) -> None:  # fmt: skip
        for n, (mode, how) in enumerate(orders):
            self.desk.new_order((9_900, 600_000)[n], mode)
            if twice_paid:
                self.desk.payment(n, True, PaymentStatus.SUCCEEDED, 0)
            if deposit is not None:
                self.desk.merchant(n, MerchantStatus.ACTIVE, deposit)
            if how != "not_yet":
                self.desk.delivery(n, how)
        if found is not None:
            self.desk.found(6, found, "now")
        for grant in grants:
            self.desk.leap("an_hour")
            self.desk.granted(*grant)
        for claim in claims:
            self.desk.leap("an_hour")
            self.desk.file(*claim)
        if len(claims) < 3:  # a case that takes two people
            self.desk.new_order(600_000, DeliveryMode.INSTANT)
            self.desk.file(2, Reason.OTHER, "nothing", "card_error", None)

    @rule(claim=CLAIMS, price=PRICES, mode=MODES, how=st.sampled_from((None, "unused", "used")))
    def a_claim_comes_in(self, claim: Claim, price: int, mode: DeliveryMode, how: str | None) -> None:
        if len(self.desk.model.records.orders) < MOST_ORDERS and claim[0] > 6:
            self.desk.new_order(price, mode)
        if len(self.desk.model.cases) < MOST_CASES:
            self.desk.file(*claim, inline=how)

    @rule(of=NUMBERS, what=st.one_of(TELLS, DOES, DOES))
    def a_report_or_a_party(self, of: int, what: tuple[Any, ...]) -> None:
        self._do(of, what)

    @rule(of=NUMBERS, what=st.one_of(GOES_ASTRAY, GOES_ASTRAY, DOES, PAYS))
    def a_party_or_a_mishap(self, of: int, what: tuple[Any, ...]) -> None:
        self._do(of, what)

    @rule(what=BRINGS, of=NUMBERS, then=st.one_of(DOES, PAYS))
    def time_and_then_a_party(self, what: tuple[Any, ...], of: int, then: tuple[Any, ...]) -> None:
        name, *values = what
        getattr(self.desk, name)(*values)
        self._do(of, then)

    @rule(of=NUMBERS, way=WAYS, then=PAYS)
    def money_moves(self, of: int, way: list[str], then: tuple[Any, ...]) -> None:
        self.desk.walks(of, way)
        self._do(of, then)

    @rule(of=NUMBERS, what=BOOKS, then=st.one_of(BOOKS, PAYS))
    def others_pay_back(self, of: int, what: tuple[Any, ...], then: tuple[Any, ...]) -> None:
        self._do(of, what)
        self._do(of, then)

    def _do(self, of: int, what: tuple[Any, ...]) -> None:
        name, *values = what
        getattr(self.desk, name)(of, *values)

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        self.desk.check_touched()

    def teardown(self) -> None:
        """Time runs out: whatever is left comes to its end, in a bounded number of steps."""
        try:
            if self.desk.agrees:  # else it ends here, and the step that went wrong is what is reported
                self.desk.run_out()
                self.desk.check_everything()
        finally:
            self.desk.close()
