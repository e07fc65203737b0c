"""What a bundle says: the same everywhere, in words for whoever is no programmer, and only ever as text."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from app.files.cabinet import open_cabinet
from app.outbound.catalogue import EventType
from app.rules.catalogue import RULES
from app.rules.facts import Claim
from app.rules.lifecycle import ACTIONS as CASE_ACTIONS
from app.rules.settlement import RefundState
from app.services.assembling import claim_document
from app.services.bundle.dossier import Dossier
from app.services.bundle.packing import bundle_of
from app.services.bundle.pages import words
from app.services.bundle.pages.acts import acts_page
from app.services.bundle.pages.chain import chain_page
from app.services.bundle.pages.cover import contents_of, cover_page
from app.services.bundle.pages.fact_words import FACTS, fact_in_words
from app.services.bundle.pages.markup import tag, visible
from app.services.bundle.pages.ruling import ruling_page
from app.services.bundle.papers import fates_of, papers_of
from app.services.bundle.sheets import sheets_of
from app.store.case_rows import RefundRow
from tests.rules.scenario import Scenario, load_all
from tests.services.dossiers import FIRST_WORD, digest, dossier_of, dossier_with_files, full_dossier

MIB = 1024 * 1024
CHECKOUT = Path(__file__).resolve().parents[2]
SCENARIOS = load_all()
# How programs write instants and lengths; a clerk is never shown them.
_FOR_PROGRAMS = re.compile(r"\d{4}-\d\d-\d\dT\d\d|(?<![A-Za-z0-9])PT?\d+[DHMS]|working day|>None<|>True<|>False<|null")


class Text(HTMLParser):
    """The text of a page, and the elements that it is made of."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.parts)


def pages_of(dossier: Dossier) -> list[bytes]:
    papers = papers_of(dossier, fates_of(dossier.view, {}))
    rulings = [ruling_page(papers, document) for document in papers.documents]
    return [cover_page(papers, contents_of(papers)), chain_page(papers), acts_page(papers), *rulings]


@pytest.mark.parametrize(
    "environ", [{"PYTHONHASHSEED": "0"}, {"PYTHONHASHSEED": "1", "TZ": "America/New_York", "LC_ALL": "C"}]
)
async def test_the_same_bytes_in_every_process(environ: dict[str, str]) -> None:
    assert told_by_another_process(environ) == await digest()


def told_by_another_process(environ: dict[str, str]) -> str:
    told = subprocess.run(
        [sys.executable, "-m", "tests.services.dossiers"],
        cwd=CHECKOUT,
        env={**os.environ, **environ},
        check=True,
        capture_output=True,
        text=True,
    )
    return told.stdout.strip()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_every_scenario_is_shown_in_words(scenario: Scenario) -> None:
    for page in pages_of(dossier_of(scenario)):
        assert _FOR_PROGRAMS.search(Text(page).text.partition("裁定程序")[0]) is None


@pytest.mark.parametrize("scenario", SCENARIOS[:40], ids=lambda scenario: scenario.id)
def test_a_page_of_a_ruling_holds_all_of_it(scenario: Scenario) -> None:
    dossier = dossier_of(scenario)
    papers = papers_of(dossier, {})
    document = papers.documents[0]
    told = Text(ruling_page(papers, document)).text
    for finding in document.body["findings"]:
        assert finding["message"] in told
        assert finding["rule"] in told
        assert visible(finding["source"]) in told
    assert all(change["message"] in told for change in document.body["would_change"])
    for deadline in document.body["deadlines"]:
        assert words.DEADLINES[deadline["name"]] in told
        assert words.moment_of(deadline) in told
    for share in (document.body["refund"] or {"allocations": []})["allocations"]:
        assert share["payment_no"] in told
        assert words.yuan(share["amount"]) in told
    assert document.body["receipt"]["facts_sha256"] in told
    assert document.body["receipt"]["policy_sha256"] in told
    steps = [(words.ACTORS[each["by"]], words.ACTIONS[each["action"]]) for each in document.body["next"]]
    assert all(f"{who}：{what}" in told for who, what in steps)


@pytest.mark.parametrize("kind", words.WORDS, ids=lambda kind: kind.__name__)
def test_every_member_of_a_closed_set_has_a_word(kind: Any) -> None:
    assert set(words.WORDS[kind]) == {member.value for member in kind}


def test_every_fact_that_a_rule_names_has_a_word() -> None:
    named = {name for rule in RULES for name in re.findall(r"\{(\w+)", rule.zh + rule.en)}
    assert named - FACTS.keys() == set()


