"""证据链: what is known of an order as a timeline of four links, 支付 → 确认 → 交付 → 协商, with its gaps named.

Sources: seed 001 §三.1 (the payment, the merchant's confirmation, what was not delivered, the negotiation: each with
something to show for it) and seed 002 §二.2. The site's own records stand beside the pieces put forward. A piece that
does not count is shown with its reason, and closes no gap. The chain itself decides nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.rules.calendar import in_shanghai
from app.rules.chain_entries import Entry, piece_entries, record_entries
from app.rules.chain_words import GAPS, LINKS, LinkName, delivery_gap
from app.rules.labels import Words
from app.rules.standing import Standing


@dataclass(frozen=True, slots=True)
class Link:
    """环节, its entries by time. `gap` says what would close it, in Chinese and English; None: nothing is missing."""

    name: LinkName
    entries: tuple[Entry, ...]
    gap: Words | None


def evidence_chain(standing: Standing) -> tuple[Link, ...]:
    """The four links in their order, each with what there is to show for it."""
    entries = [*record_entries(standing), *piece_entries(standing)]
    return tuple(_link(name, [entry for of, entry in entries if of is name], standing) for name in LinkName)


def outside_the_chain(standing: Standing) -> tuple[Entry, ...]:
    """The pieces whose kind does not tell which link they belong to, with that for a reason."""
    return _by_time(entry for name, entry in piece_entries(standing) if name is None)


def chain_document(links: Iterable[Link]) -> list[dict[str, Any]]:
    """The chain in plain values; instants in RFC 3339, Shanghai time."""
    return [_link_document(link) for link in links]


def _link(name: LinkName, entries: list[Entry], standing: Standing) -> Link:
    if any(entry.completes for entry in entries):
        return Link(name, _by_time(entries), None)
    return Link(name, _by_time(entries), delivery_gap(standing) if name is LinkName.DELIVERY else GAPS[name])


def _by_time(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(
        sorted(entries, key=lambda entry: (entry.at, entry.piece is not None, entry.ref or "", entry.piece or 0))
    )


def _link_document(link: Link) -> dict[str, Any]:
    title, title_en = LINKS[link.name]
    return {
        "link": link.name.value,
        "title": title,
        "title_en": title_en,
        "entries": [_entry_document(entry) for entry in link.entries],
        "gap": None if link.gap is None else {"message": link.gap[0], "message_en": link.gap[1]},
    }


def _entry_document(entry: Entry) -> dict[str, Any]:
    return {
        "at": in_shanghai(entry.at).isoformat(),
        "what": entry.what.value,
        "ref": entry.ref,
        "piece": entry.piece,
        "completes": entry.completes,
        "discount": None if entry.discount is None else entry.discount.value,
        "message": entry.zh,
        "message_en": entry.en,
    }
