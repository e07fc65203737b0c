"""Signed reports: the published implementation of Standard Webhooks signs, and what it did not sign does not count."""

import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import httpx
import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app import logs
from tests.api import reporting as r
from tests.api.conftest import Access
from tests.api.reporting import FEN, as_bytes, books, events, requested, result, send, signed
from tests.database_clock import DatabaseClock

Headers: TypeAlias = dict[str, str]
PATH = "/v1/reporting-secret"
AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Signed:
    """A site that wants its reports signed, with a refund of it; time stands still."""

    site: Access
    clock: DatabaseClock
    engine: AsyncEngine
    secret: str
    refund: r.Refund
    now: datetime

    def body(self, state: str = "succeeded", **changes: Any) -> bytes:
        """An honest report."""
        return as_bytes(result(self.refund, state, **changes))

    async def send(self, body: bytes, headers: Headers) -> httpx.Response:
        """Exactly that."""
        return await send(self.site, self.refund, body, headers)

    async def sent(self, body: bytes, *, secret: str | None = None, late: timedelta = timedelta()) -> httpx.Response:
        """Signed so long before the present."""
        return await self.send(body, signed(secret or self.secret, body, await self.clock.now() - late))

    async def state(self) -> str:
        return str((await r.read(self.site, self.refund))["state"])


@pytest.fixture
async def signing(clock: DatabaseClock, site: Access, engine: AsyncEngine) -> Signed:
    refund = await requested(site)
    secret = await new_secret(site)
    return Signed(site, clock, engine, secret, refund, await clock.freeze())


@pytest.fixture
def listening() -> Iterator[Callable[[], None]]:
    """Begins to log as the service does; afterwards logging is as it was."""
    root, app = logging.getLogger(), logging.getLogger("app")
    handlers, levels = root.handlers[:], (root.level, app.level)
    yield lambda: logs.configure("info")
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    app.setLevel(levels[1])
    structlog.reset_defaults()


