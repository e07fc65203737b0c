"""The bundle over HTTP: one archive of a case, the same bytes each time, and true to what is stored."""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from obstore.store import S3Store
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import Message

from app.config import Config
from app.models.closed_sets import Scope
from app.services.bundle.dossier import LARGEST_DECISIONS, LARGEST_FILES
from app.store.engine import transaction
from tests.api import bodies
from tests.api.conftest import Access
from tests.database_clock import DatabaseClock
from tests.files.samples import TEXT, png


async def filed(site: Access, body: dict[str, Any]) -> dict[str, Any]:
    answer = await site.post("/v1/cases", body, once=f"file-{body['claim']['reason']}")
    assert answer.status_code == 201, answer.text
    case: dict[str, Any] = answer.json()
    return case


async def step(site: Access, case: dict[str, Any], action: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await site.post(f"/v1/cases/{case['id']}/{action}", body, once=f"{action}-{case['version']}")
    assert answer.status_code == 200, answer.text
    moved: dict[str, Any] = answer.json()
    return moved


async def upload(site: Access, case: dict[str, Any], n: int, content: bytes) -> None:
    url = case["evidence"][n - 1]["file"]["upload"]["url"]
    sent = await site.call("PUT", url, content=content)
    assert sent.status_code == 201, sent.text


def announced(name: str, content: bytes, media_type: str = "image/png") -> dict[str, Any]:
    return {"name": name, "media_type": media_type, "size": len(content)}


async def long_case(site: Access) -> dict[str, Any]:
    """Asked for evidence, answered by the merchant, refused by a person, appealed, taken to 12315."""
    body = bodies.filing()
    seen = body["evidence"][0]["captured_at"]
    body["claim"] |= {"reason": "not_working", "description": "卡密提示“已被使用”。\n联系卖家两天没有回复。"}
    body["deliveries"] = [{"delivery_no": "D-1", "delivered_at": seen}]
    body["evidence"] = []
    case = await filed(site, body)
    piece = {"party": "buyer", "captured_at": seen, "order_no": "A-1001"}
    pieces = [
        {**piece, "kind": "error_screenshot", "file": announced("错误提示.png", png())},
        {**piece, "kind": "order_record"},
        {**piece, "kind": "chat_log", "channel": "in_platform", "file": announced("聊天记录.txt", TEXT, "text/plain")},
        {**piece, "kind": "chat_log", "channel": "off_platform"},
        {**piece, "kind": "screen_recording", "file": announced("录屏.mp4", b"0" * 99, "video/mp4")},
        {**piece, "kind": "other"},
    ]
    case = await step(site, case, "evidence", {"evidence": pieces})
    await upload(site, case, 1, png())
    await upload(site, case, 3, TEXT)
    case = await step(site, case, "merchant-response", {"position": "contest", "message": "卡密出库前已验证有效。"})
    ruling = {"outcome": "reject", "code": "evidence_insufficient", "text": "截图未显示卡密校验结果。", "by": "op-3"}
    case = await step(site, case, "ruling", ruling)
    news = {**piece, "kind": "third_party_statement", "party": "third_party", "supports": "buyer"}
    return await step(site, case, "appeal", {"message": "补充发卡方的书面说明。", "evidence": [news]})


async def bundle(site: Access, case: dict[str, Any], **headers: str) -> httpx.Response:
    return await site.get(f"/v1/cases/{case['id']}/bundle", headers=headers)


class Unpacked:
    """What a bundle holds, by the path below its root."""

    def __init__(self, answer: httpx.Response, case: dict[str, Any]) -> None:
        assert answer.status_code == 200, answer.text
        self.root = f"退款案件-{case['id']}/"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.testzip() is None
            self.entries = archive.infolist()
            self.files = {entry.filename.removeprefix(self.root): archive.read(entry) for entry in self.entries}

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.files["清单.json"])
        return found

    def sums(self) -> dict[str, str]:
        """What SHA256SUMS says of each path."""
        lines = self.files["SHA256SUMS"].decode().splitlines()
        return {path: sha256 for sha256, path in (line.split("  ", 1) for line in lines)}

    def text(self, path: str) -> str:
        return self.files[path].decode()


