"""The claims of the demonstration: one from each system that the rules come from, in times relative to now."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from launcher.demo.money import BY_ANOTHER_ACCOUNT, STRAIGHT, DemoMove

SHANGHAI = timezone(timedelta(hours=8))
PRICE = 20_000


@dataclass(frozen=True, slots=True)
class DemoStep:
    """What somebody does in the case afterwards: `POST /v1/cases/{case_id}/{call}` with `body`."""

    call: str
    story_zh: str
    story_en: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DemoClaim:
    """A claim and the story behind it.

    `body` is for `POST /v1/cases`; `then` carries the case on, `money` its refund.
    """

    system: str
    source: str
    story_zh: str
    story_en: str
    body: dict[str, Any]
    then: tuple[DemoStep, ...] = ()
    money: tuple[DemoMove, ...] = ()

    @property
    def order_no(self) -> str:
        """The order that the claim is about."""
        number: str = self.body["order"]["order_no"]
        return number


def merchant_of(run: str) -> str:
    """The merchant of a demonstration: one of its own, so that its deposit begins whole."""
    return f"demo-merchant-{run}"


def demo_claims(now: datetime, run: str) -> Iterator[DemoClaim]:
    """The five claims; `run`, without a hyphen, makes the numbers of this demonstration its own."""
    yield _recharge(_Times(now), f"{run}-1")
    yield _consumption(_Times(now), f"{run}-2")
    yield _chargeback(_Times(now), f"{run}-3")
    yield _card_error(_Times(now), f"{run}-4")
    yield _binghui(_Times(now), f"{run}-5")


@dataclass(frozen=True, slots=True)
class _Times:
    now: datetime

    def ago(self, **length: float) -> str:
        """An instant that long before now, in whole seconds."""
        return (self.now - timedelta(**length)).astimezone(SHANGHAI).replace(microsecond=0).isoformat()


def _recharge(at: _Times, number: str) -> DemoClaim:
    body = _body(at.ago(hours=2), number, "recharge", "not_delivered", name="游戏点卡 200 元")
    return DemoClaim(
        "recharge 充值退款",
        "seed 000",
        "充值两小时仍未到账，买家只提交了申请，没有附上与客服的站内沟通记录。",
        "Paid two hours ago and nothing came; the buyer files the claim, but no chat log.",
        body,
        then=(
            DemoStep(
                "evidence",
                "买家补上了站内沟通记录。",
                "The buyer sends the chat log.",
                {"evidence": [_chat(at.ago(minutes=30))]},
            ),
        ),
        money=STRAIGHT,
    )


def _consumption(at: _Times, number: str) -> DemoClaim:
    body = _body(at.ago(hours=3), number, "consumption", "not_working", name="视频会员 12 个月", kind="membership")
    body["claim"]["first_contact_at"] = at.ago(hours=2)
    body["deliveries"] = [_delivery(at.ago(hours=2, minutes=55), number, usage="unknown")]
    body["evidence"] = [
        {"kind": "error_screenshot", "party": "buyer", "captured_at": at.ago(hours=2, minutes=10)},
        _chat(at.ago(hours=2)),
    ]
    return DemoClaim(
        "consumption 消费追回",
        "seed 001",
        "会员权益未生效，买家两小时前联系了商家，商家还没有答复。",
        "A membership does not work; the buyer wrote to the merchant two hours ago, without an answer so far.",
        body,
        then=(
            DemoStep(
                "merchant-response",
                "商家在期限内答复：同意退款。",
                "The merchant answers in time, and accepts.",
                {"position": "accept", "message": "已核实，同意退款"},
            ),
        ),
    )


def _chargeback(at: _Times, number: str) -> DemoClaim:
    body = _body(at.ago(hours=26), number, "chargeback", "invalid_goods", name="激活码")
    body["deliveries"] = [_delivery(at.ago(hours=25, minutes=55), number, usage="unknown", card_status="invalid")]
    body["evidence"] = [
        {"kind": "error_screenshot", "party": "buyer", "captured_at": at.ago(hours=1)},
        _chat(at.ago(minutes=50)),
    ]
    return DemoClaim(
        "chargeback 交易退单",
        "seed 002",
        "卡密无效，但买家在发货近 26 小时后才反馈，而卡密问题须在 24 小时内反馈。",
        "The card is invalid, but it is reported almost 26 hours after delivery; the window is 24 hours.",
        body,
        then=(
            DemoStep(
                "appeal",
                "买家申诉，附上发货后一小时即联系商家的录屏。",
                "The buyer appeals, with a recording of writing to the merchant an hour after delivery.",
                {
                    "message": "发货后一小时已联系商家，商家一直未处理",
                    "evidence": [{"kind": "screen_recording", "party": "buyer", "captured_at": at.ago(hours=24)}],
                },
            ),
            DemoStep(
                "ruling",
                "站点审核员采信录屏，支持退款。",
                "A person of the site believes the recording, and grants the claim.",
                {
                    "outcome": "approve",
                    "code": "evidence_convinces",
                    "text": "录屏显示买家在期限内已反馈",
                    "by": "demo-reviewer",
                },
            ),
        ),
    )


def _card_error(at: _Times, number: str) -> DemoClaim:
    body = _body(at.ago(hours=1), number, "card_error", "duplicate_charge", name="话费充值 200 元", channel="bank_card")
    again = {**body["payments"][0], "payment_no": f"P-{number}-b", "paid_at": at.ago(minutes=59, seconds=49)}
    body["payments"].append(again)
    body["deliveries"] = [_delivery(at.ago(minutes=55), number, usage="consumed")]
    return DemoClaim(
        "card_error 刷卡失误",
        "seed 003",
        "网络卡顿点了两次，同一订单被扣款两笔。",
        "A slow network, two clicks: one order was charged twice.",
        body,
        money=BY_ANOTHER_ACCOUNT,
    )


def _binghui(at: _Times, number: str) -> DemoClaim:
    body = _body(at.ago(hours=1), number, "binghui", "delivered_late", name="点卡 200 元")
    body["deliveries"] = [_delivery(at.ago(minutes=30, seconds=30), number, usage="unused")]
    return DemoClaim(
        "binghui 冰慧卡盟",
        "seed 004",
        "即时商品承诺 5 分钟内发货，实际过了近半小时才到，买家没有使用。",
        "Instant goods are promised within 5 minutes; these came after almost half an hour, and are unused.",
        body,
    )


def _body(paid_at: str, number: str, policy: str, reason: str, **goods: str) -> dict[str, Any]:
    """An order of 200.00 CNY, paid; the claim comes in now."""
    merchant_id = merchant_of(number.partition("-")[0])
    return {
        "policy": policy,
        "claim": {"reason": reason, "filed_at": datetime.now(SHANGHAI).replace(microsecond=0).isoformat()},
        "order": {
            "order_no": f"DEMO-{number}",
            "merchant_id": merchant_id,
            "buyer_id": "demo-buyer",
            "amount": PRICE,
            "currency": "CNY",
            "status": "paid",
            "placed_at": paid_at,
            "goods": {
                "sku": "demo",
                "name": goods["name"],
                "kind": goods.get("kind", "game_card"),
                "delivery_mode": "instant",
                "card_use": "single_use",
                "face_value": PRICE,
            },
        },
        "payments": [
            {
                "payment_no": f"P-{number}",
                "order_no": f"DEMO-{number}",
                "channel": goods.get("channel", "alipay"),
                "status": "succeeded",
                "amount": PRICE,
                "paid_at": paid_at,
            }
        ],
        "deliveries": [],
        "evidence": [],
        "merchant": {"merchant_id": merchant_id, "status": "active", "identity_verified": True, "deposit": 500_000},
    }


def _delivery(delivered_at: str, number: str, **more: str) -> dict[str, Any]:
    return {"delivery_no": f"D-{number}", "delivered_at": delivered_at, "face_value": PRICE, **more}


def _chat(captured_at: str) -> dict[str, Any]:
    return {"kind": "chat_log", "party": "buyer", "channel": "in_platform", "captured_at": captured_at}
