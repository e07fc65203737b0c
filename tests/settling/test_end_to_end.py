"""Real processes, real HTTP: a claim is filed, the worker asks the channel, and the case is refunded."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest

from app import clock
from launcher.ports import free_port
from tests.api import bodies
from tests.channels import alipay_keys, wechat_pay_keys
from tests.channels.alipay_gateway import AlipayGateway
from tests.channels.serving import served
from tests.channels.wechat_pay_gateway import WechatPayGateway
from tests.live import CHECKOUT, KEY, environment, process, wait_until_ready

SECONDS_TO_SETTLE = 40


@dataclass(frozen=True, slots=True)
class Shop:
    """A service that asks two fakes, each on a port of its own."""

    http: httpx.AsyncClient
    wechat: WechatPayGateway
    alipay: AlipayGateway

    async def call(self, method: str, path: str, body: Any = None, once: str | None = None) -> Any:
        keyed = {} if once is None else {"Idempotency-Key": once}
        answer = await self.http.request(method, path, json=body, headers=keyed)
        assert answer.is_success, answer.text
        return answer.json()

    async def register(self, kind: str, credentials: Mapping[str, object]) -> None:
        await self.call("POST", "/v1/channel-accounts", {"kind": kind, "channel": kind, "credentials": credentials})

    async def file(self, order_no: str, channel: str, gateway: WechatPayGateway | AlipayGateway) -> dict[str, Any]:
        body = bodies.filing(order_no)
        [payment] = body["payments"]
        payment["channel"] = channel
        gateway.pay(payment["payment_no"], payment["amount"], datetime.fromisoformat(payment["paid_at"]))
        case: dict[str, Any] = await self.call("POST", "/v1/cases", body, order_no)
        assert case["status"] == "approved", case["decision"]
        return case

    async def until(self, path: str, field: str, value: str) -> dict[str, Any]:
        """The document once it says so."""
        async with asyncio.timeout(SECONDS_TO_SETTLE):
            while True:
                shown: dict[str, Any] = await self.call("GET", path)
                if shown[field] == value:
                    return shown
                await asyncio.sleep(0.1)  # what is awaited happens in another process


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    """API and worker on a database of their own."""
    wechat, alipay = WechatPayGateway(clock.now), AlipayGateway(clock.now)
    async with AsyncExitStack() as stack:
        wechat_url = await stack.enter_async_context(served(wechat))
        alipay_url = await stack.enter_async_context(served(alipay))
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environ = {
            **environment(database_url, port),
            "KMR_WECHAT_PAY_URL": wechat_url,
            "KMR_ALIPAY_URL": f"{alipay_url}/gateway.do",
            "KMR_PUBLIC_URL": url,
        }
        made = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "app.cli", "sandbox"],
            cwd=CHECKOUT,
            env=environ,
            check=True,
            capture_output=True,
        )
        assert json.loads(made.stdout)["key"] == KEY
        stack.enter_context(process("app.worker", environ))
        api = stack.enter_context(process("app.main", environ))
        await asyncio.to_thread(wait_until_ready, url, api)
        headers = {"Authorization": f"Bearer {KEY}"}
        http = httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=20)
        yield Shop(await stack.enter_async_context(http), wechat, alipay)


async def test_from_a_claim_to_the_money_back(shop: Shop) -> None:
    await shop.register("alipay", alipay_keys.credentials_document())
    await shop.register("wechat_pay", wechat_pay_keys.credentials_document())
    by_alipay = await shop.file("E-1", "alipay", shop.alipay)
    by_wechat = await shop.file("E-2", "wechat_pay", shop.wechat)

    refunded = await shop.until(f"/v1/cases/{by_alipay['id']}", "status", "refunded")
    assert [each["state"] for each in refunded["refunds"]] == ["succeeded"]
    assert shop.alipay.paid_out("P-E-1") == 20_000

    [asked] = by_wechat["refunds"]
    under_way = await shop.until(f"/v1/refunds/{asked['id']}", "state", "processing")
    shop.wechat.end(under_way["refund_no"], "SUCCESS")
    [notice] = shop.wechat.notices()
    notify_url = shop.wechat.refunds[under_way["refund_no"]].notify_url
    assert notify_url is not None
    async with httpx.AsyncClient(trust_env=False) as channel:
        answer = await channel.post(notify_url, content=notice.body, headers=dict(notice.headers))
    assert answer.status_code == 204
    refunded = await shop.until(f"/v1/cases/{by_wechat['id']}", "status", "refunded")
    assert [each["type"] for each in refunded["timeline"]].count("refund.succeeded") == 1
    assert shop.wechat.paid_out("P-E-2") == 20_000
