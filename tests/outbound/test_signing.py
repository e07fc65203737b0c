import base64
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from app.outbound.signing import mint_secret, sign


def now() -> datetime:
    """The oracle compares with the real clock, and allows five minutes."""
    return datetime.now(UTC)


OLD = mint_secret(bytes(range(32)))
NEW = mint_secret(bytes(range(32, 64)))
# The oracle decodes the body as UTF-8.
bodies = st.text(st.characters(exclude_categories=["Cs"])).map(str.encode)
keys = st.binary(min_size=24, max_size=64)


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


@given(body=bodies, key=keys, message_id=st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True))
def test_the_published_library_verifies_any_body_under_any_key(body: bytes, key: bytes, message_id: str) -> None:
    secret = mint_secret(key)
    assert verified(secret, dict(sign([secret], message_id=message_id, at=now(), body=body)), body)


@given(body=st.text(st.characters(codec="ascii"), min_size=1).map(str.encode), place=st.integers(0, 10_000))
def test_one_flipped_bit_of_the_body_does_not_verify(body: bytes, place: int) -> None:
    headers = dict(sign([OLD], message_id="evt_1", at=now(), body=body))
    at, bit = place // 7 % len(body), place % 7
    flipped = body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]
    assert not verified(OLD, headers, flipped)


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp"])
def test_another_id_or_time_does_not_verify(header: str) -> None:
    headers = dict(sign([OLD], message_id="evt_1", at=now(), body=b"{}"))
    changed = {"webhook-id": "evt_2", "webhook-timestamp": str(int(now().timestamp()) + 2)}
    assert not verified(OLD, headers | {header: changed[header]}, b"{}")


def test_during_a_rotation_each_secret_verifies_and_a_third_does_not() -> None:
    headers = dict(sign([NEW, OLD], message_id="evt_1", at=now(), body=b"{}"))
    assert verified(NEW, headers, b"{}")
    assert verified(OLD, headers, b"{}")
    assert not verified(mint_secret(bytes(24)), headers, b"{}")
    assert [part[:3] for part in headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]


def test_the_offset_of_the_time_of_signing_makes_no_difference() -> None:
    at = now()
    shanghai = at.astimezone(timezone(timedelta(hours=8)))
    assert sign([OLD], message_id="e", at=shanghai, body=b"{}") == sign([OLD], message_id="e", at=at, body=b"{}")


def test_the_same_message_gets_the_headers_of_the_published_example() -> None:
    """The example of the specification's reference libraries."""
    headers = sign(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=datetime.fromtimestamp(1614265330, UTC),
        body=b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(key=keys)
def test_a_minted_secret_holds_its_bytes(key: bytes) -> None:
    secret = mint_secret(key)
    assert secret.startswith("whsec_")
    assert base64.b64decode(secret[6:], validate=True) == key


@pytest.mark.parametrize("length", [0, 23, 65])
def test_a_secret_of_an_unsafe_length_is_not_minted(length: int) -> None:
    with pytest.raises(ValueError, match="24 to 64"):
        mint_secret(bytes(length))


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_AAAA", "whsec_!!!!" + OLD[10:], OLD[6:], OLD + "=", OLD.replace("w", "W", 1)]
)
def test_a_malformed_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match="webhook secret") as caught:
        sign([OLD, secret], message_id="evt_1", at=now(), body=b"")
    assert not secret[6:] or secret[6:] not in str(caught.value)


@pytest.mark.parametrize("message_id", ["", "a.b", "a b", "a\r\nx: y", "中", "a" * 129])
def test_an_id_unfit_for_a_header_is_refused(message_id: str) -> None:
    with pytest.raises(ValueError, match="message id"):
        sign([OLD], message_id=message_id, at=now(), body=b"")


def test_without_a_secret_or_an_offset_nothing_is_signed() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sign([], message_id="evt_1", at=now(), body=b"")
    with pytest.raises(ValueError, match="offset"):
        sign([OLD], message_id="evt_1", at=now().replace(tzinfo=None), body=b"")


def test_the_body_is_signed_as_bytes() -> None:
    body = json.dumps({"名": "退款"}, ensure_ascii=False).encode()
    assert verified(OLD, dict(sign([OLD], message_id="evt_1", at=now(), body=body)), body)