def refusals(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What was logged of refused signatures."""
    written = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    return [line for line in written if line["event"] == "report_signature_refused"]


async def new_secret(site: Access) -> str:
    answer = await site.post(PATH)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["secret"])


def problem_of(answer: httpx.Response, code: str, status: int = 401) -> bytes:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    return answer.content


# The secret


async def test_a_secret_is_shown_once_and_kept_sealed(site: Access, engine: AsyncEngine) -> None:
    assert (await site.get(PATH)).json() == {"required": False, "secrets": []}
    made = (await site.post(PATH)).json()
    assert made["secret"].startswith("whsec_")
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) >= 24
    assert {name: made[name] for name in ("required", "secrets")} == {"required": True, "secrets": [None]}
    shown = await site.get(PATH)
    assert shown.json() == {"required": True, "secrets": [None]}
    async with engine.connect() as connection:
        stored = await connection.scalar(text("SELECT to_jsonb(s)::text FROM sites s WHERE name = 'shop'"))
    assert made["secret"].removeprefix("whsec_") not in str(stored)


async def test_a_secret_is_made_once_under_a_key(site: Access) -> None:
    first, again = await site.post(PATH, once="k-1"), await site.post(PATH, once="k-1")
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert (await site.post(PATH)).json()["secret"] != first.json()["secret"]


async def test_a_secret_rotated_out_counts_for_a_day(signing: Signed) -> None:
    new = await new_secret(signing.site)
    listed = (await signing.site.get(PATH)).json()["secrets"]
    ends = (signing.now + timedelta(days=1)).astimezone(datetime.fromisoformat(listed[1]).tzinfo)
    assert (listed[0], datetime.fromisoformat(listed[1])) == (None, ends)
    assert (await signing.sent(signing.body("accepted"))).status_code == 200
    await signing.clock.advance(timedelta(days=1) - timedelta(microseconds=1))
    assert (await signing.sent(signing.body("processing"))).status_code == 200
    await signing.clock.advance(timedelta(microseconds=1))
    before = await books(signing.engine)
    problem_of(await signing.sent(signing.body()), "signature_invalid")
    assert await books(signing.engine) == before
    assert (await signing.site.get(PATH)).json()["secrets"] == [None]
    assert (await signing.sent(signing.body(), secret=new)).status_code == 200


async def test_in_the_overlap_either_signature_may_come_first(signing: Signed) -> None:
    new = await new_secret(signing.site)
    for n, order in enumerate(((signing.secret, new), (new, signing.secret))):
        body, name = signing.body(("accepted", "processing")[n]), f"msg_{n}"
        each = [signed(secret, body, signing.now, name) for secret in order]
        both = {**each[0], "webhook-signature": " ".join(one["webhook-signature"] for one in each)}
        assert (await signing.send(body, both)).status_code == 200


async def test_five_secrets_are_the_most_and_one_more_is_refused(signing: Signed) -> None:
    for _ in range(4):
        await new_secret(signing.site)
    problem_of(await signing.site.post(PATH), "too_many_secrets", 409)
    assert len((await signing.site.get(PATH)).json()["secrets"]) == 5
    assert (await signing.sent(signing.body())).status_code == 200


async def test_without_a_secret_no_signature_is_asked_for_again(signing: Signed) -> None:
    problem_of(await r.told(signing.site, signing.refund, "succeeded"), "signature_missing")
    assert (await signing.site.call("DELETE", PATH)).status_code == 204
    assert (await signing.site.get(PATH)).json() == {"required": False, "secrets": []}
    assert (await r.told(signing.site, signing.refund, "accepted")).status_code == 200
    assert (await signing.site.call("DELETE", PATH)).status_code == 204


async def test_a_removed_secret_does_not_come_back(signing: Signed) -> None:
    await signing.site.call("DELETE", PATH)
    await new_secret(signing.site)
    problem_of(await signing.sent(signing.body()), "signature_invalid")


async def test_a_secret_is_its_own_sites(signing: Signed, other_site: Access) -> None:
    theirs = await new_secret(other_site)
    problem_of(await signing.sent(signing.body(), secret=theirs), "signature_invalid")
    refund = await requested(other_site)
    body = as_bytes(result(refund, "succeeded"))
    problem_of(await send(other_site, refund, body, signed(signing.secret, body, signing.now)), "signature_invalid")
    assert (await send(other_site, refund, body, signed(theirs, body, signing.now))).status_code == 200


async def test_reading_needs_no_signature_and_neither_does_a_retry(signing: Signed) -> None:
    assert (await signing.sent(signing.body("failed"))).status_code == 200
    assert (await r.read(signing.site, signing.refund))["state"] == "failed"
    assert (await r.retry(signing.site, signing.refund)).status_code == 200


# The signature


async def test_what_the_published_implementation_signs_counts(signing: Signed) -> None:
    body = json.dumps(json.loads(signing.body()), indent=2, ensure_ascii=False).encode() + b"\n"
    answer = await signing.sent(body)
    assert (answer.status_code, answer.json()["verdict"]) == (200, "applied")
    assert await signing.state() == "succeeded"


def drop(name: str) -> Callable[[Headers], Headers]:
    return lambda headers: {key: value for key, value in headers.items() if key != name}


def change(name: str, by: Callable[[str], str]) -> Callable[[Headers], Headers]:
    return lambda headers: {**headers, name: by(headers[name])}


SIGNATURE, TIMESTAMP, ID = "webhook-signature", "webhook-timestamp", "webhook-id"
ODD: dict[str, tuple[Callable[[Headers], Headers], str]] = {
    "no headers": (lambda _: {}, "signature_missing"),
    "no id": (drop(ID), "signature_missing"),
    "no time": (drop(TIMESTAMP), "signature_missing"),
    "no signature": (drop(SIGNATURE), "signature_missing"),
    "an empty signature": (change(SIGNATURE, lambda _: ""), "signature_invalid"),
    "no version": (change(SIGNATURE, lambda value: value[3:]), "signature_invalid"),
    "another version": (change(SIGNATURE, lambda value: f"v1a,{value[3:]}"), "signature_invalid"),
    "a version of capitals": (change(SIGNATURE, lambda value: f"V1,{value[3:]}"), "signature_invalid"),
    "cut short": (change(SIGNATURE, lambda value: value[:-5]), "signature_invalid"),
    "without padding": (change(SIGNATURE, lambda value: value.rstrip("=")), "signature_invalid"),
    "too long": (change(SIGNATURE, lambda value: value + "A" * 9_000), "signature_invalid"),
    "no base64": (change(SIGNATURE, lambda _: "v1,***"), "signature_invalid"),
    "a probe of a channel's": (change(SIGNATURE, lambda _: "WECHATPAY/SIGNTEST/x"), "signature_invalid"),
    "separated by a comma": (change(SIGNATURE, lambda value: f"v1,AAAA,{value}"), "signature_invalid"),
    "behind ten others": (change(SIGNATURE, lambda value: "v1,AAAA " * 10 + value), "signature_invalid"),
    "another id": (change(ID, lambda value: f"{value}x"), "signature_invalid"),
    "an id with a dot": (change(ID, lambda value: f"{value}.1"), "signature_invalid"),
    "an empty id": (change(ID, lambda _: ""), "signature_invalid"),
    "an id of 129": (change(ID, lambda _: "x" * 129), "signature_invalid"),
    "another second": (change(TIMESTAMP, lambda value: str(int(value) + 1)), "signature_invalid"),
    "milliseconds": (change(TIMESTAMP, lambda value: f"{value}000"), "signature_invalid"),
    "a fraction": (change(TIMESTAMP, lambda value: f"{value}.0"), "signature_invalid"),
    "a sign": (change(TIMESTAMP, lambda value: f"+{value}"), "signature_invalid"),
    "below zero": (change(TIMESTAMP, lambda value: f"-{value}"), "signature_invalid"),
    "a zero before": (change(TIMESTAMP, lambda value: f"0{value}"), "signature_invalid"),
    "an underscore": (change(TIMESTAMP, lambda value: f"{value[:3]}_{value[3:]}"), "signature_invalid"),
    "a word": (change(TIMESTAMP, lambda _: "now"), "signature_invalid"),
    "a date": (change(TIMESTAMP, lambda _: "2026-03-10T12:00:00Z"), "signature_invalid"),
    "endless digits": (change(TIMESTAMP, lambda _: "9" * 5_000), "signature_invalid"),
    "no time at all": (change(TIMESTAMP, lambda _: ""), "signature_invalid"),
}


async def test_odd_headers_are_refused_and_change_nothing(signing: Signed) -> None:
    before, body = await books(signing.engine), signing.body()
    for name, (spoilt, code) in ODD.items():
        answer = await signing.send(body, spoilt(signed(signing.secret, body, signing.now)))
        assert (answer.status_code, answer.json()["code"]) == (401, code), (name, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert await books(signing.engine) == before
    assert (await r.read(signing.site, signing.refund))["reports"] == []
    assert (await signing.send(body, signed(signing.secret, body, signing.now))).status_code == 200


@pytest.mark.parametrize("name", [ID, TIMESTAMP, SIGNATURE])
async def test_a_header_that_comes_twice_is_none(signing: Signed, name: str) -> None:
    body = signing.body()
    headers = signed(signing.secret, body, signing.now)
    twice = [*headers.items(), (name, headers[name]), *signing.site.auth.items(), ("Content-Type", "application/json")]
    answer = await signing.site.http.post(f"/v1/refunds/{signing.refund['id']}/result", content=body, headers=twice)
    problem_of(answer, "signature_missing")
    assert await signing.state() == "requested"


def by_hand(key: bytes, name: str, at: datetime, body: bytes) -> Headers:
    moment = str(int(at.timestamp()))
    digest = hmac.new(key, f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
    return {ID: name, TIMESTAMP: moment, SIGNATURE: f"v1,{base64.b64encode(digest).decode()}"}


async def test_the_key_is_what_the_secret_encodes(signing: Signed) -> None:
    body = signing.body()
    right = base64.b64decode(signing.secret.removeprefix("whsec_"))
    for wrong in (signing.secret.encode(), signing.secret.removeprefix("whsec_").encode(), b"", right[:-1]):
        problem_of(await signing.send(body, by_hand(wrong, "msg_1", signing.now, body)), "signature_invalid")
    hexadecimal = by_hand(right, "msg_1", signing.now, body)
    hexadecimal[SIGNATURE] = "v1," + base64.b64decode(hexadecimal[SIGNATURE][3:]).hex()
    problem_of(await signing.send(body, hexadecimal), "signature_invalid")
    assert (await signing.send(body, by_hand(right, "msg_1", signing.now, body))).status_code == 200


async def test_an_id_with_a_dot_cannot_be_cut_in_another_place(signing: Signed) -> None:
    body = signing.body()
    key = base64.b64decode(signing.secret.removeprefix("whsec_"))
    problem_of(await signing.send(body, by_hand(key, "msg.1", signing.now, body)), "signature_invalid")


async def test_not_a_byte_of_the_body_may_differ(signing: Signed) -> None:
    body = signing.body()
    headers = signed(signing.secret, body, signing.now)
    other = [
        body + b" ", body + b"\n", b" " + body, body.replace(b": ", b":"), body.replace(b'"CNY"', b'"\\u0043NY"'),
        json.dumps(json.loads(body), sort_keys=True).encode(), body.replace(str(FEN).encode(), str(FEN + 1).encode()),
    ]  # fmt: skip
    for changed in other:
        assert changed != body
        problem_of(await signing.send(changed, headers), "signature_invalid")
    assert (await signing.send(body, headers)).status_code == 200


async def test_the_signature_comes_before_what_the_body_says(signing: Signed) -> None:
    """Who cannot sign does not learn what a body should look like; who can is told."""
    for body in (b"{}", b"{", b"[]", b"\xff", b"", b'{"state":"paid"}', b'{"a":NaN}'):
        answer = await signing.send(body, signed("whsec_" + base64.b64encode(bytes(32)).decode(), b"{}", signing.now))
        problem_of(answer, "signature_invalid")
    for body in (b"{}", b"[]", b'{"state":"paid"}'):
        assert (await signing.sent(body)).status_code == 422
    assert (await signing.sent(b"{")).json()["code"] == "not_json"


@pytest.mark.parametrize("late", [timedelta(minutes=5), -timedelta(minutes=5), timedelta(minutes=5, microseconds=999)])
async def test_five_minutes_to_either_side_are_taken(signing: Signed, late: timedelta) -> None:
    await signing.clock.freeze(signing.now.replace(microsecond=0))
    assert (
        await signing.sent(signing.body(), late=late.total_seconds() // 1 * timedelta(seconds=1))
    ).status_code == 200


@pytest.mark.parametrize("late", [timedelta(minutes=5, seconds=1), -timedelta(minutes=5, seconds=1), timedelta(days=9)])
async def test_more_than_five_minutes_to_either_side_are_not(signing: Signed, late: timedelta) -> None:
    before = await books(signing.engine)
    await signing.clock.freeze(signing.now.replace(microsecond=0))
    problem_of(await signing.sent(signing.body(), late=late), "signature_expired")
    assert await books(signing.engine) == before


async def test_who_cannot_sign_is_not_told_that_it_is_too_late(signing: Signed) -> None:
    stranger = "whsec_" + base64.b64encode(bytes(32)).decode()
    problem_of(await signing.sent(signing.body(), secret=stranger, late=timedelta(days=9)), "signature_invalid")


# Sent again


async def test_n76_a_replay_within_five_minutes_has_no_second_effect(signing: Signed) -> None:
    body = signing.body()
    headers = signed(signing.secret, body, signing.now)
    first = await signing.send(body, headers)
    told, before = await events(signing.engine), await books(signing.engine)
    await signing.clock.advance(timedelta(minutes=4, seconds=59))
    again = await signing.send(body, headers)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    own = await signing.send(body, {**headers, "Idempotency-Key": "of-my-own"})
    assert own.status_code == 200
    assert (await events(signing.engine), await books(signing.engine)) == (told, before)
    await signing.clock.advance(timedelta(seconds=2))
    problem_of(await signing.send(body, headers), "signature_expired")
    assert (await events(signing.engine), await books(signing.engine)) == (told, before)


async def test_a_contradiction_is_replayed_as_it_was_answered(signing: Signed) -> None:
    await signing.sent(signing.body())
    body = signing.body("failed")
    headers = signed(signing.secret, body, signing.now)
    first, again = await signing.send(body, headers), await signing.send(body, headers)
    assert (first.status_code, again.status_code, again.content) == (409, 409, first.content)
    assert (await events(signing.engine)).count("refund.conflict") == 1


async def test_an_id_is_used_for_one_report(signing: Signed) -> None:
    """Two different reports under one id are two requests under one key."""
    first, second = signing.body("accepted"), signing.body("succeeded")
    assert (await signing.send(first, signed(signing.secret, first, signing.now, "msg_1"))).status_code == 200
    answer = await signing.send(second, signed(signing.secret, second, signing.now, "msg_1"))
    problem_of(answer, "idempotency_key_reused", 422)
    assert await signing.state() == "accepted"


@pytest.mark.parametrize("own_key", [None, "of-my-own"])
async def test_what_was_signed_for_one_refund_is_not_anothers(signing: Signed, own_key: str | None) -> None:
    """The signature does not cover the path; `failed` names no number that could give it away."""
    other = await requested(signing.site, "A-2")
    body = signing.body("failed")
    headers = signed(signing.secret, body, signing.now)
    assert (await signing.send(body, headers)).status_code == 200
    before = await books(signing.engine)
    extra = {} if own_key is None else {"Idempotency-Key": own_key}
    problem_of(await send(signing.site, other, body, {**headers, **extra}), "idempotency_key_reused", 422)
    assert await books(signing.engine) == before


async def test_what_was_signed_and_held_back_is_not_anothers_either(signing: Signed) -> None:
    other = await requested(signing.site, "A-2")
    body = signing.body("failed")
    before = await books(signing.engine)
    answer = await send(signing.site, other, body, signed(signing.secret, body, signing.now))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "another_refund")
    assert await books(signing.engine) == before


async def test_a_signed_report_says_itself_which_refund_it_is_of(signing: Signed) -> None:
    before = await books(signing.engine)
    answer = await signing.sent(signing.body(refund_no=None))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "refund_no_missing")
    assert await books(signing.engine) == before
    assert (await signing.sent(signing.body())).status_code == 200


async def test_a_refused_signature_holds_no_key(signing: Signed) -> None:
    body = signing.body()
    headers = signed(signing.secret, body, signing.now, "msg_1")
    problem_of(await signing.send(body + b" ", headers), "signature_invalid")
    assert (await signing.send(body, headers)).status_code == 200


async def test_nobody_elses_key_opens_anything_by_a_good_signature(signing: Signed, other_site: Access) -> None:
    body = signing.body()
    headers = signed(signing.secret, body, signing.now)
    answer = await send(other_site, signing.refund, body, headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    answer = await send(other_site, signing.refund, body, {**headers, "Idempotency-Key": "k"})
    assert answer.status_code == 404
    path = f"/v1/refunds/{signing.refund['id']}/result"
    anonymous = await signing.site.http.post(
        path, content=body, headers={**headers, "Content-Type": "application/json"}
    )
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "unauthenticated")
    assert await signing.state() == "requested"


async def test_n77_a_channels_probe_is_refused_like_any_bad_signature(
    signing: Signed, listening: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    listening()
    body = signing.body()
    probe = {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/x", "Wechatpay-Timestamp": "1", "Wechatpay-Nonce": "n"}
    problem_of(await signing.send(body, probe), "signature_missing")
    problem_of(
        await signing.send(body, {**signed(signing.secret, body, signing.now), SIGNATURE: "WECHATPAY/SIGNTEST/x"}),
        "signature_invalid",
    )
    reasons = [each["reason"] for each in refusals(capsys)]
    assert reasons == ["signature_missing", "signature_invalid"]
    assert await signing.state() == "requested"


async def test_what_is_logged_of_a_refusal_names_the_site_and_no_content(
    signing: Signed, listening: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    listening()
    canary = secrets.token_hex(12)
    body = signing.body("failed", failure={"code": "other", "message": canary})
    headers = {**signed(signing.secret, body, signing.now, f"msg_{canary}"), SIGNATURE: f"v1,{canary}"}
    problem_of(await signing.send(body, headers), "signature_invalid")
    problem_of(await signing.sent(body, late=AN_HOUR), "signature_expired")
    problem_of(await signing.send(body, {}), "signature_missing")
    lines = refusals(capsys)
    expected = [
        (reason, "warning", str(signing.site.site_id))
        for reason in ("signature_invalid", "signature_expired", "signature_missing")
    ]
    assert [(each["reason"], each["level"], each["site_id"]) for each in lines] == expected
    written = json.dumps(lines)
    for content in (canary, signing.secret, signing.refund["refund_no"], signing.site.key, str(FEN)):
        assert content not in written
    assert {name for each in lines for name in each} <= {"event", "level", "at", "site_id", "reason", "request_id"}


async def test_refusals_say_what_to_do_in_both_languages(signing: Signed) -> None:
    for code, word in (("signature_missing", "请提供"), ("signature_expired", "请校准时钟")):
        headers = {} if code == "signature_missing" else signed(signing.secret, signing.body(), signing.now - AN_HOUR)
        chinese = await signing.send(signing.body(), headers)
        english = await signing.send(signing.body(), {**headers, "Accept-Language": "en"})
        assert word in chinese.json()["detail"]
        assert english.json()["detail"].isascii()
        assert {problem_of(each, code) is not None for each in (chinese, english)} == {True}
