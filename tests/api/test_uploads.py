"""Files of evidence over HTTP: announced, sent once as announced, counted then, and handed out to be saved."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import Message

from app.api import evidence_files
from app.config import Config
from app.files.cabinet import Cabinet
from app.main import create_app
from app.models.closed_sets import Scope
from tests.api import bodies, living
from tests.api.conftest import Access, Opener
from tests.database_clock import DatabaseClock
from tests.files.samples import ARCHIVE_END, HTML, SVG, TEXT, jpeg, mp4, pdf, png, webp
from tests.live import live_service

MIB = 1024 * 1024
EN = {"Accept-Language": "en"}


def announcing(content: bytes, order_no: str = "A-1001", **changes: Any) -> dict[str, Any]:
    """A claim that cannot be decided without its one piece of evidence, which announces a file."""
    body = bodies.filing(order_no)
    body["claim"] |= {"reason": "short_delivery"}
    body["evidence"][0]["kind"] = "received_proof"
    body["evidence"][0]["file"] = {
        "name": "聊天记录.png",
        "media_type": "image/png",
        "size": len(content),
        **changes,
    }
    return body


async def announced(site: Access, content: bytes, order_no: str = "A-1001", **changes: Any) -> dict[str, Any]:
    """The case of such a claim."""
    filed = await site.post("/v1/cases", announcing(content, order_no, **changes), once=f"file-{order_no}")
    assert filed.status_code == 201, filed.text
    case: dict[str, Any] = filed.json()
    return case


def address(case: dict[str, Any]) -> str:
    url: str = case["evidence"][0]["file"]["upload"]["url"]
    return url


def place(case: dict[str, Any]) -> str:
    return f"/v1/cases/{case['id']}/evidence/1/file"


async def send(site: Access, case: dict[str, Any], content: Any, **headers: str) -> httpx.Response:
    return await site.call("PUT", address(case), content=content, headers=headers)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def codes(answer: httpx.Response) -> set[str]:
    problem = answer.json()
    return {problem["code"], *(each["code"] for each in problem.get("errors", ()))}


async def file_of(site: Access, case: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await site.get(f"/v1/cases/{case['id']}")).json()["evidence"][0]
    return found


def kept(config: Config) -> list[Path]:
    folder = Path(str(config.files_url).removeprefix("file://"))
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_file_is_announced_sent_and_saved(site: Access, config: Config) -> None:
    content = png()
    case = await announced(site, content, sha256=hashlib.sha256(content).hexdigest())
    assert case["evidence"][0]["file"]["state"] == "awaited"

    sent = await send(site, case, content, **{"Content-Type": "image/png"})
    assert sent.status_code == 201, sent.text
    told = sent.json()
    assert (told["case_id"], told["n"], told["reused"]) == (case["id"], 1, False)
    assert sent.headers["location"] == place(case)
    assert told["file"] == (await file_of(site, case))["file"]
    assert told["file"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert (told["file"]["state"], told["file"]["upload"]) == ("stored", None)
    assert len(kept(config)) == 1

    saved = await site.get(place(case))
    assert (saved.status_code, saved.content) == (200, content)


async def test_a_download_can_do_nothing_but_be_saved(site: Access) -> None:
    case = await announced(site, TEXT, name="../\u202e证据\r\n.html", media_type="text/plain")
    await send(site, case, TEXT)
    headers = (await site.get(place(case))).headers
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''%E8%AF%81%E6%8D%AE.html.txt"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox"
    assert headers["cache-control"] == "private, no-store"
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["content-length"] == str(len(TEXT))


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (png(), "image/png"),
        (jpeg(), "image/jpeg"),
        (webp(), "image/webp"),
        (pdf(), "application/pdf"),
        (mp4(), "video/mp4"),
        (TEXT, "text/plain"),
    ],
)
async def test_every_type_is_taken_and_given_back(site: Access, content: bytes, media_type: str) -> None:
    case = await announced(site, content, media_type=media_type)
    sent = await send(site, case, content, **{"Content-Type": f"{media_type.upper()}; charset=utf-8"})
    assert sent.status_code == 201, sent.text
    saved = await site.get(place(case))
    assert saved.headers["content-type"].partition(";")[0] == media_type
    assert saved.content == content


async def test_evidence_counts_when_its_file_is_there(site: Access) -> None:
    case = await announced(site, png())
    before = await site.get(f"/v1/cases/{case['id']}")
    assert before.json()["decision"]["outcome"] == "request_evidence"
    await send(site, case, png())
    after = (await site.get(f"/v1/cases/{case['id']}")).json()
    assert after["decision"]["outcome"] != "request_evidence"
    assert after["version"] == before.json()["version"] + 1


async def test_the_same_file_in_another_orders_case_is_found_within_the_site(site: Access, other_site: Access) -> None:
    first, second = await announced(site, png()), await announced(site, png(), "A-1002")
    elsewhere = await announced(other_site, png())
    answers = [await send(*each, png()) for each in ((site, first), (other_site, elsewhere), (site, second))]
    assert [answer.json()["reused"] for answer in answers] == [False, False, True]
    assert [(await file_of(site, case))["reused"] for case in (first, second)] == [False, True]


@pytest.mark.parametrize(
    ("size", "content", "refusal"),
    [
        (1_000, b"\x89PNG\r\n\x1a\n" + bytes(900_000), (422, "size_differs")),
        (1_000, bytes(3 * MIB), (413, "too_large")),
        (len(png()), png() + b"\x00", (422, "size_differs")),
        (len(png()), png()[:-1], (422, "size_differs")),
        (len(png()), b"", (422, "size_differs")),
        (len(HTML), HTML, (415, "unsupported_file")),
        (len(SVG), SVG, (415, "unsupported_file")),
        (len(png() + HTML), png() + HTML, (415, "unsupported_file")),
        (len(png() + ARCHIVE_END), png() + ARCHIVE_END, (415, "unsupported_file")),
        (len(pdf() + ARCHIVE_END), pdf() + ARCHIVE_END, (415, "unsupported_file")),
        (len(jpeg()), jpeg(), (422, "media_type_differs")),
    ],
)
async def test_other_bytes_than_announced_are_refused_and_not_kept(
    site: Access, config: Config, size: int, content: bytes, refusal: tuple[int, str]
) -> None:
    case = await announced(site, b"", size=size)
    status, code = refusal
    whole = await send(site, case, content)
    assert (whole.status_code, code in codes(whole)) == (status, True), whole.text
    # Without its length in front, the count against what was announced comes before that against the limit.
    status, code = (422, "size_differs") if status == 413 else (status, code)
    cut = await send(site, case, pieces(*(content[at : at + 65_536] for at in range(0, len(content), 65_536))))
    assert (cut.status_code, code in codes(cut)) == (status, True), cut.text
    assert kept(config) == []
    assert (await file_of(site, case))["file"]["state"] == "awaited"
    assert (await site.get(place(case))).status_code == 404


async def test_another_hash_than_announced_is_refused_and_the_right_bytes_are_taken_afterwards(site: Access) -> None:
    right = png()
    wrong = right.replace(b"IDAT", b"IDAU")
    case = await announced(site, right, sha256=hashlib.sha256(right).hexdigest())
    refused = await send(site, case, wrong)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "sha256_differs")
    assert (await send(site, case, right)).status_code == 201


@pytest.mark.parametrize(
    "content_type", ["text/html", "image/jpeg", "multipart/form-data; boundary=x", "image/svg+xml"]
)
async def test_another_content_type_than_announced_is_refused(site: Access, content_type: str) -> None:
    case = await announced(site, png())
    answer = await send(site, case, png(), **{"Content-Type": content_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_file")


async def test_a_second_time_nothing_is_replaced(site: Access, config: Config) -> None:
    first, second = png(filling=b"1"), png(filling=b"2")
    case = await announced(site, first)
    await send(site, case, first)
    again = await send(site, case, second)
    assert (again.status_code, again.json()["code"]) == (409, "file_stored")
    assert (await site.get(place(case))).content == first
    assert len(kept(config)) == 1


async def test_of_two_at_once_exactly_one_wins(site: Access, config: Config) -> None:
    contents = [png(filling=bytes([letter])) for letter in b"abcdef"]
    case = await announced(site, contents[0])
    answers = await asyncio.gather(*(send(site, case, pieces(content)) for content in contents))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
    winner = contents[[answer.status_code for answer in answers].index(201)]
    assert (await site.get(place(case))).content == winner
    assert len(kept(config)) == 1


async def test_another_sites_upload_is_as_absent_as_none(site: Access, other_site: Access) -> None:
    case = await announced(site, png())
    theirs = await send(other_site, case, png())
    unknown = await other_site.call("PUT", "/v1/uploads/file_01jcb0v8e4f5k9q6w1x2y3z4a5", content=png())
    strange = await other_site.call("PUT", "/v1/uploads/case_%00", content=png())
    assert theirs.status_code == 404
    assert (theirs.content, theirs.headers) == (unknown.content, unknown.headers)
    assert (theirs.content, theirs.headers) == (strange.content, strange.headers)
    await send(site, case, png())
    assert (await send(other_site, case, png())).content == unknown.content
    assert (await other_site.get(place(case))).content == unknown.content


async def test_the_time_to_send_a_file_ends(clock: DatabaseClock, site: Access) -> None:
    case = await announced(site, png())
    late = await announced(site, png(), "A-1002")
    await clock.freeze()
    await clock.advance(timedelta(hours=24) - timedelta(minutes=1))
    assert (await send(site, case, png())).status_code == 201
    await clock.advance(timedelta(minutes=2))
    answer = await send(site, late, png())
    assert (answer.status_code, answer.json()["code"]) == (403, "upload_expired")


async def asked(site: Access, clock: DatabaseClock) -> dict[str, Any]:
    """A case that waits for evidence; the file announced for it may come for longer than the case waits."""
    case = await living.filed(site, living.claim(("chat_log",)), "awaiting_evidence")
    await clock.advance(timedelta(hours=5))
    piece = {**living.piece("error_screenshot"), "file": announcing(png())["evidence"][0]["file"]}
    return await living.taken(site, case, "evidence", {"evidence": [piece]})


def address_of_the_second(case: dict[str, Any]) -> str:
    url: str = case["evidence"][1]["file"]["upload"]["url"]
    return url


async def test_bytes_at_the_very_limit_keep_the_promise_and_move_the_case_on(
    clock: DatabaseClock, site: Access
) -> None:
    case = await asked(site, clock)
    await clock.freeze(datetime.fromisoformat(living.until(case, "supply_evidence")))
    sent = await site.call("PUT", address_of_the_second(case), content=png())
    assert sent.status_code == 201, sent.text
    after = await living.read(site, case)
    assert (after["status"], after["version"]) == ("awaiting_merchant", case["version"] + 1)
    assert living.deadline(after, "evidence_supplement")[1] == "kept"
    assert living.new_events(case, after) == ["case.merchant_turn"]
    assert len(await living.decisions(site, after)) == 3


async def test_bytes_after_the_limit_are_refused_and_change_nothing(
    clock: DatabaseClock, site: Access, config: Config
) -> None:
    case = await asked(site, clock)
    await clock.freeze(datetime.fromisoformat(living.until(case, "supply_evidence")) + timedelta(microseconds=1))
    before = await living.read(site, case)
    answer = await site.call("PUT", address_of_the_second(case), content=png(), headers=EN)
    assert (answer.status_code, answer.json()["code"]) == (409, "deadline_passed")
    assert await living.read(site, case) == before
    assert kept(config) == []


async def withdrawn(site: Access, case: dict[str, Any], engine: AsyncEngine, clock: DatabaseClock) -> None:
    await living.taken(site, case, "withdraw")


async def paid(site: Access, case: dict[str, Any], engine: AsyncEngine, clock: DatabaseClock) -> None:
    """The rest comes in otherwise, and the merchant agrees."""
    case = await living.taken(site, case, "evidence", {"evidence": [living.piece("error_screenshot")]})
    await living.taken(site, case, "merchant-response", {"position": "accept"})


async def lapsed(site: Access, case: dict[str, Any], engine: AsyncEngine, clock: DatabaseClock) -> None:
    await clock.freeze(datetime.fromisoformat(living.until(case, "supply_evidence")) + timedelta(microseconds=1))
    await living.fire(engine)


ENDS = {"withdrawn": withdrawn, "approved": paid, "lapsed": lapsed}


@pytest.mark.parametrize("status", ENDS)
async def test_a_case_that_is_over_takes_no_bytes(
    clock: DatabaseClock, site: Access, engine: AsyncEngine, config: Config, status: str
) -> None:
    case = await asked(site, clock)
    await ENDS[status](site, case, engine, clock)
    before = await living.read(site, case)
    assert before["status"] == status
    answer = await site.call("PUT", address_of_the_second(case), content=png(), headers=EN)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_allowed_now")
    assert status in answer.json()["detail"]
    assert await living.is_unchanged(site, before)
    assert kept(config) == []


async def test_a_key_without_the_scope_sends_and_reads_nothing(
    site: Access, key_with: Callable[..., Any], client: httpx.AsyncClient
) -> None:
    case = await announced(site, png())
    weak = await key_with(Scope.RECORDS, Scope.RULE)
    assert (await send(weak, case, png())).status_code == 403
    assert (await weak.get(place(case))).status_code == 403
    assert (await client.put(address(case), content=png())).status_code == 401
    assert (await client.get(place(case))).status_code == 401


@pytest.mark.parametrize("n", ["0", "2", "1000001", "x", "1/", "٣"])
async def test_there_is_no_other_file(site: Access, n: str) -> None:
    case = await announced(site, png())
    await send(site, case, png())
    assert (await site.get(f"/v1/cases/{case['id']}/evidence/{n}/file")).status_code in {404, 422}


async def test_no_connection_is_held_while_bytes_come(site: Access, engine: AsyncEngine) -> None:
    case = await announced(site, png())
    held: list[int] = []

    async def slowly() -> AsyncIterator[bytes]:
        yield png()[:20]
        for _ in range(3):
            await asyncio.sleep(0)
            held.append(engine.pool.checkedout())  # type: ignore[attr-defined]
        yield png()[20:]

    assert (await send(site, case, slowly())).status_code == 201
    assert held == [0, 0, 0]


async def test_a_sender_that_is_too_slow_is_told_so(
    app: FastAPI, site: Access, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_files, "_TO_BEGIN", timedelta(milliseconds=50))
    case = await announced(site, png())
    answer = await raw(app, site, case, [{"type": "http.request", "body": png()[:9], "more_body": True}], None)
    assert answer[0]["status"] == 408
    assert (b"connection", b"close") in answer[0]["headers"]
    assert kept(config) == []


async def test_a_sender_that_leaves_keeps_nothing_and_may_come_again(
    app: FastAPI, site: Access, config: Config
) -> None:
    case = await announced(site, png())
    leaving: Message = {"type": "http.disconnect"}
    assert await raw(app, site, case, [{"type": "http.request", "body": png()[:9], "more_body": True}], leaving) == []
    assert kept(config) == []
    assert (await send(site, case, png())).status_code == 201


async def raw(
    app: FastAPI, site: Access, case: dict[str, Any], messages: list[Message], last: Message | None
) -> list[Message]:
    """What the service answers to these messages; after them comes `last`, or nothing any more."""
    sent: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop(0)
        if last is None:
            await asyncio.Event().wait()
        return last or {}

    async def keep(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "PUT", "path": address(case), "raw_path": address(case).encode(), "root_path": "",
        "query_string": b"", "headers": [(b"authorization", f"Bearer {site.key}".encode())], "http_version": "1.1",
        "scheme": "http", "server": ("s", 80), "app": app,
    }  # fmt: skip
    await app(scope, receive, keep)
    return sent


async def test_files_up_to_the_limit_pass_and_larger_ones_may_not_be_announced(site: Access, config: Config) -> None:
    largest = TEXT * (config.largest_file // len(TEXT))
    case = await announced(site, largest, media_type="text/plain")
    assert (await send(site, case, largest)).status_code == 201
    too_large = announcing(b"", "A-1002", size=config.largest_file + 1)
    refused = await site.post("/v1/cases", too_large, once="x")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/evidence/0/file/size")


async def test_other_bodies_keep_their_limit(site: Access) -> None:
    answer = await site.call("PUT", "/v1/orders/A-1", content=bytes(MIB + 1))
    assert answer.status_code == 413
    answer = await site.call("POST", "/v1/uploads/x", content=bytes(MIB + 1))
    assert answer.status_code == 413


async def test_a_body_without_length_over_the_limit_is_refused(site: Access) -> None:
    case = await announced(site, b"", size=2 * MIB, media_type="text/plain")
    answer = await send(site, case, pieces(*[b"x" * MIB] * 3))
    assert answer.status_code in {413, 422}


async def test_a_name_is_kept_neutralised_alone(site: Access) -> None:
    case = await announced(site, png(), name="../../" + "x" * 4_000 + "\u202e.png")
    assert case["evidence"][0]["file"]["name"] == "x" * 96 + ".png"


async def test_names_and_contents_stay_out_of_the_logs(site: Access, capfd: pytest.CaptureFixture[str]) -> None:
    secret = "KM-7788-SECRET"
    content = f"卡密 {secret}".encode()
    case = await announced(site, content, name=f"{secret}.txt", media_type="text/plain")
    await send(site, case, content[:-1])
    await send(site, case, content)
    await send(site, case, content)
    await site.get(place(case))
    assert secret not in "".join(capfd.readouterr())


async def test_a_lost_file_is_our_fault_and_a_lost_folder_passes(
    site: Access, config: Config, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = await announced(site, png())
    await send(site, case, png())
    kept(config)[0].unlink()
    answer = await site.get(place(case))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("obstore.open_writer", full)
    other = await announced(site, png(), "A-1002")
    answer = await send(site, other, png())
    assert (answer.status_code, answer.json()["code"]) == (503, "files_unavailable")
    assert "retry-after" in answer.headers


async def test_without_a_place_for_files_none_are_announced_or_taken(config: Config, open_site: Opener) -> None:
    site = await open_site()
    case = await announced(site, png())
    without = create_app(config.model_copy(update={"files_url": None}))
    async with (
        without.router.lifespan_context(without),
        httpx.AsyncClient(transport=httpx.ASGITransport(without), base_url="http://service.test") as http,
    ):
        here = Access(site.site_id, site.key, http)
        answers = [
            await here.post("/v1/cases", announcing(png(), "A-1002"), once="y", headers=EN),
            await here.call("PUT", address(case), content=png(), headers=EN),
            await here.get(place(case), headers=EN),
        ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (409, "files_off")
        assert "KMR_FILES_URL" in answer.json()["detail"]


async def test_memory_stays_flat_whatever_comes(database_url: str) -> None:
    """Four files of 20 MiB at once, over a socket: not one of them is ever held whole."""
    size = 20 * MIB
    part = TEXT * (64 * 1024 // len(TEXT))
    parts = [part] * (size // len(part))
    size = len(part) * len(parts)
    with live_service(database_url) as live:
        async with httpx.AsyncClient(base_url=live.url, trust_env=False, timeout=60) as http:
            site = Access(UUID(int=0), live.key, http)
            small = await announced(site, TEXT, "A-0", media_type="text/plain")
            assert (await send(site, small, TEXT)).status_code == 201
            cases = [await announced(site, b"", f"A-{n}", size=size, media_type="text/plain") for n in range(1, 5)]
            before = highest_memory(live.api.pid)
            sent = await asyncio.gather(*(send(site, case, pieces(*parts)) for case in cases))
            assert [answer.status_code for answer in sent] == [201] * 4
            saved = await asyncio.gather(*(site.get(place(case)) for case in cases))
            assert [len(answer.content) for answer in saved] == [size] * 4
            assert highest_memory(live.api.pid) - before < 2 * size


def highest_memory(pid: int) -> int:
    """The most bytes that a process has had in memory at once."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


async def test_the_cabinet_is_asked_only_for_those_who_may(
    site: Access, other_site: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = await announced(site, png())

    async def forbidden(*_: object) -> None:
        raise AssertionError("the cabinet was asked")

    monkeypatch.setattr(Cabinet, "write", forbidden)
    with suppress(AssertionError):
        assert (await send(other_site, case, png())).status_code == 404
        return
    raise AssertionError("bytes of another site were taken")
