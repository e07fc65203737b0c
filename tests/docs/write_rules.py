"""Writes `docs/rules.md` from the catalogue: `python -m tests.docs.write_rules`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.rules.catalogue import RULES, STAGE_NAMES
from app.rules.facts import EvidenceKind, Reason
from app.rules.findings import Rule, Stage
from app.rules.labels import LABELS
from app.rules.lengths import duration_text
from app.rules.policy import Policy
from app.rules.presets import DERIVED, PRESETS, STANDARD
from app.rules.reasons import REASONS
from app.rules.windows import window_terms

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "rules.md"

HEAD = """\
# Rules, presets and reasons · 规则、预设与事由

Generated from the code by `python -m tests.docs.write_rules`; a test keeps the two equal. The same is served, for the
site's own active policy, by `GET /v1/rules`, `GET /v1/policies` and `GET /v1/reasons`. What a source such as
`seed 003 §二` means is told in [sources.md](sources.md).

本页由代码生成，与 `GET /v1/rules`、`GET /v1/policies`、`GET /v1/reasons` 的内容一致；来源编号的含义见
[sources.md](sources.md)。
"""
STAGES = """\
## Stages and rules · 裁定阶段与规则

A claim goes through the stages in this order, and the first rule that decides, decides. What later stages find is kept
in the decision beside it. 申请按以下阶段依次裁定，最先能作出决定的规则起决定作用；其后阶段的认定一并保留。
"""
CLAUSES = """\
## Presets · 预设规则

A preset is a policy document under `app/rules/policies/`. An empty cell inherits `standard`. Durations are ISO 8601
and exact; “n working days” ends with the n-th working day after the day it starts from, 23:59:59 in Shanghai. Amounts
are in fen. 空白表示沿用 `standard`；金额单位为分。
"""
REASON_HEAD = """\
## Reasons · 退款事由

Evidence and windows are those of `standard`. The order record and each successful payment that the site itself sent
count as evidence; a buyer is not asked for them. `terms.report_window` of the order replaces a window that counts from
`delivered_at`. 证据与期限以 `standard` 为准；站点已提交的订单与成功支付记录本身即为证据。
"""
EVIDENCE_HEAD = "## Kinds of evidence · 证据类型\n"


def document() -> str:
    """The whole page."""
    return "\n".join([HEAD, STAGES, *_stages(), CLAUSES, *_presets(), REASON_HEAD, _reasons(), EVIDENCE_HEAD, _kinds()])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def _stages() -> Iterator[str]:
    for stage in Stage:
        zh, en = STAGE_NAMES[stage]
        yield f"### {stage.value}. {en} · {zh}\n"
        rows = [_rule(rule) for rule in RULES if rule.stage is stage]
        yield table(("rule", "fires when", "成立条件", "effect", "reasons", "source"), rows)


def _rule(rule: Rule) -> tuple[str, ...]:
    return (f"`{rule.id}`", rule.when_en, rule.when_zh, rule.effect.value, _concerned(rule), rule.source)


def _concerned(rule: Rule) -> str:
    """The reasons that a rule is looked at for; the shorter of the two ways to say it."""
    if rule.reasons is None:
        return "all"
    named = [f"`{reason}`" for reason in Reason if reason in rule.reasons]
    others = [f"`{reason}`" for reason in Reason if reason not in rule.reasons]
    return ", ".join(named) if len(named) <= len(others) else f"all but {', '.join(others)}"


def _presets() -> Iterator[str]:
    yield table(("preset", "名称", "title"), [_titles(policy) for policy in PRESETS.values()])
    standard = _clauses(PRESETS[STANDARD])
    own = {name: _own(PRESETS[name]) for name in DERIVED}
    rows = [
        [f"`{clause}`", _value(value), *(_value(own[name].get(clause)) for name in DERIVED)]
        for clause, value in standard.items()
    ]
    yield table(("clause", *(f"`{name}`" for name in PRESETS)), rows)
    for name, policy in PRESETS.items():
        yield f"### Sources of `{name}` · {policy.title_zh}\n"
        chosen = standard if name == STANDARD else own[name]
        rows = [[f"`{clause}`", _value(value), policy.sources[_heading(clause)]] for clause, value in chosen.items()]
        yield table(("clause", "value", "source"), rows)


def _titles(policy: Policy) -> tuple[str, ...]:
    return (f"`{policy.name}`", policy.title_zh, policy.title_en)


def _clauses(policy: Policy) -> dict[str, Any]:
    """Every clause of a policy, the lists of evidence among them."""
    clauses, lists = policy.document["clauses"], policy.document["evidence_required"]
    assert isinstance(clauses, dict)
    assert isinstance(lists, dict)
    return {**clauses, **{f"evidence_required.{reason}": kinds for reason, kinds in lists.items()}}


def _own(policy: Policy) -> Mapping[str, Any]:
    """The clauses in which a preset differs from the standard, in value or in source."""
    standard = PRESETS[STANDARD]
    base = _clauses(standard)
    return {
        clause: value
        for clause, value in _clauses(policy).items()
        if value != base[clause] or policy.sources[_heading(clause)] != standard.sources[_heading(clause)]
    }


def _heading(clause: str) -> str:
    """The lists of evidence share one source."""
    return clause.partition(".")[0]


def _value(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value)) or "none"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _reasons() -> str:
    head = ("reason", "事由", "fault", "primary evidence", "evidence required", "window", "counted from", "source")
    return table(head, map(_reason, Reason))


def _reason(reason: Reason) -> tuple[str, ...]:
    terms, standard = REASONS[reason], PRESETS[STANDARD]
    window = window_terms(reason, standard)
    return (
        f"`{reason}`",
        terms.zh,
        terms.fault.value,
        "–" if terms.primary is None else f"`{terms.primary}`",
        ", ".join(f"`{kind}`" for kind in standard.evidence.required[reason]) or "–",
        "–" if window is None else duration_text(window.length),
        "–" if window is None else f"`{window.counted_from}`",
        terms.source,
    )


def _kinds() -> str:
    labels = LABELS[EvidenceKind]
    return table(("kind", "证据", "in words"), [(f"`{kind}`", *labels[kind]) for kind in EvidenceKind])


if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")
