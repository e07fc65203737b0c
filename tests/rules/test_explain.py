"""What a reader of a decision sees, word for word, in Chinese and English.

`messages.yaml` holds a message of every rule, a counterfactual of every kind and every reason why a piece does not
count, each with the scenario that says it. After a deliberate change of words, `python -m tests.rules.test_explain`
writes the file again; read the difference before it is committed.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.rules.adjudicate import judge
from app.rules.catalogue import RULES, STAGE_NAMES
from app.rules.decision import decide, idle_document, plain_value
from app.rules.explain import in_words, message
from app.rules.facts import Reason, Usage
from app.rules.findings import Fen, Finding, Outcome, Stage
from app.rules.labels import LABELS, words_of
from app.rules.lengths import Exact, WorkingDays
from app.rules.presets import PRESETS
from app.rules.weighing import Discount
from tests.rules.building import AS_OF, DELIVERED_AT, PAID_AT, a_delivery, a_merchant, facts
from tests.rules.scenario import Scenario, judged, load_all

WRITTEN = Path(__file__).parent / "messages.yaml"
Said = tuple[str, str, dict[str, str]]


def sayings() -> Iterator[Said]:
    """Everything that the scenarios say: the section, what says it, and where and how it is said."""
    for scenario in load_all():
        document = judged(scenario)
        for finding in sorted(document["findings"], key=lambda each: not each["decisive"]):
            yield "findings", finding["rule"], _words(scenario, finding)
        for found in document["would_change"]:
            yield "would_change", found["if"].split("=")[0], _words(scenario, found)
        for piece in document["evidence"]["discounted"]:
            yield "discounted", piece["reason"], _words(scenario, piece)


def _words(scenario: Scenario, said: dict[str, Any]) -> dict[str, str]:
    return {"scenario": scenario.id, "zh": said["message"], "en": said["message_en"]}


def one_of_each() -> dict[str, dict[str, dict[str, str]]]:
    """The first saying of each; of a rule, the first where it decides, if it ever does."""
    chosen: dict[str, dict[str, dict[str, str]]] = {}
    for scenario in load_all():
        decisive = judged(scenario)["decisive_rule"]
        for finding in judged(scenario)["findings"]:
            if finding["rule"] == decisive:
                chosen.setdefault("findings", {}).setdefault(decisive, _words(scenario, finding))
    for section, key, words in sayings():
        chosen.setdefault(section, {}).setdefault(key, words)
    return chosen


EXPECTED: dict[str, dict[str, dict[str, str]]] = yaml.safe_load(WRITTEN.read_text("utf-8")) if WRITTEN.exists() else {}
BY_ID = {scenario.id: scenario for scenario in load_all()}
EACH = [(section, key, words) for section, entries in EXPECTED.items() for key, words in entries.items()]


@pytest.mark.parametrize(("section", "key", "words"), EACH, ids=str)
def test_it_is_said_in_these_words(section: str, key: str, words: dict[str, str]) -> None:
    document = judged(BY_ID[words["scenario"]])
    said = {
        "findings": {each["rule"]: each for each in document["findings"]},
        "would_change": {each["if"].split("=")[0]: each for each in reversed(document["would_change"])},
        "discounted": {each["reason"]: each for each in document["evidence"]["discounted"]},
    }[section][key]
    assert (said["message"], said["message_en"]) == (words["zh"], words["en"])


def test_every_rule_every_change_and_every_discount_has_its_words_written_down() -> None:
    assert set(EXPECTED["findings"]) == {rule.id for rule in RULES}
    assert set(EXPECTED["discounted"]) == set(Discount)
    assert set(EXPECTED["would_change"]) >= {
        "as_of",
        "claim.amount",
        "claim.filed_at",
        "claim.reason",
        "claim.remedy",
        "claim.via",
        "deliveries.card_status",
        "deliveries.usage",
        "evidence.third_party_statement",
        "evidence.bank_statement",
        "merchant.response",
        "order.goods.card_use",
    }


@pytest.mark.parametrize(
    ("value", "zh", "en"),
    [
        (Fen(0), "0.00 元", "CNY 0.00"),
        (Fen(5), "0.05 元", "CNY 0.05"),
        (Fen(100), "1.00 元", "CNY 1.00"),
        (Fen(123_456_789), "1,234,567.89 元", "CNY 1,234,567.89"),
        (AS_OF, "2026-04-13 15:00", "2026-04-13 15:00"),
        (PAID_AT, "2026-04-13 09:00:20", "2026-04-13 09:00:20"),
        (AS_OF + timedelta(microseconds=1), "2026-04-13 15:00:00.000001", "2026-04-13 15:00:00.000001"),
        (timedelta(hours=25), "1 天 1 小时", "1 day 1 h"),
        (Exact(timedelta(hours=24)), "24 小时", "24 hours"),
        (WorkingDays(3), "3 个工作日", "3 working days"),
        (Reason.NOT_DELIVERED, "未到账 / 未发货", "not delivered"),
        (("T-1", "T-2"), "T-1、T-2", None),
        ("missing", "missing", "missing"),
        (7, "7", "7"),
        (True, "是", "yes"),
        (False, "否", "no"),
        (None, "无记录", "not recorded"),
    ],
    ids=str,
)
def test_a_fact_in_words(value: Any, zh: str, en: str | None) -> None:
    said = in_words(value)
    assert said[0] == zh
    assert en is None or said[1] == en


def test_a_fraction_of_a_second_is_said_only_where_the_matter_turns_on_it() -> None:
    fraction = timedelta(microseconds=1)
    last = a_delivery(delivered_at=PAID_AT + timedelta(minutes=5) + fraction)
    late = facts(Reason.DELIVERED_LATE, deliveries=(last,))
    zh, en = message(judge(late, PRESETS["standard"]).decisive)
    assert "09:05:20.000001" in zh
    assert "0.000001 s" in en
    delivered = facts(deliveries=(a_delivery(delivered_at=DELIVERED_AT + fraction),))
    zh, en = message(judge(delivered, PRESETS["standard"]).decisive)
    assert ".000001" not in zh + en


def test_what_makes_goods_special_is_named_in_one_order() -> None:
    document = judged(BY_ID["special-in-several-ways"])
    [why] = [each["facts"]["why"] for each in document["findings"] if each["rule"] == "special-goods"]
    assert why == ["custom_made", "final_sale", "trial", "not_refundable"]


def test_a_name_that_looks_like_one_of_our_words_stays_a_name() -> None:
    rule = next(each for each in RULES if each.id == "card-invalid")
    finding = Finding(rule, Outcome.APPROVE, {"delivery_no": "not_refundable", "card_status": "invalid"})
    assert "not_refundable" in message(finding)[0]


def test_every_member_of_every_closed_set_has_words_of_its_own_in_both_languages() -> None:
    for kind, labels in LABELS.items():
        assert set(labels) == set(kind), kind
        for language in (0, 1):
            said = [words[language] for words in labels.values()]
            assert len(set(said)) == len(said), kind
            assert all(said)
        for member in kind:
            assert words_of(member) == labels[member]


def test_every_stage_has_a_name_in_both_languages() -> None:
    assert set(STAGE_NAMES) == set(Stage)
    assert all(zh and en for zh, en in STAGE_NAMES.values())


def test_a_fact_as_json_shows_it() -> None:
    assert plain_value(PAID_AT) == "2026-04-13T09:00:20+08:00"
    assert plain_value(timedelta(hours=25)) == "P1DT1H"
    assert plain_value((Usage.UNUSED, "x")) == ["unused", "x"]
    assert type(plain_value(Usage.UNUSED)) is str
    assert plain_value(Fen(5)) == 5
    assert plain_value(Exact(timedelta(hours=24))) in {"P1D", "PT24H"}
    assert plain_value(WorkingDays(3)) == "3 working days"
    assert plain_value(None) is None


# --- the rules that did not fire


def idle(drawn: Any, policy: str = "standard") -> dict[str, dict[str, Any]]:
    return {each["rule"]: each for each in idle_document(decide(drawn, PRESETS[policy]))}


def test_an_idle_rule_names_what_its_condition_turned_on() -> None:
    seen = idle(facts(merchant=a_merchant()))
    assert seen["report-window"]["facts"] == {
        "filed_at": "2026-04-13T14:00:00+08:00",
        "window_ends_at": "2026-10-10T09:00:20+08:00",
    }
    assert seen["abuse-suspected"]["facts"] == {"strikes": 0, "reused_files": 0}
    assert seen["merchant-turn"]["facts"] == {
        "merchant_position": None,
        "merchant_deadline": "2026-04-14T14:00:00+08:00",
    }
    assert seen["cancelled-by-seller"]["facts"] == {"order_status": "paid", "cancelled_by": None}
    assert seen["nothing-to-refund"]["facts"] == {"balance": 9900}
    assert "2026-10-10 09:00:20" in seen["report-window"]["message"]
    assert "2026-10-10 09:00:20" in seen["report-window"]["message_en"]


def test_an_idle_rule_of_other_reasons_says_so() -> None:
    seen = idle(facts())["card-invalid"]
    assert seen["message"] == "不适用于事由「未到账 / 未发货」。"
    assert seen["message_en"] == "It does not concern the reason “not delivered”."
    assert (seen["facts"], seen["stage"], seen["source"]) == ({}, "confirmation", "seed 002 §二.2; seed 002 §五")


if __name__ == "__main__":
    WRITTEN.write_text(yaml.safe_dump(one_of_each(), allow_unicode=True, sort_keys=False, width=1000), "utf-8")
