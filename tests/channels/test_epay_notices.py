"""易支付 notices: at most a reason to ask, however well they are signed."""

import hashlib
from dataclasses import replace

import pytest

from app.outbound.channels.epay_signing import md5_signature, signed_text
from app.outbound.channels.said import Hint, Notice, NoticeRefused, Unknown
from tests.channels.epay_scene import PAYMENT, REFUND, Scene, instruction


@pytest.fixture(params=["v1", "v2"])
def scene(request: pytest.FixtureRequest) -> Scene:
    return Scene(request.param)


def _signed(scene: Scene, method: str = "GET", **changed: str) -> Notice:
    make = scene.gateway.notice if scene.version == "v1" else scene.gateway.signed_notice
    return make(changed.pop("out_trade_no", PAYMENT), method=method, **changed)


def _refused(scene: Scene, notice: Notice) -> str:
    with pytest.raises(NoticeRefused) as refusal:
        scene.adapter().read_notice(notice, scene.clock.now())
    return refusal.value.code


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_signed_notice_is_a_hint(scene: Scene, method: str) -> None:
    notice = _signed(scene, method, out_refund_no=REFUND)
    assert scene.adapter().read_notice(notice, scene.clock.now()) == Hint(REFUND, PAYMENT)


async def test_a_false_notice_with_a_right_signature_settles_nothing(scene: Scene) -> None:
    notice = _signed(scene, trade_status="TRADE_REFUND", out_refund_no=REFUND, refund_status="1", money="100.00")
    assert scene.adapter().read_notice(notice, scene.clock.now()) == Hint(REFUND, PAYMENT)
    assert await scene.adapter().query(instruction(), scene.clock.now()) == Unknown()
    assert scene.gateway.paid_out(PAYMENT) == 0


def test_a_changed_notice_is_refused(scene: Scene) -> None:
    notice = _signed(scene)
    assert _refused(scene, replace(notice, query={**notice.query, "out_trade_no": "another"})) == "bad_signature"
    assert _refused(scene, replace(notice, query={**notice.query, "sign": "0" * 32})) == "bad_signature"
    assert _refused(scene, replace(notice, query={**notice.query, "sign": "签"})) == "bad_signature"
    assert _refused(scene, replace(notice, query={**notice.query, "added": "1"})) == "bad_signature"


def test_a_notice_signed_with_another_key_is_refused() -> None:
    scene = Scene("v1")
    assert _refused(scene, scene.gateway.notice(PAYMENT, key="another-key")) == "bad_signature"


def test_a_v1_signature_is_worth_nothing_on_v2() -> None:
    scene = Scene("v2")
    assert _refused(scene, scene.gateway.notice(PAYMENT)) == "bad_signature"
    assert _refused(scene, scene.gateway.notice(PAYMENT, key="")) == "bad_signature"


def test_an_unsigned_notice_is_refused(scene: Scene) -> None:
    notice = _signed(scene)
    without = {name: value for name, value in notice.query.items() if name != "sign"}
    assert _refused(scene, replace(notice, query=without)) == "unsigned"
    assert _refused(scene, Notice("GET", {}, {}, b"")) == "unsigned"


def test_a_notice_for_another_merchant_of_the_aggregator_is_refused(scene: Scene) -> None:
    assert _refused(scene, _signed(scene, pid="1002")) == "other_merchant"


def test_a_notice_that_names_nothing_usable_is_refused(scene: Scene) -> None:
    assert _refused(scene, _signed(scene, out_trade_no="' or 1=1 --")) == "no_number"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"sign=1&sign=2", "garbled"),
        (b"sign=%ff", "garbled"),
        (b"\xff", "garbled"),
        (b"&".join(b"a%d=1" % n for n in range(100)), "garbled"),
        (b"a=" + b"1" * 20_000, "too_large"),
        (b"", "unsigned"),
    ],
)
def test_an_odd_body_is_refused(scene: Scene, body: bytes, code: str) -> None:
    assert _refused(scene, Notice("POST", {}, {}, body)) == code


def test_a_huge_query_is_refused(scene: Scene) -> None:
    assert _refused(scene, Notice("GET", {}, {"a": "1" * 20_000}, b"")) == "too_large"


def test_the_aggregator_hears_what_ends_its_notices(scene: Scene) -> None:
    assert scene.adapter().answer_to_notice(accepted=True).body == b"success"
    assert scene.adapter().answer_to_notice(accepted=False).body != b"success"


def test_the_md5_signature_is_over_the_sorted_text_and_the_key() -> None:
    fields = {
        "type": "alipay",
        "pid": "1001",
        "money": "1.00",
        "param": " ",
        "empty": "",
        "sign": "x",
        "sign_type": "MD5",
    }
    assert signed_text(fields) == "money=1.00&pid=1001&type=alipay"
    by_hand = hashlib.md5(b"money=1.00&pid=1001&type=alipayKEY").hexdigest()
    assert md5_signature(fields, "KEY") == by_hand == "7036dab904a8bbf6905ba1c658fe4276"
