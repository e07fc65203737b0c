"""Statements as text, with the type of each parameter known by its name."""

import re
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    Text,
    TextClause,
    Uuid,
    bindparam,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

_INSTANT = DateTime(timezone=True)

# A driver that must guess takes an aware instant for a naive one; so a name has one type everywhere.
TYPES: Final[dict[str, TypeEngine[Any]]] = {
    **dict.fromkeys(
        ("site_id", "case_id", "event_id", "endpoint_id", "key_id", "file_id", "signal_id", "refund_id", "account_id"),
        Uuid(),
    ),
    **dict.fromkeys(
        (
            "now",
            "at",
            "before",
            "effective_from",
            "leased_until",
            "failing_since",
            "due_at",
            "since",
            "until",
            "expected_by",
            "next_step_at",
            "instructed_at",
        ),
        _INSTANT,
    ),
    **dict.fromkeys(
        ("expected", "limit", "per_endpoint", "status", "policy_version", "events_told", "asked"), Integer()
    ),
    **dict.fromkeys(("sets_timers", "overdue"), Boolean()),
    "released": BigInteger(),
    "seconds": Double(),
    "after": Uuid(),
    **dict.fromkeys(("key_hash", "fingerprint", "answer", "sealed"), LargeBinary()),
    **dict.fromkeys(("payment_nos", "hashes", "scopes", "kept", "states"), ARRAY(Text())),
    **dict.fromkeys(("busy",), ARRAY(Uuid())),
    # JSON documents travel as text; the statement says where they become jsonb.
    **dict.fromkeys(("orders", "payments", "deliveries", "merchants", "headers"), Text()),
    **dict.fromkeys(
        (
            "case",
            "evidence",
            "decisions",
            "events",
            "refunds",
            "results",
            "acts",
            "timers",
            "signals",
            "report",
            "refund",
        ),
        Text(),
    ),
    **dict.fromkeys(
        ("order_no", "merchant_id", "record_no", "kind", "reason", "new_status", "payment_no", "refund_no", "channel"),
        Text(),
    ),
    **dict.fromkeys(
        (
            "key",
            "name",
            "mode",
            "label",
            "policy_name",
            "disabled_reason",
            "overturned",
            "channel_refund_no",
            "last_said",
        ),
        Text(),
    ),
}
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


def statement(sql: str) -> TextClause:
    """An executable statement; KeyError for a parameter whose type nobody has settled."""
    names = dict.fromkeys(_PARAMETER.findall(sql))
    return text(sql).bindparams(*(bindparam(name, type_=TYPES[name]) for name in names))
