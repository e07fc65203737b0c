"""Links lead somewhere, what is named exists, and nothing is said that does not belong into these documents."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from app.api import openapi
from app.models import Base
from app.rules.catalogue import RULE_OF, RULES
from app.rules.presets import PRESETS
from app.rules.reasons import REASONS
from tests.docs.documents import CHECKOUT, anchors, documents, headings, links, prose, spans, text_of
from tests.docs.write_rules import DOCUMENT, document

EACH = pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(CHECKOUT)))
PATH = re.compile(r"(?:\.ci|app|benchmarks|docs|launcher|migrations|requirements|tests)/[\w./*-]*")
MODULE = re.compile(r"python -m ([a-z_.]+)")
SOURCE = re.compile(r"seed (\d{3}) (§[一二三四五])")
# Words of the trade of making this, not of the thing made; and places that are nobody else's.
FOREIGN = re.compile(
    r"\b(?:prompt|(?<!user-)agent|session|planner|chief|LLM|AI)s?\b|\.\./shared|/tmp/|/work/|pypi\.org|npmjs",
    re.IGNORECASE,
)
# What the worked examples of CONTRIBUTING.md make.
YET_TO_BE = {"app/rules/policies/weekend_sale.toml", "app/rules/calendars/2027.toml"}
STATUS = re.compile(r"\b[1-5]\d\d\b")


@EACH
def test_links_lead_to_files_and_headings_that_exist(path: Path) -> None:
    for target in links(path.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        name, _, fragment = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), target
        assert CHECKOUT in there.parents, target
        assert not fragment or fragment in anchors(there.read_text("utf-8")), target


@EACH
def test_paths_and_modules_that_are_named_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    for span in spans(text):
        if PATH.fullmatch(span) and "…" not in span:
            assert span in YET_TO_BE or list(CHECKOUT.glob(span.rstrip("/").replace("YYYY", "*"))), span
    for module in MODULE.findall(text):
        if module.startswith(("app", "launcher", "tests", "benchmarks")):
            place = CHECKOUT / module.replace(".", "/")
            assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module


@EACH
def test_tests_that_are_named_exist(path: Path) -> None:
    named = {span for span in spans(path.read_text("utf-8")) if re.fullmatch(r"test_\w+", span)}
    written = "\n".join(each.read_text("utf-8") for each in (CHECKOUT / "tests" / "rules").glob("test_*.py"))
    assert all(f"def {name}(" in written for name in named)


@EACH
def test_nothing_is_said_of_how_this_was_made(path: Path) -> None:
    assert not FOREIGN.search(path.read_text("utf-8"))


@EACH
def test_a_document_has_one_title_and_skips_no_level(path: Path) -> None:
    levels = [level for level, _ in headings(path.read_text("utf-8"))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_generated_page_of_rules_is_up_to_date() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "python -m tests.docs.write_rules"


def test_every_source_that_the_code_names_is_told() -> None:
    told = dict(re.findall(r"^## seed (\d{3})\n(.*?)(?=^## )", text_of("docs/sources.md"), re.MULTILINE | re.DOTALL))
    named = [rule.source for rule in RULES] + [terms.source for terms in REASONS.values()]
    named += [source for policy in PRESETS.values() for source in policy.sources.values()]
    cited = {found for source in named for found in SOURCE.findall(source)}
    assert len(cited) > 15
    for seed, section in cited:
        assert f"| {section}" in told[seed], (seed, section)


def test_rules_that_are_said_to_come_from_a_source_do_exist_and_none_is_left_out() -> None:
    said = set(spans(text_of("docs/sources.md")))
    assert said >= RULE_OF.keys()
    kebab = {span for span in said if re.fullmatch(r"[a-z]+(-[a-z]+)+", span)}
    assert kebab <= RULE_OF.keys()


def test_the_changelog_tells_of_every_rule_and_begins_with_this_version() -> None:
    changelog = text_of("CHANGELOG.md")
    assert set(spans(changelog)) >= RULE_OF.keys() | PRESETS.keys()
    version = tomllib.loads(text_of("pyproject.toml"))["project"]["version"]
    assert next(text for level, text in headings(changelog) if level == 2).split()[0] == version == openapi.VERSION


def test_the_architecture_names_every_table_and_every_place_of_the_package() -> None:
    said = set(spans(text_of("ARCHITECTURE.md")))
    assert said >= Base.metadata.tables.keys()
    places = {path.name for path in (CHECKOUT / "app").iterdir() if not path.name.startswith("__")}
    assert {f"app/{name}" if name.endswith(".py") else f"app/{name}/" for name in places} <= said


def test_the_webhooks_that_are_said_to_be_sent_are_those_of_the_interface() -> None:
    written = yaml.safe_load(text_of("openapi.yaml"))
    said = {
        span
        for span in spans(text_of("docs/webhooks.md"))
        if re.fullmatch(r"(case|refund|merchant|buyer|endpoint)\.[a-z_]+", span)
    }
    assert said == set(written["webhooks"])


def test_every_operation_that_is_named_exists() -> None:
    paths = yaml.safe_load(text_of("openapi.yaml"))["paths"]
    for path in documents():
        for method, place in re.findall(r"`(GET|PUT|POST|PATCH|DELETE) (/v1/[\w/{}-]+)`", path.read_text("utf-8")):
            assert method.lower() in paths[place], (path.name, method, place)


def test_every_problem_code_of_the_integration_guide_exists() -> None:
    rows = [line for line in prose(text_of("docs/integration.md")).splitlines() if STATUS.match(line.strip("| "))]
    source = "\n".join(path.read_text("utf-8") for path in (CHECKOUT / "app").rglob("*.py"))
    codes = [code for row in rows for code in spans(row.split("|")[2])]
    assert len(codes) > 15
    for each in codes:
        assert f'"{each}"' in source, each


def test_decision_records_are_numbered_without_gaps_and_say_four_things() -> None:
    records = sorted((CHECKOUT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for path in records:
        sections = [heading for level, heading in headings(path.read_text("utf-8")) if level == 2]
        assert sections[:4] == ["Context", "Decision", "Consequences", "Turned down"], path.name
