"""Signals about good faith as the site sees them: each with its rule and its case, so that no block is silent."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.ids import show
from app.rules.decision import instant
from app.rules.policy import Policy
from app.rules.signal_words import SIGNALS, SignalWords
from app.rules.signals import SignalKind, Subject
from app.services.showing import CASE
from app.store.signals import SignalFilter, SignalRow, SignalStore

SIGNAL: Final = "sig"
MOST_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """What counts against a buyer at `now`. `strikes` is how many there are; `behind` the latest of them."""

    buyer_id: str
    strikes: int
    behind: tuple[SignalRow, ...]
    policy: Policy
    now: datetime


async def standing_of(buyer_id: str, signals: SignalStore, policy: Policy, now: datetime) -> Standing:
    """How a buyer stands under a policy; one of whom nothing is known has no strikes."""
    wanted = SignalFilter(Subject.BUYER, buyer_id, active=True, strike=True)
    behind = await signals.page(wanted, limit=MOST_SHOWN)
    strikes = len(behind) if len(behind) < MOST_SHOWN else await signals.count(wanted)
    return Standing(buyer_id, strikes, tuple(behind), policy, now)


def standing_document(standing: Standing) -> dict[str, Any]:
    """The same in plain values."""
    policy = standing.policy
    return {
        "buyer_id": standing.buyer_id,
        "strikes": standing.strikes,
        "limit": policy.strikes_limit,
        "automatic_approval": standing.strikes < policy.strikes_limit,
        "policy": {"name": policy.name, "version": policy.version},
        "as_of": instant(standing.now),
        "signals": [signal_document(row, standing.now) for row in standing.behind],
    }


def signal_document(row: SignalRow, now: datetime) -> dict[str, Any]:
    """A signal; it is active until it expires or is revoked, and counts if it is a strike, too."""
    words = SIGNALS[row.kind]
    active = row.revoked_at is None and row.expires_at > now
    return {
        "id": show(SIGNAL, row.signal_id),
        "subject": row.subject.value,
        "subject_id": row.subject_id,
        "kind": row.kind.value,
        "zh": words.zh,
        "en": words.en,
        "rule": row.rule,
        "case_id": show(CASE, row.case_id),
        "order_no": row.order_no,
        # The database gives a stored object back in an order of its own.
        "facts": dict(sorted(row.facts.items())),
        "strike": row.strike,
        "active": active,
        "counts": active and row.strike,
        "seen_at": instant(row.seen_at),
        "expires_at": instant(row.expires_at),
        "revoked_at": None if row.revoked_at is None else instant(row.revoked_at),
    }


def kinds_document() -> list[dict[str, Any]]:
    """Every kind of signal in words."""
    return [_kind(kind, words) for kind, words in SIGNALS.items()]


def _kind(kind: SignalKind, words: SignalWords) -> dict[str, Any]:
    return {
        "kind": kind.value,
        "subject": words.subject.value,
        "zh": words.zh,
        "en": words.en,
        "when_zh": words.when_zh,
        "when_en": words.when_en,
        "rules": _in_order(words.rules, words.rules),
        "strikes": _in_order(words.rules, words.strikes),
        "source": words.source,
    }


def _in_order(rules: tuple[str, ...], some: Iterable[str]) -> list[str]:
    return [rule for rule in rules if rule in set(some)]
