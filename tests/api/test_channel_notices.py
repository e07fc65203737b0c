"""Notices of channels over HTTP: what is proven settles a refund, what is not changes nothing at all."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import clock, ids
from app.config import Config
from app.outbound.channels.said import Notice
from app.sealing import Sealer
from app.services import settling
from app.services.channel_accounts import Channels, Keyring
from tests.api import bodies, living, reporting
from tests.api.conftest import Access
from tests.api.test_channel_accounts import registered
from tests.channels.wechat_pay_keys import CERTIFICATE_SERIAL, PUBLIC_KEY_SERIAL, signed_headers
from tests.settling.gateways import KINDS, URLS, Gateways

PUBLIC_URL = "https://refunds.example.com"
SNAPSHOT = text("""
    SELECT CAST(jsonb_build_array(
        (SELECT jsonb_agg(to_jsonb(r) ORDER BY refund_id) FROM refunds r),
        (SELECT jsonb_agg(to_jsonb(p) ORDER BY refund_id, n) FROM refund_reports p),
        (SELECT jsonb_agg(to_jsonb(c) ORDER BY case_id) FROM cases c),
        (SELECT count(*) FROM events)) AS text)""")


@pytest.fixture
def config(config: Config) -> Config:
    """Where channels can reach the service."""
    return config.model_copy(update={"public_url": PUBLIC_URL})


class Desk:
    """A site with an account, a refund that the channel has, and the way that a notice takes."""

    def __init__(self, site: Access, engine: AsyncEngine, kind: str) -> None:
        self.site, self.engine, self.kind = site, engine, kind
        self.gateways = Gateways(clock.now)
        self.account: dict[str, Any] = {}
        self.refund: dict[str, Any] = {}

    async def begin(self) -> "Desk":
        self.account = await registered(self.site, self.kind)
        self.refund = await self.granted("A-1001")
        await self.ask()
        return self

    async def granted(self, order_no: str) -> dict[str, Any]:
        """A claim that is granted; its payment is the channel's."""
        body = bodies.filing(order_no)
        [payment] = body["payments"]
        payment["channel"] = self.account["channel"]
        channel = next(kind.channel for kind in KINDS if kind.name == self.kind)
        self.gateways.pay(channel, payment["payment_no"], payment["amount"], datetime.fromisoformat(payment["paid_at"]))
        [refund] = (await living.filed(self.site, body, "approved"))["refunds"]
        return await reporting.read(self.site, refund)

    async def ask(self) -> None:
        """One round of the worker."""
        channels = Channels(self.gateways, Keyring(Sealer(bytes(32))), URLS, PUBLIC_URL)
        await settling.step_due(self.engine, channels, limit=8, elapsed=timedelta)

    async def says(self, notice: Notice, path: str | None = None) -> httpx.Response:
        """The channel calls."""
        target = path or self.account["notify_url"].removeprefix(PUBLIC_URL)
        query = f"?{urlencode(notice.query)}" if notice.query else ""
        return await self.site.http.request(
            notice.method, target + query, content=notice.body, headers=dict(notice.headers)
        )

    async def state(self) -> str:
        return str((await reporting.read(self.site, self.refund))["state"])

    async def next_step_at(self) -> datetime | None:
        async with self.engine.connect() as connection:
            found: datetime | None = await connection.scalar(text("SELECT next_step_at FROM refunds"))
            return found

    async def everything(self) -> str:
        async with self.engine.connect() as connection:
            return str(await connection.scalar(SNAPSHOT))


@pytest.fixture
async def wechat(site: Access, engine: AsyncEngine) -> Desk:
    """微信支付 has the refund, and pays it at once."""
    desk = Desk(site, engine, "wechat_pay")
    desk.gateways.wechat.settles_after = timedelta(hours=1)
    await desk.begin()
    assert await desk.state() == "processing"
    return desk


def settled(desk: Desk, status: str = "SUCCESS") -> Notice:
    """What 微信支付 says once it has paid."""
    gateway = desk.gateways.wechat
    gateway.end(desk.refund["refund_no"], status)
    # Its clock shows whole seconds: this is surely after our last word.
    gateway.refunds[desk.refund["refund_no"]].settles_at += timedelta(seconds=2)
    return gateway.notice(desk.refund["refund_no"], status=status)


async def nothing_changes(desk: Desk, notice: Notice, *, status: int, path: str | None = None) -> httpx.Response:
    before = await desk.everything()
    answer = await desk.says(notice, path)
    assert answer.status_code == status, answer.text
    assert await desk.everything() == before
    return answer


def signed(notice: Notice, body: bytes, **how: Any) -> Notice:
    """Another body, with whatever signature."""
    return Notice("POST", signed_headers(body, clock.now(), **how), {}, body)