async def unpacked(site: Access, case: dict[str, Any]) -> Unpacked:
    return Unpacked(await bundle(site, case), case)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def folder(config: Config) -> list[Path]:
    """Where the files of evidence lie."""
    return [path for path in Path(str(config.files_url).removeprefix("file://")).rglob("*") if path.is_file()]


def check_with_other_programs(archive: Path, into: Path) -> str:
    """Unpacks with `unzip` and checks with `sha256sum`, as a clerk is told to; what it says."""
    subprocess.run(["unzip", "-q", archive, "-d", into], check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    (root,) = into.iterdir()
    checked = subprocess.run(
        ["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=root, capture_output=True, text=True, check=True
    )
    return checked.stdout


async def test_the_bundle_has_all_there_is_of_a_case_and_nothing_else(site: Access) -> None:
    other = await filed(site, bodies.filing("A-2002"))
    case = await long_case(site)
    found = await unpacked(site, case)
    decisions = (await site.get(f"/v1/cases/{case['id']}/decisions")).json()["data"]
    assert len(decisions) == 7
    numbers = range(1, len(decisions) + 1)
    assert list(found.files) == [
        "01-封面.html",
        "02-证据链与时间线.html",
        *(f"03-裁定书-{n}.html" for n in numbers),
        "04-当事人行为.html",
        "05-记录/订单.json",
        "05-记录/支付-01-P-A-1001.json",
        "05-记录/发货-01-D-1.json",
        "05-记录/商家.json",
        *(f"06-裁定原文/{what}-{n}.json" for n in numbers for what in ("裁定", "事实")),
        "06-裁定原文/规则-standard@1.json",
        "07-证据/01-错误提示.png",
        "07-证据/03-聊天记录.txt",
        "清单.json",
        "SHA256SUMS",
    ]
    assert all(entry.filename.startswith(found.root) for entry in found.entries)
    assert not any(other["id"].encode() in content or b"A-2002" in content for content in found.files.values())
    assert found.files["07-证据/01-错误提示.png"] == png()
    assert found.files["07-证据/03-聊天记录.txt"] == TEXT


async def test_the_pages_tell_the_case(site: Access) -> None:
    case = await long_case(site)
    found = await unpacked(site, case)
    cover, chain, acts = (found.text(path) for path in ("01-封面.html", "02-证据链与时间线.html", "04-当事人行为.html"))
    for shown in (case["id"], "卡密提示“已被使用”。", "200.00 元", "已通过", "第 7 次裁定", "录屏.mp4", "尚未上传"):
        assert shown in cover
    assert case["refunds"][0]["refund_no"] in cover
    for link in case["evidence_chain"]:
        for entry in link["entries"]:
            assert entry["message"] in chain
            assert entry["piece"] is None or f"证据 {entry['piece']}<" in chain
        assert link["gap"] is None or link["gap"]["message"] in chain
    assert "不计入：不是站内沟通记录" in chain
    for shown in (
        "有异议",
        "卡密出库前已验证有效。",
        "证据不足",
        "截图未显示卡密校验结果。",
        "补充发卡方的书面说明。",
        "op-3",
    ):
        assert shown in acts
    assert "证据 4（站内沟通记录）不计入" in found.text("03-裁定书-2.html")


async def test_gaps_of_the_chain_are_named_on_the_cover(site: Access) -> None:
    case = await filed(site, bodies.filing(evidence=[], claim=_not_working()))
    cover = (await unpacked(site, case)).text("01-封面.html")
    gaps = [link["gap"]["message"] for link in case["evidence_chain"] if link["gap"] is not None]
    assert gaps
    assert all(f"）：{gap}</li>" in cover for gap in gaps)
    assert cover.count("证据链缺口") == len(gaps)


async def test_the_sums_are_those_of_the_files(site: Access, tmp_path: Path) -> None:
    case = await long_case(site)
    archive = tmp_path / "bundle.zip"
    archive.write_bytes((await bundle(site, case)).content)
    said = await asyncio.to_thread(check_with_other_programs, archive, tmp_path / "unpacked")
    found = await unpacked(site, case)
    assert said.splitlines() == [f"{path}: OK" for path in found.sums()]
    assert [*found.sums(), "SHA256SUMS"] == [*(path for path in found.files if path not in _LAST), *_LAST]
    for told in found.manifest["files"]:
        assert (told["size"], told["sha256"]) == (len(found.files[told["path"]]), sha256(found.files[told["path"]]))
    assert {told["path"] for told in found.manifest["files"]} == found.files.keys() - set(_LAST)


_LAST = ("清单.json", "SHA256SUMS")


async def test_the_receipts_can_be_checked_from_the_bundle_alone(site: Access, engine: AsyncEngine) -> None:
    case = await long_case(site)
    found = await unpacked(site, case)
    async with engine.connect() as connection:
        stored = (await connection.execute(text("SELECT n, facts, body FROM decisions ORDER BY n"))).all()
    assert len(found.manifest["decisions"]) == len(stored) == 7
    for told, row in zip(found.manifest["decisions"], stored, strict=True):
        facts, body, policy = (found.files[told[name]] for name in ("facts", "body", "policy"))
        assert (facts.decode(), body.decode()) == (row.facts, row.body)
        receipt = json.loads(body)["receipt"]
        assert receipt == told["receipt"]
        assert receipt["facts_sha256"] == sha256(facts)
        assert receipt["policy_sha256"] == sha256(policy)
        page = found.text(f"03-裁定书-{row.n}.html")
        assert receipt["facts_sha256"] in page
        assert receipt["policy_sha256"] in page


async def test_every_version_of_a_record_is_there(site: Access) -> None:
    body = bodies.filing()
    order = {name: value for name, value in body.pop("order").items() if name != "order_no"}
    await site.put("/v1/orders/A-1001", {**order, "status": "paying"})
    await site.put("/v1/orders/A-1001", order)
    found = await unpacked(site, await filed(site, {**body, "order_no": "A-1001"}))
    told = json.loads(found.files["05-记录/订单.json"])
    assert [(each["version"], each["record"]["status"]) for each in told["versions"]] == [(2, "paid"), (1, "paying")]


async def test_the_same_case_has_the_same_bytes_whenever_it_is_asked_for(clock: DatabaseClock, site: Access) -> None:
    case = await long_case(site)
    first = await bundle(site, case)
    await clock.advance(timedelta(days=30))
    again = await bundle(site, case)
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    assert first.headers["etag"].startswith(f'"{case["version"]}-')


async def test_what_is_told_after_the_case_last_moved_is_not_part_of_it(clock: DatabaseClock, site: Access) -> None:
    case = await filed(site, bodies.filing())
    first = await bundle(site, case)
    await clock.advance(timedelta(hours=1))
    changed = await site.put("/v1/merchants/m-7", bodies.merchant(deposit=1))
    assert changed.status_code == 200
    new = await site.put("/v1/deliveries/D-9", bodies.delivery(order_no="A-1001"))
    assert new.status_code == 201
    assert (await bundle(site, case)).content == first.content


async def test_a_step_of_the_case_makes_another_bundle(site: Access) -> None:
    case = await filed(site, bodies.filing(evidence=[], claim=_not_working()))
    first = await bundle(site, case)
    piece = {"kind": "order_record", "party": "buyer", "captured_at": bodies.filing()["claim"]["filed_at"]}
    await step(site, case, "evidence", {"evidence": [piece]})
    second = await bundle(site, case)
    assert second.headers["etag"] != first.headers["etag"]
    assert second.content != first.content
    assert (await bundle(site, case, **{"If-None-Match": first.headers["etag"]})).status_code == 200


def _not_working() -> dict[str, Any]:
    return {**bodies.filing()["claim"], "reason": "not_working"}


@pytest.mark.parametrize("known", ["{}", "W/{}", '"x", {}', "*"])
async def test_who_has_it_already_is_told_so(site: Access, known: str) -> None:
    case = await filed(site, bodies.filing())
    tag = (await bundle(site, case)).headers["etag"]
    answer = await bundle(site, case, **{"If-None-Match": known.format(tag)})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)


async def test_it_is_handed_out_to_be_saved(site: Access) -> None:
    case = await filed(site, bodies.filing())
    answer = await bundle(site, case)
    name = f"%E9%80%80%E6%AC%BE%E6%A1%88%E4%BB%B6-{case['id']}.zip"
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}"
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "private, no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)


