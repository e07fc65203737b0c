"""The statements of a day's reconciliation.

The report is a row of sections, each in the order of an index and told once, for its rows as for its sums: what is
counted is what is listed. A page goes on behind a position in one section, so that sections before it are not looked
at; everything that a row shows besides its place is looked up for the rows of the page alone. `OFFSET 0` keeps the
planner from turning such a look-up into a join with all that the site ever had.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from sqlalchemy import TextClause

from app.rules.settlement import ACCEPTED_WITHIN, FINAL, STOPPED, RefundState, ReportVerdict
from app.store.found import TOTAL
from app.store.statement import statement

_ACCEPTED_WITHIN: Final = f"make_interval(secs => {ACCEPTED_WITHIN.total_seconds()})"


class ReconciliationGroup(StrEnum):
    """对账分组: what a row of the report is to whoever holds it against the channel's own statement."""

    SETTLED = "settled"
    OPEN = "open"
    STOPPED = "stopped"
    CONFLICT = "conflict"
    FOUND = "found"
    OVERDRAWN = "overdrawn"


@dataclass(frozen=True, slots=True)
class _Section:
    """A part of the report. `source`: tables and condition; its rows lie in the order of `at`, if any, and `id`.

    `keys`: by what a row is found again, named as in `_NO_KEYS`.
    """

    group: ReconciliationGroup
    source: str
    id: str
    at: str | None
    amount: str
    keys: str

    @property
    def order(self) -> str:
        return self.id if self.at is None else f"{self.at}, {self.id}"

    @property
    def behind(self) -> str:
        return f"{self.id} > :refund_id" if self.at is None else f"({self.order}) > (:at, :refund_id)"

    def counted(self) -> str:
        return f"""
            SELECT '{self.group}' AS kind, count(*) AS count, coalesce(sum({self.amount}), 0) AS amount
            FROM {self.source}"""  # noqa: S608 - names and conditions are ours

    def page(self, place: int, *, resumed: bool) -> str:
        behind = f"AND {self.behind}" if resumed else ""
        return f"""
            (SELECT {place} AS section, {self.at or ":until"} AS at, {self.id} AS id, {self.amount} AS amount,
                    {self.keys}
             FROM {self.source} {behind} ORDER BY {self.order} LIMIT :limit)"""  # noqa: S608 - as above


_NO_KEYS: Final = {
    "refund_id": "CAST(NULL AS uuid)",
    "n": "CAST(NULL AS integer)",
    "payment_no": "CAST(NULL AS text)",
    "reference": "CAST(NULL AS text)",
}


def _keys(**known: str) -> str:
    return ", ".join(f"{value} AS {name}" for name, value in {**_NO_KEYS, **known}.items())


def _id_of(key: str) -> str:
    """A uuid that stands for a key of another form."""
    return f"CAST(substr(encode(sha256(convert_to({key}, 'UTF8')), 'hex'), 1, 32) AS uuid)"