async def test_a_notice_that_is_proven_settles_the_refund(wechat: Desk) -> None:
    answer = await wechat.says(settled(wechat))
    assert (answer.status_code, answer.content) == (204, b"")
    refund = await reporting.read(wechat.site, wechat.refund)
    assert (refund["state"], [each["source"] for each in refund["reports"]][-1]) == ("succeeded", "notice")
    case = (await wechat.site.get(f"/v1/cases/{refund['case_id']}")).json()
    assert case["status"] == "refunded"
    assert [each["type"] for each in case["timeline"]].count("refund.succeeded") == 1


@pytest.mark.parametrize(("status", "state"), [("ABNORMAL", "abnormal"), ("CLOSED", "closed")])
async def test_a_notice_tells_of_the_other_ends_too(wechat: Desk, status: str, state: str) -> None:
    assert (await wechat.says(settled(wechat, status))).status_code == 204
    assert await wechat.state() == state


async def test_a_notice_that_comes_again_and_again_settles_once(wechat: Desk) -> None:
    notice = settled(wechat)
    answers = await asyncio.gather(*(wechat.says(notice) for _ in range(6)))
    assert {each.status_code for each in answers} <= {204, 503}
    again = wechat.gateways.wechat.notice(wechat.refund["refund_no"], status="SUCCESS")
    assert (await wechat.says(again)).status_code == 204
    case = (await wechat.site.get(f"/v1/cases/{wechat.refund['case_id']}")).json()
    assert [each["type"] for each in case["timeline"]].count("refund.succeeded") == 1


async def test_what_is_not_rightly_signed_is_refused(wechat: Desk) -> None:
    """N77 among others."""
    right = settled(wechat)
    gateway, number = wechat.gateways.wechat, wechat.refund["refund_no"]
    unsigned = {name: value for name, value in right.headers.items() if name != "wechatpay-signature"}
    wrong = [
        gateway.probe(number),
        replace(right, headers={**right.headers, "wechatpay-signature": "WECHATPAY/SIGNTEST/x"}),
        signed(right, right.body, owner="somebody else"),
        signed(right, right.body, serial="PUB_KEY_ID_0000000000", owner=PUBLIC_KEY_SERIAL),
        signed(right, right.body, serial=CERTIFICATE_SERIAL, owner=PUBLIC_KEY_SERIAL),
        replace(right, headers=unsigned),
        replace(right, headers={}),
        replace(right, headers={**right.headers, "wechatpay-nonce": "another"}),
        replace(right, headers={**right.headers, "wechatpay-timestamp": str(int(clock.now().timestamp()) + 1)}),
        replace(right, body=right.body.replace(b"REFUND.SUCCESS", b"REFUND.CLOSED!")),
        replace(right, body=right.body + b" "),
        replace(right, body=b""),
    ]
    for notice in wrong:
        answer = await nothing_changes(wechat, notice, status=401)
        assert answer.json()["code"] == "FAIL"
    assert (await wechat.says(right)).status_code == 204


async def test_an_old_notice_is_refused_whoever_signed(wechat: Desk) -> None:
    settled(wechat)
    for age in (timedelta(minutes=6), timedelta(minutes=-6), timedelta(days=30)):
        old = wechat.gateways.wechat.notice(wechat.refund["refund_no"], signed_at=clock.now() - age)
        await nothing_changes(wechat, old, status=401)


async def test_what_is_signed_and_says_nothing_of_ours_is_refused(wechat: Desk) -> None:
    right = settled(wechat)
    document = json.loads(right.body)
    odd: list[Any] = [
        {**document, "event_type": "TRANSACTION.SUCCESS"},
        {**document, "event_type": "REFUND.CLOSED"},
        {**document, "resource": {**document["resource"], "ciphertext": "AAAA"}},
        {**document, "resource": {**document["resource"], "nonce": "short"}},
        {name: value for name, value in document.items() if name != "resource"},
        [],
        None,
    ]
    for body in odd:
        await nothing_changes(wechat, signed(right, json.dumps(body).encode()), status=401)
    for raw in (b"{", b"\xff", b'{"a":1,"a":1}', b"[" * 5_000):
        await nothing_changes(wechat, signed(right, raw), status=401)


async def test_an_oversized_notice_is_refused(wechat: Desk) -> None:
    right = settled(wechat)
    answer = await nothing_changes(wechat, signed(right, right.body + b" " * 65_536), status=413)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_parameter_given_twice_is_refused(wechat: Desk) -> None:
    path = wechat.account["notify_url"].removeprefix(PUBLIC_URL) + "?a=1&a=2"
    await nothing_changes(wechat, settled(wechat), status=400, path=path)