async def test_a_case_without_an_order_or_a_file(site: Access) -> None:
    whole = bodies.filing()
    payment = {**whole["payments"][0], "order_no": None}
    claim = {**whole["claim"], "reason": "charged_without_order"}
    case = await filed(site, {"payments": [payment], "claim": claim})
    found = await unpacked(site, case)
    assert "无（支付后未生成订单）" in found.text("01-封面.html")
    assert "05-记录/支付-01-P-A-1001.json" in found.files
    assert "05-记录/订单.json" not in found.files
    assert not any(path.startswith("07-") for path in found.files)
    assert found.manifest["missing_files"] == []


async def test_a_file_that_was_lost_is_named_as_missing(site: Access, config: Config) -> None:
    case = await long_case(site)
    whole = await bundle(site, case)
    (lost,) = [path for path in folder(config) if path.read_bytes() == png()]
    lost.unlink()
    answer = await bundle(site, case)
    found = Unpacked(answer, case)
    assert "07-证据/01-错误提示.png" not in found.files
    assert "07-证据/01-错误提示.png" not in found.sums()
    (missing, awaited) = found.manifest["missing_files"]
    assert (missing["evidence"], missing["why"], missing["sha256"]) == (1, "lost", sha256(png()))
    assert (awaited["evidence"], awaited["why"]) == (5, "awaited")
    assert "已不在平台的文件存储中" in found.text("01-封面.html")
    assert answer.headers["etag"] != whole.headers["etag"]


