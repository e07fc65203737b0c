"""A reader who has only what was sent and the published form can recompute the hashes of a receipt."""

import copy
import hashlib
import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.rules.canonical import canonical_json, instant_text, sha256_of
from app.rules.decision import ENGINE, decide, decision_document
from app.rules.facts import Facts, Trait
from app.rules.findings import Fen
from app.rules.lengths import duration_text, parse_duration
from app.rules.presets import PRESETS
from tests.rules.building import AS_OF, a_claim, an_order, facts
from tests.rules.scenario import judged, load_all

POLICIES = Path(__file__).parents[2] / "app" / "rules" / "policies"


# --- the reader's side: standard library alone

DEFAULTS: dict[str, Any] = {
    "claim": {"remedy": "refund", "amount": None, "first_contact_at": None, "via": "platform", "description": None},
    "order": {"cancelled_by": None, "cancelled_at": None},
    "goods": {"promised_at": None, "card_use": "unknown", "face_value": None, "traits": [], "terms": {}},
    "terms": {"report_window": None, "refundable": None},
    "payments": {"order_no": None, "refunded_amount": 0},
    "deliveries": {"delivered_at": None, "face_value": None, "recipient": None, "usage": "unknown", "used_at": None}
    | {"used_by": "unknown", "card_status": "unknown", "times_sold": 1},
    "evidence": {"order_no": None, "channel": None, "composite": False, "stamped": False, "reused": False}
    | {"sha256": None, "supports": None},
    "merchant": {"status": "active", "identity_verified": False, "deposit": 0, "response": None},
    "buyer": {"strikes": 0},
    "course": {"evidence_requested_at": None, "review_started_at": None, "resumed_at": None, "appealed_at": None}
    | {"ruling": None},
    "ruling": {"amount": None},
    "": {"payments": [], "deliveries": [], "evidence": [], "merchant": None, "buyer": {}, "course": None},
}


def spelled(value: Any, name: str = "") -> Any:
    """Defaults filled in, instants in UTC with a Z, lengths in seconds, sets sorted."""
    if isinstance(value, dict):
        return {key: spelled(each, key) for key, each in {**DEFAULTS.get(name, {}), **value}.items()}
    if isinstance(value, list):
        return sorted(value) if name == "traits" else [spelled(each, name) for each in value]
    if isinstance(value, str) and (name == "at" or name.endswith(("_at", "as_of"))):
        return datetime.fromisoformat(value).astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and name == "report_window":
        number = int(value.removeprefix("P").removeprefix("T")[:-1])
        return number * {"H": 3600, "D": 86400}[value[-1]]
    return value


def digest(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def facts_digest(body: dict[str, Any]) -> str:
    return digest(spelled({key: value for key, value in body.items() if key != "policy"}))


def policy_digest(name: str) -> str:
    whole = tomllib.loads((POLICIES / "standard.toml").read_text("utf-8"))
    own = tomllib.loads((POLICIES / f"{name}.toml").read_text("utf-8"))
    clauses = {key: each["value"] for key, each in {**whole["clauses"], **own["clauses"]}.items()}
    lists = {**whole["evidence_required"], **own.get("evidence_required", {})}
    del lists["source"]
    headings = {key: own[key] for key in ("name", "version", "title_en", "title_zh")}
    effective_from = own["effective_from"].astimezone(UTC).isoformat().replace("+00:00", "Z")
    return digest({**headings, "effective_from": effective_from, "clauses": clauses, "evidence_required": lists})


# --- what the receipt says


@pytest.mark.parametrize("scenario", load_all(), ids=lambda scenario: scenario.id)
def test_a_reader_comes_to_the_same_hashes(scenario: Any) -> None:
    receipt = judged(scenario)["receipt"]
    assert receipt["facts_sha256"] == facts_digest(scenario.body)
    assert receipt["policy_sha256"] == policy_digest(scenario.body["policy"])
    assert receipt["engine"] == f"{ENGINE}, calendar to 2026-12-31"


def test_another_fact_gives_another_hash() -> None:
    scenario = load_all()[0]
    for path, value in (("as_of", "2026-04-13T15:00:00.000001+08:00"), ("buyer", {"strikes": 1})):
        body = copy.deepcopy(scenario.body)
        body[path] = value
        assert facts_digest(body) != judged(scenario)["receipt"]["facts_sha256"]


def test_the_same_instant_in_another_zone_gives_the_same_hash() -> None:
    here, there = facts(), facts(as_of=AS_OF.astimezone(UTC))
    assert canonical_json(here) == canonical_json(there)


def receipt_of(drawn: Facts) -> dict[str, str]:
    receipt: dict[str, str] = decision_document(decide(drawn, PRESETS["standard"]))["receipt"]
    return receipt


def test_what_the_buyer_wrote_is_part_of_what_is_hashed() -> None:
    said = facts(claim=a_claim(description="一直没到账"))
    assert receipt_of(said)["facts_sha256"] != receipt_of(facts())["facts_sha256"]
    assert '"description":"一直没到账"' in canonical_json(said)


# --- the form itself


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": None}, '{"a":null,"b":1}'),
        ({"a": True, "b": False}, '{"a":true,"b":false}'),
        (["到账", 'a"b', "\n"], '["到账","a\\"b","\\n"]'),
        (Fen(9900), "9900"),
        (10**18, "1000000000000000000"),
        (frozenset({Trait.TRIAL, Trait.ACCOUNT, Trait.FINAL_SALE}), '["account","final_sale","trial"]'),
        (timedelta(days=1, seconds=1), "86401"),
        (datetime(2026, 4, 13, tzinfo=UTC), '"2026-04-13T00:00:00Z"'),
        (AS_OF, '"2026-04-13T07:00:00Z"'),
        (AS_OF + timedelta(microseconds=120), '"2026-04-13T07:00:00.000120Z"'),
        ((), "[]"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_the_canonical_form_has_one_spelling(value: object, text: str) -> None:
    assert canonical_json(value) == text
    assert sha256_of(text) == hashlib.sha256(text.encode()).hexdigest()


def test_keys_are_sorted_at_every_depth() -> None:
    text = canonical_json(facts(order=an_order(goods={"traits": frozenset(Trait)})))
    assert text == json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def test_an_instant_is_written_in_utc_whatever_its_zone() -> None:
    assert instant_text(AS_OF) == instant_text(AS_OF.astimezone(UTC)) == "2026-04-13T07:00:00Z"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(), "PT0S"),
        (timedelta(days=7), "P7D"),
        (timedelta(hours=24), "P1D"),
        (timedelta(hours=5, minutes=54, seconds=40), "PT5H54M40S"),
        (timedelta(days=1, seconds=1), "P1DT1S"),
        (timedelta(microseconds=1), "PT0.000001S"),
        (timedelta(minutes=1, microseconds=500_000), "PT1M0.5S"),
        (timedelta(hours=1), "PT1H"),
    ],
    ids=str,
)
def test_lengths_are_shown_as_durations(span: timedelta, text: str) -> None:
    assert duration_text(span) == text


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.integers(1, 3650 * 86400))
def test_a_shown_duration_reads_back_as_itself(seconds: int) -> None:
    assert parse_duration(duration_text(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
