"""Accounts at channels over HTTP: registered, changed, gone; their secrets go in and never come out."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import logs
from app.api.schemas.channels import AccountOut
from app.models.closed_sets import Scope
from tests.api import bodies, reporting
from tests.api.conftest import Access
from tests.api.sending import Receiver, Sends
from tests.channels import alipay_keys, epay_keys, wechat_pay_keys

PATH = "/v1/channel-accounts"
CREDENTIALS: Mapping[str, Mapping[str, Any]] = {
    "wechat_pay": wechat_pay_keys.credentials_document(),
    "alipay": alipay_keys.credentials_document(),
    "epay_v1": epay_keys.v1_document(),
    "epay_v2": epay_keys.v2_document(),
}
KINDS = tuple(CREDENTIALS)
CHANNELS = {"wechat_pay": "wechat_pay", "alipay": "alipay", "epay_v1": "unionpay", "epay_v2": "bank_card"}
SECRETS = {
    "wechat_pay": ("private_key", "api_v3_key"),
    "alipay": ("private_key",),
    "epay_v1": ("key",),
    "epay_v2": ("private_key",),
}


def account(kind: str = "alipay", **changes: Any) -> dict[str, Any]:
    """The body of `POST /v1/channel-accounts`."""
    named = "epay" if kind.startswith("epay") else kind
    return {"kind": named, "channel": CHANNELS[kind], "credentials": dict(CREDENTIALS[kind]), **changes}


def with_credentials(kind: str, **changes: Any) -> dict[str, Any]:
    """One of whose credentials something is otherwise; None: it is left out."""
    told = {name: value for name, value in {**CREDENTIALS[kind], **changes}.items() if value is not None}
    return account(kind, credentials=told)


async def registered(site: Access, kind: str = "alipay", **changes: Any) -> dict[str, Any]:
    answer = await site.post(PATH, account(kind, **changes))
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def secrets_of(kind: str) -> list[str]:
    """What must be nowhere, in whatever way it is written."""
    told = [str(CREDENTIALS[kind][name]) for name in SECRETS[kind]]
    lines = [line for secret in told for line in secret.splitlines() if not line.startswith("-----")]
    return [line[:24] for line in lines if len(line) >= 24]


async def rows(engine: AsyncEngine, table: str = "channel_accounts") -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.scalars(text(f"SELECT CAST(to_jsonb(t) AS text) FROM {table} t"))).all())


@pytest.mark.parametrize("kind", KINDS)
async def test_an_account_of_each_kind_is_registered_and_read_back(site: Access, kind: str) -> None:
    answer = await site.post(PATH, account(kind, label="主商户"))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    AccountOut.model_validate(made)
    assert answer.headers["etag"] == '"1"'
    assert (made["channel"], made["label"], made["enabled"], made["version"]) == (CHANNELS[kind], "主商户", True, 1)
    shown = await site.get(f"{PATH}/{made['id']}")
    assert (shown.json(), shown.headers["etag"]) == (made, '"1"')
    assert (await site.get(PATH)).json() == {"data": [made]}


@pytest.mark.parametrize("kind", KINDS)
async def test_no_secret_ever_comes_out(
    site: Access, engine: AsyncEngine, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug")
    answer = await site.post(PATH, account(kind), once="account-1")
    path = f"{PATH}/{answer.json()['id']}"
    again = await site.post(PATH, account(kind), once="account-1")
    changed = await site.call("PATCH", path, json={"credentials": CREDENTIALS[kind]})
    refused = await site.call("PATCH", path, json={"credentials": {**CREDENTIALS[kind], "unheard_of": 1}})
    said = [answer, again, changed, refused, await site.get(path), await site.get(PATH)]
    assert [each.status_code for each in said] == [201, 201, 200, 422, 200, 200]
    captured = capsys.readouterr()
    kept = [row for table in ("channel_accounts", "idempotency_keys", "events") for row in await rows(engine, table)]
    everything = "\n".join([*(each.text for each in said), captured.out, captured.err, *kept])
    hexed = [secret.encode().hex() for secret in secrets_of(kind)]
    assert secrets_of(kind)
    assert not [secret for secret in (*secrets_of(kind), *hexed) if secret in everything]


BAD: Mapping[str, Mapping[str, tuple[str | None, ...]]] = {
    "wechat_pay": {
        "private_key": ("", "not a key", wechat_pay_keys.public_pem("merchant"), None),
        "api_v3_key": ("too short", "密" * 32),
        "certificate_serial": ("not hex!",),
        "mch_id": ("one nine", ""),
    },
    "alipay": {"private_key": ("MIIB", "not base64!"), "alipay_public_key": ("MIIB", alipay_keys.private_text("x"))},
    "epay_v1": {"url": ("http://pay.example.com/", "ftp://x", "https://user:pw@pay.example.com/"), "key": (None,)},
    "epay_v2": {"private_key": ("MIIB", None), "platform_public_key": ("MIIB", None)},
}


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [(kind, field, value) for kind, fields in BAD.items() for field, values in fields.items() for value in values],
)
async def test_credentials_that_cannot_be_used_are_refused_without_an_echo(
    site: Access, engine: AsyncEngine, kind: str, field: str, value: str | None
) -> None:
    answer = await site.post(PATH, with_credentials(kind, **{field: value}), headers={"Accept-Language": "en"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    pointers = [each["pointer"] for each in answer.json()["errors"]]
    assert pointers
    assert all(pointer.startswith("/credentials") for pointer in pointers)
    assert any(pointer.endswith(f"/{field}") for pointer in pointers) or value is None
    assert not value or len(value) < 6 or value[:24] not in answer.text
    assert await rows(engine) == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (account("alipay", channel="wechat_pay"), "/channel"),
        ({**account(), "kind": "paypal"}, "/kind"),
        (account("alipay", enabled=1), "/enabled"),
        (account("alipay", credentials=CREDENTIALS["wechat_pay"]), "/credentials"),
        (account("alipay", site="A"), "/site"),
        (account("epay_v1", channel="balance"), "/channel"),
    ],
)
async def test_what_fits_nothing_is_refused(site: Access, body: dict[str, Any], pointer: str) -> None:
    answer = await site.post(PATH, body)
    assert answer.status_code == 422
    # A body whose kind is not known is refused as a whole.
    pointers = [each["pointer"] for each in answer.json()["errors"]]
    assert all(each == "" or each.startswith(pointer) for each in pointers), pointers


async def test_one_account_is_enabled_for_a_channel(site: Access, other_site: Access) -> None:
    first = await registered(site)
    second = await site.post(PATH, account(), headers={"Accept-Language": "en"})
    assert (second.status_code, second.json()["code"]) == (409, "channel_taken")
    spare = await registered(site, enabled=False)
    swap = await site.call("PATCH", f"{PATH}/{spare['id']}", json={"enabled": True})
    assert (swap.status_code, swap.json()["code"]) == (409, "channel_taken")
    assert (await site.call("PATCH", f"{PATH}/{first['id']}", json={"enabled": False})).status_code == 200
    assert (await site.call("PATCH", f"{PATH}/{spare['id']}", json={"enabled": True})).status_code == 200
    await registered(site, "wechat_pay")
    await registered(other_site)


async def test_a_change_touches_what_is_named(site: Access, engine: AsyncEngine) -> None:
    made = await registered(site, label="a")
    [before] = await rows(engine)
    path = f"{PATH}/{made['id']}"
    answer = await site.call("PATCH", path, json={"label": "b"}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    same = {name: value for name, value in made.items() if name not in ("label", "version", "updated_at")}
    assert {**answer.json(), **same} == answer.json()
    assert answer.json()["label"] == "b"
    [after] = await rows(engine)
    assert json.loads(after)["credentials"] == json.loads(before)["credentials"]
    stale = await site.call("PATCH", path, json={"label": "c"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    other = await site.call("PATCH", path, json={"credentials": CREDENTIALS["wechat_pay"]})
    assert (other.status_code, other.json()["errors"][0]["pointer"][:12]) == (422, "/credentials")
    for body in ({"kind": "epay"}, {"channel": "wechat_pay"}, {"label": 1}):
        assert (await site.call("PATCH", path, json=body)).status_code == 422
    assert (await site.get(path)).json() == answer.json()


async def test_an_account_that_asked_for_nothing_can_go(site: Access, engine: AsyncEngine) -> None:
    path = f"{PATH}/{(await registered(site))['id']}"
    assert (await site.call("DELETE", path)).status_code == 204
    assert (await site.get(path)).status_code == 404
    assert (await site.call("DELETE", path)).status_code == 404
    assert await rows(engine) == []


async def test_an_account_that_refunds_went_through_stays(site: Access) -> None:
    path = f"{PATH}/{(await registered(site))['id']}"
    await reporting.requested(site)
    answer = await site.call("DELETE", path)
    assert (answer.status_code, answer.json()["code"]) == (409, "account_in_use")
    assert (await site.get(path)).status_code == 200
    assert (await site.call("PATCH", path, json={"enabled": False})).status_code == 200


async def test_without_the_scope_nothing_goes(site: Access, key_with: Callable[..., Awaitable[Access]]) -> None:
    path = f"{PATH}/{(await registered(site))['id']}"
    without = await key_with(*(scope for scope in Scope if scope is not Scope.CHANNELS))
    said = [
        await without.post(PATH, account("wechat_pay")),
        await without.get(PATH),
        await without.get(path),
        await without.call("PATCH", path, json={"enabled": False}),
        await without.call("DELETE", path),
    ]
    assert {each.status_code for each in said} == {403}
    only = await key_with(Scope.CHANNELS)
    assert (await only.get(path)).json()["enabled"] is True


async def test_another_site_s_account_is_as_if_it_never_was(site: Access, other_site: Access) -> None:
    made = await registered(site)
    unknown = made["id"][:-4] + ("aaaa" if not made["id"].endswith("aaaa") else "bbbb")
    for method, body in (("GET", None), ("PATCH", {"label": "x"}), ("DELETE", None)):
        said = [
            await other_site.call(method, f"{PATH}/{each}", **({} if body is None else {"json": body}))
            for each in (made["id"], unknown)
        ]
        assert [each.status_code for each in said] == [404, 404]
        assert said[0].content == said[1].content
    assert (await other_site.get(PATH)).json() == {"data": []}
    assert (await site.get(f"{PATH}/{made['id']}")).json() == made


async def test_a_site_tells_of_its_own_address_alone(site: Access) -> None:
    """Nobody has said where the service can be reached, so nobody is told."""
    assert (await registered(site))["notify_url"] is None


async def test_no_adapter_hears_of_a_refund_that_the_service_asks_for_itself(site: Access, engine: AsyncEngine) -> None:
    for role in ("site", "channel"):
        url = f"https://shop.example.com/{role}"
        assert (await site.post("/v1/webhook-endpoints", bodies.endpoint(url=url, role=role))).status_code == 201
    await registered(site)
    receiver = Receiver()
    refund = await reporting.requested(site)
    assert refund["handled_by"] == "service"
    await Sends(engine)(receiver)
    heard = {(url.rpartition("/")[2], body["type"]) for url, _, body in receiver.heard}
    assert ("site", "refund.requested") in heard
    assert not [kind for who, kind in heard if who == "channel"]


async def test_an_adapter_hears_of_what_no_account_is_for(site: Access, engine: AsyncEngine) -> None:
    url = "https://shop.example.com/channel"
    assert (await site.post("/v1/webhook-endpoints", bodies.endpoint(url=url, role="channel"))).status_code == 201
    await registered(site, "wechat_pay")
    await registered(site, "alipay", enabled=False)
    receiver = Receiver()
    refund = await reporting.requested(site)
    assert refund["handled_by"] == "adapter"
    await Sends(engine)(receiver)
    assert [body["type"] for _, _, body in receiver.heard] == ["refund.requested"]
    await reporting.taken(site, refund, "accepted")


@pytest.mark.parametrize("state", ["accepted", "processing", "succeeded", "failed", "closed", "abnormal"])
async def test_of_what_the_service_asks_for_the_channel_alone_is_believed(site: Access, state: str) -> None:
    await registered(site)
    refund = await reporting.requested(site)
    await reporting.refused(site, refund, reporting.result(refund, state), (409, "handled_by_service"))


async def test_a_registration_under_one_key_is_one(site: Access, engine: AsyncEngine) -> None:
    first = await site.post(PATH, account(), once="account-1")
    again = await site.post(PATH, account(), once="account-1")
    assert (first.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    other = await site.post(PATH, account(label="x"), once="account-1")
    assert other.status_code == 422
    assert len(await rows(engine)) == 1
