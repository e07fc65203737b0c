"""An account stays the account that it is: its keys may change, whose it is may not."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.conftest import Access
from tests.api.test_channel_accounts import CREDENTIALS, PATH, registered
from tests.channels import alipay_keys, wechat_pay_keys

ANOTHER: Mapping[str, Mapping[str, str]] = {
    "wechat_pay": {"mch_id": "1999999999"},
    "alipay": {"app_id": "2021009999999999"},
    "epay_v1": {"pid": "9999"},
    "epay_v2": {"url": "https://pay.elsewhere.example"},
}


async def patched(site: Access, account: Mapping[str, Any], kind: str, **changes: Any) -> Any:
    return await site.call("PATCH", f"{PATH}/{account['id']}", json={"credentials": {**CREDENTIALS[kind], **changes}})


@pytest.mark.parametrize("kind", ANOTHER)
async def test_an_account_is_not_moved_to_another_merchant(site: Access, kind: str) -> None:
    """What was asked for at the one would be asked for again at the other."""
    account = await registered(site, kind)
    answer = await patched(site, account, kind, **ANOTHER[kind])
    assert (answer.status_code, answer.json()["code"]) == (409, "another_account")
    assert not [value for value in ANOTHER[kind].values() if value in answer.text]
    assert (await site.get(f"{PATH}/{account['id']}")).json() == account


@pytest.mark.parametrize("kind", ANOTHER)
async def test_the_same_credentials_are_taken_again(site: Access, kind: str) -> None:
    account = await registered(site, kind)
    answer = await patched(site, account, kind)
    assert (answer.status_code, answer.json()["version"]) == (200, 2)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("wechat_pay", {"certificate_serial": "1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C", "api_v3_key": "k" * 32}),
        ("alipay", {"private_key": alipay_keys.private_text("other")}),
        ("epay_v1", {"key": "another-key-0123"}),
    ],
)
async def test_keys_may_change(site: Access, kind: str, changes: Mapping[str, str]) -> None:
    account = await registered(site, kind)
    answer = await patched(site, account, kind, **changes)
    assert answer.status_code == 200, answer.text


async def test_credentials_that_cannot_be_opened_any_more_are_replaced(site: Access, engine: AsyncEngine) -> None:
    account = await registered(site, "epay_v1")
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE channel_accounts SET credentials = 'x'"))
    assert (await patched(site, account, "epay_v1", pid="9999")).status_code == 409
    assert (await patched(site, account, "epay_v1")).status_code == 200


async def test_an_account_says_whose_it_is(site: Access) -> None:
    shown = {kind: (await registered(site, kind, enabled=False))["identity"] for kind in ANOTHER}
    for kind in ANOTHER:
        told = CREDENTIALS[kind]
        named = [told[name] for name in ("mch_id", "app_id", "url", "pid", "version") if name in told]
        assert shown[kind] == " ".join(named).replace("/ ", " ")


async def test_an_account_that_was_never_asked_gives_way_to_another(site: Access) -> None:
    """A number that was mistyped: the account is deleted, or disabled, and another registered."""
    account = await registered(site, "wechat_pay")
    assert (await site.call("DELETE", f"{PATH}/{account['id']}")).status_code == 204
    credentials = {**wechat_pay_keys.credentials_document(), **ANOTHER["wechat_pay"]}
    assert (await registered(site, "wechat_pay", credentials=credentials))["enabled"] is True