def test_whatever_may_be_done_has_a_word() -> None:
    assert {action for action, _ in CASE_ACTIONS.values()} - words.ACTIONS.keys() == set()
    assert words.EVENTS.keys() - {each.value for each in EventType} == set()


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("claimed", 123_450, "1,234.50 元"),
        ("window", "P7D", "7 天"),
        ("window", "3 working days", "3 个工作日"),
        ("late_by", "PT24M30.5S", "24 分 30 秒"),
        ("late_by", "PT0.000001S", "0.000001 秒"),
        ("overdue_by", "P-1DT23H", "1 小时"),
        ("missing", ["chat_log", "order_record"], "站内沟通记录、订单截图"),
        ("missing", [], "无"),
        ("cause", "cancelled_by_buyer", "买家主动取消订单"),
        ("cause", "something_new", "something_new"),
        ("amount", None, "无记录"),
        ("never_heard_of", 3, "3"),
    ],
)
def test_a_fact_in_words(name: str, value: Any, shown: str) -> None:
    assert fact_in_words(name, value)[1] == shown


def test_text_stays_text() -> None:
    assert tag("p", "<b>&\"'") == "<p>&lt;b&gt;&amp;&quot;&#x27;</p>"
    assert tag("a", "x", href='"><script>') == '<a href="&quot;&gt;&lt;script&gt;">x</a>'
    assert tag("p", tag("b", "<")) == "<p><b>&lt;</b></p>"
    assert tag("p", "a\u202eb\x1b[31m\nc") == "<p>a⟨U+202E⟩b⟨U+001B⟩[31m\nc</p>"


HOSTILE = '<script>alert(1)</script>"\'><img src=x onerror=alert(1)>\u202e=HYPERLINK("http://x")\x1b[31m&amp;'


def test_what_somebody_wrote_is_shown_and_never_acted_on() -> None:
    dossier = full_dossier()
    view = dossier.view
    claim = claim_document(Claim(view.case.reason, view.case.filed_at, description=HOSTILE))
    acts = tuple(replace(act, by=HOSTILE, details={"message": HOSTILE, "new": HOSTILE}) for act in view.acts)
    evidence = tuple(
        each if each.file is None else replace(each, file=replace(each.file, name=HOSTILE)) for each in view.evidence
    )
    view = replace(view, case=replace(view.case, claim=claim), acts=acts, evidence=evidence)
    clean = [Text(page).tags for page in pages_of(full_dossier())]
    spoiled = [Text(page) for page in pages_of(replace(dossier, view=view, site=replace(dossier.site, name=HOSTILE)))]
    assert visible(HOSTILE) in spoiled[0].text
    assert visible(HOSTILE) in spoiled[2].text
    for page, before in zip(spoiled, clean, strict=True):
        names = [name for name, _ in page.tags]
        assert {"script", "img"} & set(names) == set()
        assert set(names) <= {name for name, _ in before} | {"bdi"}
        assert all(not name.startswith("on") for _, attributes in page.tags for name, _ in attributes)


def test_what_channels_said_of_refunds_is_shown_and_never_acted_on() -> None:
    """Numbers and reasons come from outside, and so does the other account."""
    dossier = full_dossier()
    account = {"account_ref": HOSTILE, "display": HOSTILE, "consent": HOSTILE, "consented_at": FIRST_WORD}
    refunds = tuple(
        replace(row, channel_refund_no=HOSTILE, failure_message=HOSTILE, other_account=account)
        for row in dossier.view.refunds
    )
    cover = Text(pages_of(replace(dossier, view=replace(dossier.view, refunds=refunds)))[0])
    # Of each the number and the account's three; the reason only where there is one.
    assert cover.text.count(visible(HOSTILE)) == 9
    assert {"script", "img"} & {name for name, _ in cover.tags} == set()


def cover_with(*refunds: RefundRow) -> str:
    dossier = full_dossier()
    return Text(pages_of(replace(dossier, view=replace(dossier.view, refunds=refunds)))[0]).text


def test_the_cover_tells_what_became_of_each_refund() -> None:
    closed, paid = full_dossier().view.refunds
    told = cover_with(closed, paid)
    for said in (
        "rf-closed",
        "已关闭",
        "未能退回的原因：原付款账户已注销或不可用，渠道说明：TRADE_ACCOUNT_CLOSED",
        f"平台确认关闭时间：{words.beijing(closed.settled_at or paid.created_at)}",
        "取代已关闭的退款单 rf-closed",
        "招商银行 ****1234（平台编号 w-88）；买家同意时间 2026-03-10 12:00，同意内容：退到这张卡",
        "渠道退款单号：50300001",
        f"渠道最近一次反馈所载时间：{words.beijing(paid.reported_at or paid.created_at)}",
        f"平台确认到账时间：{words.beijing(paid.settled_at or paid.created_at)}",
    ):
        assert said in told, said


