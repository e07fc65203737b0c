"""The statements that lock accounts of deposits, read what bears on them, and add entries to them."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Text, TextClause, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, TypeEngine

from app.models.deposits import ACCOUNTS
from app.rules.deposits import DepositKind

_TYPES: Final[Mapping[str, TypeEngine[Any]]] = {
    "site_id": Uuid(),
    "case_id": Uuid(),
    "merchant_ids": ARRAY(Text()),
    "entries": Text(),
    "accounts": Text(),
    "now": DateTime(timezone=True),
}
_MOVED: Final = ", ".join(ACCOUNTS)
_TYPED: Final = ", ".join(f"{name} bigint" for name in ACCOUNTS)
_SUMMED: Final = ", ".join(f"'{name}', coalesce(sum({name}), 0)" for name in ACCOUNTS)


def _bound(sql: str, *names: str) -> TextClause:
    return text(sql).bindparams(*(bindparam(name, type_=_TYPES[name]) for name in names))


LOCK = _bound(
    "SELECT * FROM deposit_accounts WHERE site_id = :site_id AND merchant_id = ANY(:merchant_ids)"
    " ORDER BY merchant_id FOR UPDATE",
    "site_id",
    "merchant_ids",
)
OPEN = _bound(
    f"""
    INSERT INTO deposit_accounts (site_id, merchant_id, told, last_entry, updated_at, {_MOVED})
    SELECT :site_id, merchant_id, 0, 0, :now, {", ".join("0" for _ in ACCOUNTS)}
    FROM unnest(:merchant_ids) AS given(merchant_id) ORDER BY merchant_id
    ON CONFLICT (site_id, merchant_id) DO NOTHING""",  # noqa: S608 - the names are ours
    "site_id",
    "merchant_ids",
    "now",
)
# A statement of its own behind the lock: in the one that waits for it, what a record tells would be older than the
# accounts that were waited for.
READ = _bound(
    f"""
    SELECT given.merchant_id, (
        SELECT m.deposit FROM merchants m WHERE m.site_id = :site_id AND m.merchant_id = given.merchant_id
    ) AS deposit, CAST((
        SELECT jsonb_build_object(
            'moved', jsonb_build_object({_SUMMED}),
            'reversed', coalesce(jsonb_agg(refund_id) FILTER (
                WHERE refund_id IS NOT NULL AND kind = '{DepositKind.REVERSAL}'), '[]'),
            'replacing', coalesce(jsonb_agg(refund_id) FILTER (
                WHERE refund_id IS NOT NULL AND kind <> '{DepositKind.REVERSAL}'), '[]'))
        FROM deposit_entries WHERE site_id = :site_id AND case_id = :case_id
    ) AS text) AS of_case
    FROM unnest(:merchant_ids) AS given(merchant_id)""",  # noqa: S608 - as above
    "site_id",
    "merchant_ids",
    "case_id",
)
APPEND = _bound(
    f"""
    WITH written AS (
        INSERT INTO deposit_entries (site_id, merchant_id, n, kind, case_id, refund_id, reference, by, note, created_at,
                                     {_MOVED})
        SELECT :site_id, merchant_id, n, kind, case_id, refund_id, reference, by, note, :now, {_MOVED}
        FROM jsonb_to_recordset(CAST(:entries AS jsonb)) AS e(
            merchant_id text, n integer, kind text, case_id uuid, refund_id uuid, reference text, by text, note text,
            {_TYPED})
    )
    UPDATE deposit_accounts a
    SET told = s.told, last_entry = s.last_entry, updated_at = :now,
        {", ".join(f"{name} = s.{name}" for name in ACCOUNTS)}
    FROM jsonb_to_recordset(CAST(:accounts AS jsonb)) AS s(
        merchant_id text, told bigint, last_entry integer, {_TYPED})
    WHERE a.site_id = :site_id AND a.merchant_id = ANY(:merchant_ids) AND a.merchant_id = s.merchant_id""",  # noqa: S608
    "site_id",
    "merchant_ids",
    "entries",
    "accounts",
    "now",
)
DIFFERING = _bound(
    """
    SELECT given.merchant_id FROM unnest(:merchant_ids) AS given(merchant_id)
    WHERE coalesce((
        SELECT deposit FROM merchants m WHERE m.site_id = :site_id AND m.merchant_id = given.merchant_id
    ), 0) <> coalesce((
        SELECT told FROM deposit_accounts a WHERE a.site_id = :site_id AND a.merchant_id = given.merchant_id
    ), 0)""",
    "site_id",
    "merchant_ids",
)