def _listed(states: frozenset[RefundState]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


_OF_CHANNEL: Final = "(:channel IS NULL OR r.channel = :channel)"
_SAID_THAT_DAY: Final = "r.reported_at >= :since AND r.reported_at < :until"


def _refunds(group: ReconciliationGroup, at: str | None, condition: str) -> _Section:
    source = f"refunds r WHERE r.site_id = :site_id AND {condition} AND {_OF_CHANNEL}"
    return _Section(group, source, "r.refund_id", at, "r.amount", _keys(refund_id="r.refund_id"))


def _open(state: RefundState) -> _Section:
    """What is not over, and not among that day's stopped ones."""
    stopped_that_day = f"AND ({_SAID_THAT_DAY}) IS NOT TRUE" if state in STOPPED else ""
    condition = f"r.state = '{state}' AND r.created_at < :until {stopped_that_day}"
    return _refunds(ReconciliationGroup.OPEN, None, condition)


_CONFLICTS: Final = _Section(
    ReconciliationGroup.CONFLICT,
    source=f"""refund_reports p CROSS JOIN LATERAL (
            SELECT r.channel, r.amount FROM refunds r
            WHERE r.site_id = :site_id AND r.refund_id = p.refund_id OFFSET 0
        ) r
        WHERE p.site_id = :site_id AND p.verdict = '{ReportVerdict.CONFLICT}'
          AND p.received_at >= :since AND p.received_at < :until AND {_OF_CHANNEL}""",  # noqa: S608 - as above
    id=_id_of("concat(p.refund_id, ' ', p.n)"),
    at="p.received_at",
    amount="r.amount",
    keys=_keys(refund_id="p.refund_id", n="p.n"),
)


def _found(at: str, condition: str) -> _Section:
    """Of a sum that the channel told, only what the refunds that it listed do not make up is counted."""
    return _Section(
        ReconciliationGroup.FOUND,
        source=f"""found_refunds f
            CROSS JOIN LATERAL (
                SELECT p.channel FROM payments p
                WHERE p.site_id = :site_id AND p.payment_no = f.payment_no OFFSET 0
            ) r
            CROSS JOIN LATERAL (
                SELECT f.amount - coalesce(sum(g.amount), 0) AS amount FROM found_refunds g
                WHERE f.reference = '{TOTAL}' AND g.site_id = :site_id AND g.payment_no = f.payment_no
                  AND g.reference <> f.reference
            ) u
            WHERE f.site_id = :site_id AND f.reference <> '' AND {condition} AND u.amount > 0
              AND {_OF_CHANNEL}""",  # noqa: S608 - as above
        id=_id_of("concat(f.payment_no, ' ', f.reference)"),
        at=at,
        amount="u.amount",
        keys=_keys(payment_no="f.payment_no", reference="f.reference"),
    )


_FOUND_THAT_DAY: Final = "f.found_at >= :since AND f.found_at < :until"

_OVERDRAWN: Final = _Section(
    ReconciliationGroup.OVERDRAWN,
    source=f"""payments r
        WHERE r.site_id = :site_id AND r.overdrawn_amount > 0 AND {_OF_CHANNEL}
          AND (SELECT min(f.found_at) FROM found_refunds f
               WHERE f.site_id = :site_id AND f.payment_no = r.payment_no) < :until""",  # noqa: S608 - as above
    id=_id_of("r.payment_no"),
    at=None,
    amount="r.overdrawn_amount",
    keys=_keys(payment_no="r.payment_no"),
)

SECTIONS: Final = (
    _refunds(ReconciliationGroup.SETTLED, "r.reported_at", f"{_SAID_THAT_DAY} AND r.state = '{RefundState.SUCCEEDED}'"),
    *(_open(state) for state in RefundState if state not in FINAL),
    _refunds(ReconciliationGroup.STOPPED, "r.reported_at", f"{_SAID_THAT_DAY} AND r.state IN ({_listed(STOPPED)})"),
    _CONFLICTS,
    _found("f.found_at", _FOUND_THAT_DAY),
    _found("f.refunded_at", f"f.refunded_at >= :since AND f.refunded_at < :until AND NOT ({_FOUND_THAT_DAY})"),
    _OVERDRAWN,
)

_TOTALS: Final = f"""
    SELECT jsonb_object_agg(t.kind, jsonb_build_object('count', t.count, 'amount', t.amount)) FROM (
        SELECT kind, sum(count) AS count, sum(amount) AS amount
        FROM ({" UNION ALL ".join(section.counted() for section in SECTIONS)}) c GROUP BY kind
    ) t"""  # noqa: S608 - as above

_SHOWN: Final = f"""
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'section', k.section, 'at', k.at, 'id', k.id, 'amount', k.amount,
        'refund', r.refund, 'overdue', r.overdue, 'age_days', r.age_days,
        'report', p.report, 'found', f.found, 'payment', y.payment,
        'order_no', coalesce(c.order_no, y.order_no), 'merchant_id', coalesce(c.merchant_id, o.merchant_id)
    ) ORDER BY k.section, k.at, k.id), '[]')
    FROM keys k
    LEFT JOIN LATERAL (
        SELECT to_jsonb(r) AS refund, r.case_id,
               u.is_open AND (coalesce(r.expected_by < now(), false)
                   OR r.state = '{RefundState.REQUESTED}' AND r.instructed_at < now() - {_ACCEPTED_WITHIN}) AS overdue,
               CASE WHEN u.is_open THEN greatest(0, floor(extract(epoch FROM now() - r.created_at) / 86400)) END
                   AS age_days
        FROM refunds r CROSS JOIN LATERAL (SELECT r.state NOT IN ({_listed(FINAL)}) AS is_open) u
        WHERE r.site_id = :site_id AND r.refund_id = k.refund_id OFFSET 0
    ) r ON true
    LEFT JOIN LATERAL (
        SELECT to_jsonb(p) AS report FROM refund_reports p
        WHERE p.site_id = :site_id AND p.refund_id = k.refund_id AND p.n = k.n OFFSET 0
    ) p ON true
    LEFT JOIN LATERAL (
        SELECT to_jsonb(f) AS found FROM found_refunds f
        WHERE f.site_id = :site_id AND f.payment_no = k.payment_no AND f.reference = k.reference OFFSET 0
    ) f ON true
    LEFT JOIN LATERAL (
        SELECT to_jsonb(y) AS payment, y.order_no FROM payments y
        WHERE y.site_id = :site_id AND y.payment_no = k.payment_no OFFSET 0
    ) y ON true
    LEFT JOIN LATERAL (
        SELECT c.order_no, c.merchant_id FROM cases c
        WHERE c.site_id = :site_id AND c.case_id = r.case_id OFFSET 0
    ) c ON true
    LEFT JOIN LATERAL (
        SELECT o.merchant_id FROM orders o WHERE o.site_id = :site_id AND o.order_no = y.order_no OFFSET 0
    ) o ON true"""  # noqa: S608 - as above


def _page_from(first: int) -> str:
    pages = [section.page(place, resumed=place == first) for place, section in enumerate(SECTIONS) if place >= first]
    return f"""
        WITH keys AS MATERIALIZED (
            SELECT * FROM ({" UNION ALL ".join(pages)}) s ORDER BY section, at, id LIMIT :limit
        ) {_SHOWN}"""  # noqa: S608 - as above


@cache
def page_from(first: int) -> TextClause:
    """The rows that follow a position in this section."""
    return statement(f"SELECT CAST(({_page_from(first)}) AS text)")


@cache
def report_from(first: int) -> TextClause:
    """The same with the sums of all rows, both of one moment."""
    return statement(f"SELECT CAST(jsonb_build_object('totals', ({_TOTALS}), 'rows', ({_page_from(first)})) AS text)")


TOTALS: Final = statement(f"SELECT CAST(({_TOTALS}) AS text)")