async def test_a_file_that_was_cut_off_is_named_as_damaged(site: Access, config: Config) -> None:
    case = await long_case(site)
    (cut,) = [path for path in folder(config) if path.read_bytes() == TEXT]
    cut.write_bytes(TEXT[:-1])
    found = await unpacked(site, case)
    assert [each["why"] for each in found.manifest["missing_files"]] == ["damaged", "awaited"]
    assert "已损坏" in found.text("01-封面.html")


async def test_a_file_that_was_touched_does_not_pass_the_check(site: Access, config: Config) -> None:
    """Its bytes are handed out as they are, and the sums are those of when it came in."""
    case = await long_case(site)
    (touched,) = [path for path in folder(config) if path.read_bytes() == TEXT]
    touched.write_bytes(b"!" + TEXT[1:])
    found = await unpacked(site, case)
    path = "07-证据/03-聊天记录.txt"
    assert found.files[path] == b"!" + TEXT[1:]
    assert found.sums()[path] == sha256(TEXT)


async def test_without_a_place_for_files_all_of_them_are_missing(app: FastAPI, site: Access) -> None:
    case = await long_case(site)
    app.state.cabinet = None
    found = await unpacked(site, case)
    assert [each["why"] for each in found.manifest["missing_files"]] == ["lost", "lost", "awaited"]