async def test_an_account_that_is_not_there_hears_nothing(wechat: Desk, other_site: Access) -> None:
    notice = settled(wechat)
    path = wechat.account["notify_url"].removeprefix(PUBLIC_URL)
    site, account = path.split("/")[-2:]
    for strange in (
        f"/v1/channel-notices/{site}/{ids.show('ca', ids.new_uuid())}",
        f"/v1/channel-notices/{ids.show('site', ids.new_uuid())}/{account}",
        f"/v1/channel-notices/{ids.show('site', other_site.site_id)}/{account}",
        f"/v1/channel-notices/{site}/x",
        f"/v1/channel-notices/{account}/{site}",
    ):
        await nothing_changes(wechat, notice, status=404, path=strange)


async def test_another_account_s_notice_is_none_of_its_business(wechat: Desk, engine: AsyncEngine) -> None:
    """The same merchant is registered twice: what one asked for is not the other's to tell."""
    notice = settled(wechat)
    spare = await registered(wechat.site, "wechat_pay", enabled=False)
    await nothing_changes(wechat, notice, status=204, path=spare["notify_url"].removeprefix(PUBLIC_URL))
    assert await wechat.state() == "processing"


async def test_another_site_s_notice_is_none_of_its_business(wechat: Desk, other_site: Access) -> None:
    theirs = await registered(other_site, "wechat_pay")
    notice = settled(wechat)
    await nothing_changes(wechat, notice, status=204, path=theirs["notify_url"].removeprefix(PUBLIC_URL))


async def test_a_late_word_of_an_end_contradicts_and_changes_nothing(wechat: Desk) -> None:
    assert (await wechat.says(settled(wechat))).status_code == 204
    late = wechat.gateways.wechat.notice(wechat.refund["refund_no"], status="CLOSED")
    for _ in range(2):
        assert (await wechat.says(late)).status_code == 204
    assert await wechat.state() == "succeeded"
    case = (await wechat.site.get(f"/v1/cases/{wechat.refund['case_id']}")).json()
    assert [each["type"] for each in case["timeline"]].count("refund.conflict") == 1


HINTS: Mapping[str, bool] = {"alipay": False, "epay_v1": True, "epay_v2": True}


def hint(desk: Desk, *, forged: bool = False) -> Notice:
    """What these channels say of a payment."""
    payment_no, gateways = desk.refund["payment_no"], desk.gateways
    match desk.kind:
        case "alipay":
            fields = {"out_trade_no": payment_no, "refund_fee": "200.00", "out_biz_no": desk.refund["refund_no"]}
            return gateways.alipay.notice(by="stranger" if forged else "alipay", **fields)
        case "epay_v1":
            return gateways.v1.notice(payment_no, **({"key": "x" * 32} if forged else {}))
        case _:
            return gateways.v2.signed_notice(payment_no, **({"sign": "AAAA"} if forged else {}))


@pytest.fixture(params=HINTS)
async def hinted(site: Access, engine: AsyncEngine, request: pytest.FixtureRequest) -> Desk:
    """A refund that was asked for, with the next question a while ahead."""
    desk = await Desk(site, engine, request.param).begin()
    async with engine.begin() as connection:
        await connection.execute(
            text("""
                UPDATE refunds SET state = 'processing', settled_at = NULL, version = version + 1,
                                   submitted_at = now(), next_step_at = now() + interval '1 hour',
                                   asked_at = now() - interval '2 minutes'"""),
        )
    return desk


async def test_a_hint_only_hurries_the_next_question(hinted: Desk) -> None:
    before = json.loads(await hinted.everything())
    answer = await hinted.says(hint(hinted))
    assert (answer.status_code, answer.content) == (200, b"success")
    due = await hinted.next_step_at()
    assert due is not None
    assert due <= clock.now()
    after = json.loads(await hinted.everything())
    for rows in (before[0], after[0]):
        rows[0].pop("next_step_at")
    assert after == before


async def test_a_hint_just_after_a_question_hurries_nobody(hinted: Desk) -> None:
    """Whoever has one, a buyer's browser too, may send it any number of times."""
    async with hinted.engine.begin() as connection:
        await connection.execute(text("UPDATE refunds SET asked_at = now() - interval '1 minute'"))
    answer = await nothing_changes(hinted, hint(hinted), status=200)
    assert answer.content == b"success"


async def test_a_forged_hint_hurries_nobody(hinted: Desk) -> None:
    answer = await nothing_changes(hinted, hint(hinted, forged=True), status=200)
    assert answer.content != b"success"


async def test_a_hint_does_not_take_a_refund_from_whoever_asks_for_it(hinted: Desk) -> None:
    async with hinted.engine.begin() as connection:
        await connection.execute(text("UPDATE refunds SET next_step_at = now() + interval '2 minutes'"))
    await nothing_changes(hinted, hint(hinted), status=200)