def test_money_that_is_back_is_not_asked_for_elsewhere() -> None:
    """What is left of the balance that was judged on is what somebody may still turn to others about."""
    dossier = full_dossier()
    beyond = papers_of(dossier, fates_of(dossier.view, {})).beyond
    assert beyond is not None
    at_stake = beyond.at_stake
    paid = replace(dossier.view.refunds[1], replaces=None)
    asked = replace(paid, state=RefundState.ACCEPTED, settled_at=None)
    assert f"尚未退回的款项为 {words.yuan(at_stake)}。平台已发出退款指令，如未按期到账，可以：" in cover_with(asked)
    assert "已到账" not in cover_with(asked)
    some = cover_with(replace(paid, amount=at_stake - 100))
    assert (
        f"已到账 {words.yuan(at_stake - 100)}。按平台作出最近一次裁定时的记录，尚未退回的款项为 1.00 元。可以：" in some
    )
    whole = cover_with(replace(paid, amount=at_stake))
    assert f"已到账 {words.yuan(at_stake)}。按平台记录，本案已没有尚未退回的款项。" in whole
    assert "向 12315 投诉" not in whole


def test_a_retry_is_told_among_what_people_did() -> None:
    acts = Text(pages_of(full_dossier())[2]).text
    told = acts.partition("重新发起退款")[2]
    assert "操作人op-1" in told
    assert "退款单号rf-closed" in told
    assert "此前的状态已关闭" in told
    assert "新的退款单号rf-paid" in told
    assert "改退至招商银行 ****1234（平台编号 w-88）" in told


def test_a_page_loads_nothing_and_runs_nothing() -> None:
    for page in pages_of(full_dossier()):
        assert b"default-src 'none'" in page
        assert b"http://" not in page
        assert b"https://" not in page


def test_a_test_sites_bundle_says_that_it_proves_nothing() -> None:
    dossier = full_dossier()
    real = pages_of(dossier)[0].decode()
    trial = pages_of(replace(dossier, site=replace(dossier.site, mode="test")))[0].decode()
    assert "测试数据" in trial
    assert "测试数据" not in real


def test_numbers_that_look_alike_as_file_names_stay_apart() -> None:
    dossier = full_dossier()
    record = dossier.records[0]
    many = [replace(record, record_no=number, versions=1) for number in ("a:b", "a.b", "A.B", "CON", "..x")]
    payments = tuple(replace(each, kind=type(record.kind).PAYMENT, record=PAYMENT) for each in many)
    sheets, _ = sheets_of(papers_of(replace(dossier, records=payments), fates_of(dossier.view, {})))
    paths = [sheet.path for sheet in sheets]
    assert len({path.casefold() for path in paths}) == len(paths)
    assert sum(path.startswith("05-记录/支付-") for path in paths) == 5
    assert all(":" not in path and ".." not in path and "\\" not in path for path in paths)


PAYMENT = (
    '{"channel":"alipay","amount":100,"status":"succeeded","paid_at":"2026-03-10T04:00:00+00:00","order_no":null,'
    '"refunded_amount":0}'
)


def test_versions_that_are_left_out_are_counted() -> None:
    dossier = full_dossier()
    records = tuple(replace(each, versions=140) for each in dossier.records)
    cover = Text(pages_of(replace(dossier, records=records))[0]).text
    assert "记录 m-7 共有 140 个版本，仅收录最近 2 个。" in cover
    assert "仅收录最近" not in Text(pages_of(dossier)[0]).text


async def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    cabinet = open_cabinet(tmp_path.as_uri())
    count, size = 40, 5 * MIB
    for n in range(count):
        with (tmp_path / str(n)).open("wb") as file:
            file.truncate(size)
    bundle = await bundle_of(dossier_with_files(count, size), cabinet)
    sent, before, most = 0, resident(), 0
    async for block in bundle.blocks():
        sent += len(block)
        most = max(most, resident())
    assert sent == bundle.length
    assert sent > count * size
    assert most - before < 24 * MIB


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_case_that_was_never_judged_has_its_pages() -> None:
    cover, chain, acts = (Text(page).text for page in pages_of(replace(full_dossier(), decisions=())))
    assert "本案尚未作出裁定。" in cover
    assert "证据清单" in chain
    assert "商家答复" in acts
