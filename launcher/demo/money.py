"""The way of the money: what the channel's adapter reports of a refund, and what a person does where it stops."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the channel's adapter has to say: `POST /v1/refunds/{refund_id}/result`."""

    state: str
    story_zh: str
    story_en: str
    failure: dict[str, str] | None = None

    def body(self, refund: dict[str, Any]) -> dict[str, Any]:
        """The report on this refund, of this moment. The channel has given it a number once it has it."""
        said = {"amount": refund["amount"], "currency": refund["currency"], "at": datetime.now(UTC).isoformat()}
        number = {} if self.state == "accepted" else {"channel_refund_no": f"5030{refund['refund_no'][2:18]}"}
        failure = {} if self.failure is None else {"failure": self.failure}
        return {"state": self.state, **said, **number, **failure}


@dataclass(frozen=True, slots=True)
class DemoRetry:
    """What a person of the site decides where a refund has stopped: `POST /v1/refunds/{refund_id}/retry`."""

    story_zh: str
    story_en: str
    account: dict[str, str]

    def body(self) -> dict[str, Any]:
        """The decision, with the buyer's consent of this moment."""
        return {"by": "demo-cashier", "other_account": {**self.account, "consented_at": datetime.now(UTC).isoformat()}}


DemoMove = DemoReport | DemoRetry

ACCEPTED = DemoReport(
    "accepted",
    "渠道适配器验签、存下指令并受理。",
    "The channel's adapter verifies the instruction, stores it and takes it on.",
)
PROCESSING = DemoReport("processing", "支付渠道已受理。", "The payment channel has it.")
SUCCEEDED = DemoReport("succeeded", "渠道答复：款项已退回。", "The channel says that the money is back.")
SAID_AGAIN = DemoReport(
    "succeeded",
    "适配器没有收到答复，把同一结果再报一次：不产生任何影响。",
    "The adapter did not hear our answer and says it again: no harm done.",
)
ACCOUNT_GONE = DemoReport(
    "abnormal",
    "渠道答复：付款的银行卡已注销，退不进去，需要人工处理。",
    "The channel says that the card which paid is closed: somebody has to act.",
    {"code": "account_gone", "message": "原银行卡已注销"},
)
TO_ANOTHER_ACCOUNT = DemoRetry(
    "买家同意改退到另一张卡，客服记录该同意并让退款继续：退款单号不变，不会重复付款。",
    "The buyer agrees to another card; a person records that and lets the refund go on, under the same number, so that"
    " nothing is paid twice.",
    {"account_ref": "demo-account-2", "display": "招商银行 尾号 1234", "consent": "站内聊天记录，买家确认"},
)

STRAIGHT: tuple[DemoMove, ...] = (ACCEPTED, PROCESSING, SUCCEEDED, SAID_AGAIN)
BY_ANOTHER_ACCOUNT: tuple[DemoMove, ...] = (ACCEPTED, ACCOUNT_GONE, TO_ANOTHER_ACCOUNT, ACCEPTED, SUCCEEDED)
