"""Where a worker's life can end: each place by name, and which of them a seed takes on.

A place that is not in this list fails the test until it is.
"""

from collections.abc import Iterator
from typing import Final

_TRANSACTIONS: Final = (
    "settling.lease_due",
    "settling._lease_of",
    "settling._ask",
    "settling._report",
    "settling._schedule",
    "reconciling.take_in",
    "reconciling.raise_overdrawn",
    "reconciling._ours",
    "reconciling._compare",
    "billing.read_bills",
    "billing._accounts_of",
    "billing._claimed",
    "billing._end",
    "overdue.raise_due",
    "overdue._raise",
)
_CALLS: Final = (
    "wechat_pay.submit",
    "wechat_pay.query",
    "wechat_pay.refunds_of_day",
    "wechat_pay.refunds_of_day/_bill",
    "alipay.submit",
    "alipay.submit/_unless_paid/query",
    "alipay.query",
    "alipay.look_at_payment",
    "alipay.refunds_of_day",
    "alipay.refunds_of_day/_fetch_bill",
    "epay_v1.submit/_order",
    "epay_v1.submit/_call_refund",
    "epay_v1.query/_order",
    "epay_v1.look_at_payment/_order",
    "epay_v2.submit",
    "epay_v2.submit/query",
    "epay_v2.submit/query/_order",
    "epay_v2.query",
    "epay_v2.query/_order",
    "epay_v2.look_at_payment/_order",
)
_SELDOM: Final = (
    "alipay.submit/_unless_paid",
    "alipay.refunds_of_day/_fetch_bill",
    "alipay.look_at_payment",
    "epay_v1.submit/_call_refund",
    "epay_v1.look_at_payment",
    "epay_v2.look_at_payment",
    "reconciling.raise_overdrawn",
    "reconciling._ours",
    "reconciling._compare",
    "billing.",
)
POINTS: Final = tuple(
    f"{name} {where}"
    for names, places in (
        (_TRANSACTIONS, ("begins", "before its commit", "after its commit")),
        (_CALLS, ("before it is sent", "after it was answered")),
    )
    for name in names
    for where in places
)


def share_of(seed: int) -> Iterator[str]:
    """Its points of the list: every seventh, every other one of those that are seldom reached; others the next time."""
    for place, point in enumerate(POINTS):
        if (place + seed) % (2 if point.startswith(_SELDOM) else 7) == 0:
            yield point
