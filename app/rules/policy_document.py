"""From a policy document (plain values, as TOML or JSON hold them) to a `Policy`.

A document names only the clauses in which it differs from its base; a clause is `{value, source}`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from app.rules.canonical import canonical_json, sha256_of
from app.rules.facts import Channel, DeliveryMode, EvidenceKind, Reason, Trait
from app.rules.lengths import Length, parse_duration, parse_length
from app.rules.policy import (
    CountedFrom,
    Coverage,
    DepositUse,
    Escalation,
    EvidenceTerms,
    MerchantTurn,
    Policy,
    PolicyInvalid,
    RefundRate,
    Review,
    ShortDelivery,
    Strictness,
    When,
    Windows,
)

Member = TypeVar("Member", bound=StrEnum)
HEADINGS = frozenset({"name", "version", "effective_from", "title_en", "title_zh", "clauses", "evidence_required"})
REQUIRED_HEADINGS: Mapping[str, type] = MappingProxyType(
    {"name": str, "version": int, "effective_from": datetime, "title_en": str, "title_zh": str}
)
NONE = "none"


def policy_from(document: Mapping[str, Any], base: Policy | None = None) -> Policy:
    """Read a document over its base.

    Raises:
        PolicyInvalid: a clause is missing, unknown, without a source, or has a value that cannot be read.
    """
    _refuse_unknown(document)
    clauses, sources = _resolve(document, base)
    resolved = {
        "name": document["name"],
        "version": document["version"],
        "effective_from": document["effective_from"],
        "title_en": document["title_en"],
        "title_zh": document["title_zh"],
        "clauses": clauses,
        "evidence_required": _required_lists(document, base),
    }
    return _build(resolved, sources)


def _refuse_unknown(document: Mapping[str, Any]) -> None:
    for heading in sorted(document.keys() - HEADINGS):
        raise PolicyInvalid(f"{heading}: no such heading")
    for heading, kind in REQUIRED_HEADINGS.items():
        if type(document.get(heading)) is not kind:
            raise PolicyInvalid(f"{heading}: missing, or not of its kind")
    if document["effective_from"].tzinfo is None:
        raise PolicyInvalid("effective_from: an instant with its offset")
    for heading in ("clauses", "evidence_required"):
        if not isinstance(document.get(heading, {}), Mapping):
            raise PolicyInvalid(f"{heading}: a table")


def _clauses_of(policy: Policy) -> dict[str, Any]:
    clauses = policy.document["clauses"]
    assert isinstance(clauses, dict)
    return clauses


def _resolve(document: Mapping[str, Any], base: Policy | None) -> tuple[dict[str, Any], dict[str, str]]:
    clauses: dict[str, Any] = {} if base is None else dict(_clauses_of(base))
    sources: dict[str, str] = {} if base is None else dict(base.sources)
    for name, clause in document.get("clauses", {}).items():
        if not isinstance(clause, Mapping) or set(clause) != {"value", "source"}:
            raise PolicyInvalid(f"{name}: a clause has a value and a source")
        _require_source(name, clause["source"])
        clauses[name] = clause["value"]
        sources[name] = clause["source"]
    if "evidence_required" in document:
        _require_source("evidence_required", document["evidence_required"].get("source"))
        sources["evidence_required"] = document["evidence_required"]["source"]
    return clauses, sources


def _require_source(clause: str, source: object) -> None:
    if not isinstance(source, str) or not source.strip():
        raise PolicyInvalid(f"{clause}: names no source")


def _required_lists(document: Mapping[str, Any], base: Policy | None) -> dict[str, list[str]]:
    lists: Any = {} if base is None else base.document["evidence_required"]
    changed = {reason: kinds for reason, kinds in document.get("evidence_required", {}).items() if reason != "source"}
    for reason, kinds in changed.items():
        if not isinstance(kinds, list):
            raise PolicyInvalid(f"evidence_required.{reason}: a list")
    return {**lists, **changed}


def _build(resolved: dict[str, Any], sources: dict[str, str]) -> Policy:
    read = _Clauses(resolved["clauses"])
    policy = Policy(
        name=resolved["name"],
        version=resolved["version"],
        effective_from=resolved["effective_from"],
        title_en=resolved["title_en"],
        title_zh=resolved["title_zh"],
        promises=MappingProxyType({mode: read.span(f"{mode}_promise") for mode in DeliveryMode}),
        windows=_windows(read),
        payment_late=read.one_of("payment_late", Strictness),
        settlement_lag=read.span("settlement_lag"),
        buyer_mistake=read.one_of("buyer_mistake", Coverage),
        wrong_item=read.one_of("wrong_item", Coverage),
        cancelled_by_buyer=read.one_of("cancelled_by_buyer", Strictness),
        short_delivery=read.one_of("short_delivery", ShortDelivery),
        merchant_turn=_merchant_turn(read),
        evidence=_evidence_terms(read, resolved["evidence_required"]),
        partial_claims=read.one_of("partial_claims", Strictness),
        excluded_traits=frozenset(read.each("excluded_traits", Trait)),
        review=Review(read.length("review"), read.optional("first_answer", read.length)),
        arrival=MappingProxyType({channel: read.length(f"money_back_{channel}") for channel in Channel}),
        escalation=_escalation(read),
        deposit=read.one_of("deposit", DepositUse),
        advance_payout=read.flag("advance_payout"),
        strikes_limit=read.count("strikes_limit"),
        strike_lifetime=read.span("strike_lifetime"),
        second_review_above=read.optional("second_review_above", read.count),
        refund_rate=_refund_rate(read),
        sources=MappingProxyType(sources),
        document=MappingProxyType(resolved),
        sha256=sha256_of(canonical_json(resolved)),
    )
    read.refuse_leftovers()
    return policy


def _windows(read: "_Clauses") -> Windows:
    return Windows(
        general=read.span("general_window"),
        card=read.span("card_window"),
        undelivered=read.span("undelivered_window"),
        payment=read.span("payment_window"),
        cooling_off=read.optional("cooling_off", read.span),
    )


def _merchant_turn(read: "_Clauses") -> MerchantTurn:
    return MerchantTurn(
        given=read.one_of("merchant_turn", When),
        length=read.length("merchant_turn_length"),
        counted_from=read.one_of("merchant_turn_from", CountedFrom),
    )


def _evidence_terms(read: "_Clauses", required: Mapping[str, list[str]]) -> EvidenceTerms:
    lists = {
        _member(reason, Reason, "evidence_required"): tuple(
            _member(kind, EvidenceKind, f"evidence_required.{reason}") for kind in kinds
        )
        for reason, kinds in required.items()
    }
    return EvidenceTerms(
        asked=read.one_of("evidence_asked", When),
        supplement=read.span("evidence_supplement"),
        required=MappingProxyType(lists),
    )


def _escalation(read: "_Clauses") -> Escalation:
    return Escalation(
        appeal=read.span("appeal"),
        channel_dispute_shortest=read.span("channel_dispute_shortest"),
        channel_dispute_longest=read.span("channel_dispute_longest"),
        court_above=read.count("court_above"),
        notarised_from=read.count("notarised_from"),
    )


def _refund_rate(read: "_Clauses") -> RefundRate | None:
    """All three clauses are read, limit or not: one that is missing or cannot be read is refused either way."""
    limit = read.optional("refund_rate_limit", read.count)
    orders, period = read.count("refund_rate_orders"), read.span("refund_rate_period")
    return None if limit is None else RefundRate(limit, orders, period)


def _member(value: str, kind: type[Member], clause: str) -> Member:
    try:
        return kind(value)
    except ValueError:
        raise PolicyInvalid(f"{clause}: one of {', '.join(kind)}") from None


Read = TypeVar("Read")


class _Clauses:
    """Typed reading of plain clause values; remembers what was read, so that a stray clause is noticed."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._read: set[str] = set()

    def _take(self, clause: str) -> Any:
        if clause not in self._values:
            raise PolicyInvalid(f"{clause}: missing")
        self._read.add(clause)
        return self._values[clause]

    def _parsed(self, clause: str, parse: Callable[[str], Read]) -> Read:
        value = self._take(clause)
        if not isinstance(value, str):
            raise PolicyInvalid(f"{clause}: a text")
        try:
            return parse(value)
        except ValueError as unreadable:
            raise PolicyInvalid(f"{clause}: {unreadable}") from None

    def span(self, clause: str) -> timedelta:
        return self._parsed(clause, parse_duration)

    def length(self, clause: str) -> Length:
        return self._parsed(clause, parse_length)

    def optional(self, clause: str, read: Callable[[str], Read]) -> Read | None:
        return None if self._take(clause) == NONE else read(clause)

    def one_of(self, clause: str, kind: type[Member]) -> Member:
        return _member(self._take(clause), kind, clause)

    def each(self, clause: str, kind: type[Member]) -> tuple[Member, ...]:
        values = self._take(clause)
        if not isinstance(values, list):
            raise PolicyInvalid(f"{clause}: a list")
        return tuple(_member(value, kind, clause) for value in values)

    def count(self, clause: str) -> int:
        value = self._take(clause)
        if type(value) is not int or value < 0:
            raise PolicyInvalid(f"{clause}: a whole number from 0")
        return value

    def flag(self, clause: str) -> bool:
        value = self._take(clause)
        if type(value) is not bool:
            raise PolicyInvalid(f"{clause}: true or false")
        return value

    def refuse_leftovers(self) -> None:
        for clause in sorted(self._values.keys() - self._read):
            raise PolicyInvalid(f"{clause}: no such clause")