async def test_a_place_for_files_that_cannot_be_reached_is_no_bundle(site: Access, app: FastAPI) -> None:
    case = await long_case(site)
    # Nobody listens on the port of discarded bytes.
    unreachable = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:9",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
        skip_signature=True,
    )
    app.state.cabinet = replace(app.state.cabinet, store=unreachable)
    answer = await bundle(site, case)
    assert (answer.status_code, answer.json()["code"]) == (503, "files_unavailable")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("../../etc/passwd", "01-passwd.png"),
        ("..\\..\\CON", "01-_CON.png"),
        ("\u202egnp.exe", "01-gnp.exe.png"),
        ("<script>.html", "01-_script_.html.png"),
        ("a\nb", "01-ab.png"),
        ("图" * 90, "01-图图"),
    ],
    ids=["path", "device", "direction", "markup", "line", "long"],
)
async def test_hostile_file_names_stay_in_the_bundle(site: Access, name: str, path: str) -> None:
    body = bodies.filing(claim=_not_working())
    body["evidence"][0]["file"] = announced(name, png())
    case = await filed(site, body)
    await upload(site, case, 1, png())
    found = await unpacked(site, case)
    (written,) = [each for each in found.files if each.startswith("07-")]
    assert written.startswith(f"07-证据/{path}")
    assert all(".." not in PurePosixPath(entry.filename).parts for entry in found.entries)
    assert found.sums()[written] == sha256(png())


async def test_too_many_bytes_of_files_are_refused_before_any_is_read(site: Access, engine: AsyncEngine) -> None:
    case = await long_case(site)
    async with transaction(engine) as connection:
        await connection.execute(
            text("UPDATE evidence_files SET size = :size WHERE size > 80"), {"size": LARGEST_FILES}
        )
    answer = await bundle(site, case)
    assert (answer.status_code, answer.json()["code"]) == (413, "bundle_too_large")


async def test_decisions_that_memory_would_not_hold_are_refused(site: Access, engine: AsyncEngine) -> None:
    case = await filed(site, bodies.filing())
    async with transaction(engine) as connection:
        await connection.execute(
            text("UPDATE decisions SET facts = repeat('x', :length)"), {"length": LARGEST_DECISIONS}
        )
    answer = await bundle(site, case)
    assert (answer.status_code, answer.json()["code"]) == (413, "bundle_too_large")


async def test_another_sites_case_is_not_there(site: Access, other_site: Access) -> None:
    case = await filed(site, bodies.filing())
    foreign = await bundle(other_site, case)
    absent = await other_site.get("/v1/cases/case_01jcb0v8e4f5k9q6w1x2y3z4a5/bundle")
    no_id = await other_site.get("/v1/cases/x/bundle")
    assert {answer.status_code for answer in (foreign, absent, no_id)} == {404}
    assert foreign.json() == absent.json()


async def test_it_takes_the_scope_of_cases(site: Access, key_with: Callable[..., Awaitable[Access]]) -> None:
    case = await filed(site, bodies.filing())
    assert (await bundle(await key_with(Scope.RECORDS), case)).status_code == 403
    assert (await bundle(await key_with(Scope.CASES), case)).status_code == 200
    assert (await site.get(f"/v1/cases/{case['id']}/bundle?as=pdf")).status_code == 422


async def test_no_connection_is_held_while_bytes_go_out(app: FastAPI, engine: AsyncEngine, site: Access) -> None:
    case = await long_case(site)
    held: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            held.append(engine.pool.checkedout())  # type: ignore[attr-defined]

    path = f"/v1/cases/{case['id']}/bundle"
    headers = [(b"authorization", site.auth["Authorization"].encode())]
    await app(_scope(path, headers), _nothing_more, send)
    assert len(held) > 20
    assert set(held) == {0}


def _scope(path: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {
        "type": "http", "http_version": "1.1", "method": "GET", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": headers, "scheme": "http", "server": ("service.test", 80),
        "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip


async def _nothing_more() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("nobody goes away")
