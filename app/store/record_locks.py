"""Who writes records takes turns with who files a claim on the same order, or sells the same card.

So a claim and a record that arrive together cannot miss each other. An order that is there is locked by its row. One
that is not there yet has none: who creates it and who names it meanwhile meet at a lock on its number. Every put takes
its locks in one order: rows of orders by number, then numbers by slot, then payments, then the rest.
"""

from collections.abc import Collection
from typing import Final

from app.models.closed_sets import RecordKind

HELD_ORDERS: Final = "held_rows"
CLAIMED: Final = "claimed"
# Locks live in memory that all sites share, so there is an end to how many a site can take; with fewer slots more would
# wait for somebody whom they met by chance. Orders and cards have slots of their own.
_SLOTS: Final = 4096

_TOUCHED: Final = {
    RecordKind.ORDER: ("SELECT order_no FROM given_orders",),
    RecordKind.PAYMENT: (
        "SELECT order_no FROM given_payments WHERE order_no IS NOT NULL",
        """SELECT order_no FROM payments WHERE site_id = :site_id AND order_no IS NOT NULL
           AND payment_no = ANY(ARRAY(SELECT payment_no FROM given_payments))""",
    ),
    RecordKind.DELIVERY: (
        "SELECT order_no FROM given_deliveries",
        """SELECT order_no FROM deliveries WHERE site_id = :site_id
           AND delivery_no = ANY(ARRAY(SELECT delivery_no FROM given_deliveries))""",
        """SELECT order_no FROM deliveries WHERE site_id = :site_id AND card_fingerprint = ANY(ARRAY(
           SELECT card_fingerprint FROM given_deliveries WHERE card_fingerprint IS NOT NULL))""",
    ),
}

_ALSO: Final = "SELECT CAST(:order_no AS text) WHERE :order_no IS NOT NULL"
NAMED_PAYMENTS: Final = "named_payments"


def named_payments(after: str) -> str:
    """Locks the payments given, those of `:payment_nos`, and those of the order `:order_no`, all in one turn."""
    return f"""
        {NAMED_PAYMENTS} AS MATERIALIZED (
            SELECT payment_no FROM payments
            WHERE site_id = :site_id AND payment_no = ANY(ARRAY(
                SELECT payment_no FROM given_payments
                UNION ALL SELECT unnest(:payment_nos)
                UNION ALL SELECT payment_no FROM payments WHERE site_id = :site_id AND order_no = :order_no
            )) AND (SELECT count(*) FROM {after}) >= 0
            ORDER BY payment_no FOR UPDATE
        )"""  # noqa: S608 - every name is ours


def touches_orders(kinds: Collection[RecordKind]) -> bool:
    """Whether records of these kinds bear on orders."""
    return not _TOUCHED.keys().isdisjoint(kinds)


def locks(kinds: Collection[RecordKind], *, also: bool = False) -> str:
    """The parts of a statement that lock all orders which the records given bear on; `claimed` is the last to run.

    Those are the orders given, those that payments and deliveries name or named before, and those that got the same
    card. Who creates one shares the claim with others who create: the index of numbers keeps them apart. Who only names
    an order that is not there, or gives out a card, claims the number alone. `also`: the order of `:order_no`, too.
    """
    parts = [part for kind in RecordKind for part in _TOUCHED.get(kind, ()) if kind in kinds]
    touched = " UNION ".join([*parts, _ALSO] if also else parts)
    return f"""
        touched AS MATERIALIZED ({touched}),
        {HELD_ORDERS} AS MATERIALIZED (
            SELECT order_no FROM orders
            WHERE site_id = :site_id AND order_no = ANY(ARRAY(SELECT order_no FROM touched))
            ORDER BY order_no FOR UPDATE
        ),
        {CLAIMED} AS MATERIALIZED (
            SELECT CASE WHEN alone THEN pg_advisory_xact_lock(hashtext(CAST(:site_id AS text)), slot)
                        ELSE pg_advisory_xact_lock_shared(hashtext(CAST(:site_id AS text)), slot) END
            FROM (
                SELECT (hashtext(name) & {_SLOTS - 1}) + kind * {_SLOTS} AS slot, bool_or(alone) AS alone
                FROM ({_claims(kinds)}) AS claims
                WHERE (SELECT count(*) FROM {HELD_ORDERS}) >= 0
                GROUP BY slot ORDER BY slot
            ) AS slots
        )"""  # noqa: S608 - every name is ours


def _claims(kinds: Collection[RecordKind]) -> str:
    created = "order_no IN (SELECT order_no FROM given_orders)" if RecordKind.ORDER in kinds else "false"
    absent = f"""
        SELECT 0 AS kind, order_no AS name, NOT ({created}) AS alone FROM touched
        WHERE order_no NOT IN (SELECT order_no FROM {HELD_ORDERS})"""  # noqa: S608 - as above
    if RecordKind.DELIVERY not in kinds:
        return absent
    return f"""{absent}
        UNION ALL SELECT 1, card_fingerprint, true FROM given_deliveries
        WHERE card_fingerprint IS NOT NULL"""  # noqa: S608 - as above
