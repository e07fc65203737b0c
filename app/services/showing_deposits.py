"""Deposits (保证金) as callers see them."""

from dataclasses import asdict
from typing import Any, Final

from app.ids import show
from app.rules.decision import instant
from app.rules.deposits import top_up_due
from app.services.showing import CASE, REFUND
from app.store.deposit_rows import Account, EntryRow

CURRENCY: Final = "CNY"


def deposit_document(account: Account) -> dict[str, Any]:
    """A merchant's deposit."""
    return {
        "merchant_id": account.merchant_id,
        "currency": CURRENCY,
        "told": account.told,
        "balances": asdict(account.balances),
        "owed": account.balances.owed,
        "top_up_due": top_up_due(account.balances, account.told),
        "entries": account.entries,
        "updated_at": instant(account.updated_at),
    }


def entry_document(row: EntryRow) -> dict[str, Any]:
    """An entry of the journal."""
    return {
        "n": row.n,
        "kind": row.kind.value,
        "moved": asdict(row.moved),
        "case_id": None if row.case_id is None else show(CASE, row.case_id),
        "refund_id": None if row.refund_id is None else show(REFUND, row.refund_id),
        "reference": row.reference,
        "by": row.by,
        "note": row.note,
        "at": instant(row.created_at),
    }
