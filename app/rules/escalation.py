"""What is open to a buyer beyond the site: the channel's own dispute, 12315, a court; and whether to see a notary."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from app.rules.calendar import in_shanghai
from app.rules.explain import in_words
from app.rules.findings import Fen
from app.rules.standing import Standing
from app.rules.windows import dispute_window


class Venue(StrEnum):
    """平台外渠道: where a case can be taken."""

    CHANNEL_DISPUTE = "channel_dispute"
    COMPLAINT_12315 = "complaint_12315"
    COURT = "court"


VENUES: Mapping[Venue, tuple[str, str, str]] = MappingProxyType(
    {
        Venue.CHANNEL_DISPUTE: ("向支付渠道发起争议", "a dispute at the payment channel", "seed 001 §三.2"),
        Venue.COMPLAINT_12315: ("向 12315 投诉", "a complaint to 12315", "seed 001 §三.2"),
        Venue.COURT: ("向法院起诉", "an action in court", "seed 001 §三.2"),
    }
)


@dataclass(frozen=True, slots=True)
class Way:
    """One way on. `until` None: nothing ends it. `certain` False: some channels only. `suggested`: at this amount."""

    venue: Venue
    until: datetime | None
    certain: bool
    suggested: bool


@dataclass(frozen=True, slots=True)
class Beyond:
    """All ways on, for `at_stake` fen. `notarise`: the amount is one from which notarised evidence is suggested."""

    at_stake: int
    ways: tuple[Way, ...]
    notarise: bool
    notarised_from: int


def beyond_the_site(standing: Standing) -> Beyond:
    """What is open at `as_of`; nothing where no money is at stake."""
    terms = standing.policy.escalation
    ways = tuple(_ways(standing)) if standing.balance > 0 else ()
    return Beyond(standing.balance, ways, 0 < terms.notarised_from <= standing.balance, terms.notarised_from)


def way_to(venue: Venue, standing: Standing) -> Way | None:
    """One way, if it is open."""
    return next((way for way in _ways(standing) if way.venue is venue), None)


def _ways(standing: Standing) -> Iterator[Way]:
    yield from _channel_dispute(standing)
    yield Way(Venue.COMPLAINT_12315, None, certain=True, suggested=True)
    above = standing.balance > standing.policy.escalation.court_above
    yield Way(Venue.COURT, None, certain=True, suggested=above)


def _channel_dispute(standing: Standing) -> Iterator[Way]:
    window = dispute_window(standing)
    if window is None:
        return
    if standing.as_of <= window.surely:
        yield Way(Venue.CHANNEL_DISPUTE, in_shanghai(window.surely), certain=True, suggested=True)
    elif standing.as_of <= window.perhaps:
        yield Way(Venue.CHANNEL_DISPUTE, in_shanghai(window.perhaps), certain=False, suggested=True)


def beyond_document(beyond: Beyond) -> dict[str, Any]:
    """The ways in plain values and in words."""
    threshold_zh, threshold_en = in_words(Fen(beyond.notarised_from))
    return {
        "at_stake": beyond.at_stake,
        "ways": [_way(way) for way in beyond.ways],
        "notarise": beyond.notarise,
        "notarise_message": f"涉及金额达到 {threshold_zh}，建议对关键证据进行公证。" if beyond.notarise else None,
        "notarise_message_en": f"From {threshold_en} on, notarised evidence is suggested." if beyond.notarise else None,
    }


def _way(way: Way) -> dict[str, Any]:
    zh, en, source = VENUES[way.venue]
    return {
        "venue": way.venue.value,
        "until": None if way.until is None else way.until.isoformat(),
        "certain": way.certain,
        "suggested": way.suggested,
        "message": zh,
        "message_en": en,
        "source": source,
    }
