"""Bodies of what the parties do in a case."""

from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from app.api.schemas.adjudications import NOT_DELIVERED
from app.api.schemas.base import BodyIn, BodyOut, OptionalBodyIn
from app.api.schemas.cases import FiledEvidenceIn
from app.api.schemas.decision import DecisionOut
from app.api.schemas.facts import MOST_EVIDENCE
from app.api.text import Amount, FreeText, Identifier, Instant, refuse
from app.rules.escalation import Venue
from app.rules.facts import RULING_CODES, Position, Ruled, RulingCode
from app.services.parties import Because

MOST_ADDED: Final = 20
Said = Annotated[FreeText, Field(min_length=1)]
Pieces = Annotated[list[FiledEvidenceIn], Field(max_length=MOST_EVIDENCE)]


class EvidenceAddedIn(BodyIn):
    """补充证据: pieces of evidence, by whichever party."""

    evidence: Annotated[list[FiledEvidenceIn], Field(min_length=1, max_length=MOST_ADDED)] = Field(
        description="证据 · In the order in which they are to be kept."
    )


class MerchantAnswerIn(BodyIn):
    """商家答复: what the merchant says to the claim."""

    position: Position = Field(description="立场 · Accept, contest, or offer a re-issue.")
    message: FreeText | None = Field(default=None, description="说明 · For the buyer and for whoever rules.")
    evidence: Pieces = Field(default=[], description="商家证据 · The merchant's own; it weighs as anybody's does.")


class RulingGivenIn(BodyIn):
    """人工裁定: what a person decides, and why."""

    outcome: Ruled = Field(description="裁定结果.")
    code: RulingCode = Field(description="裁定理由 · Each belongs to one outcome; `other` to both.")
    text: Said = Field(description="裁定说明 · In words, kept and shown.")
    amount: Amount | None = Field(
        default=None, description="支持金额（分） · Left out: all that can be granted. Not with a refusal."
    )
    by: Identifier = Field(description="裁定人 · The site's own id of the person.")

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        if self.code not in RULING_CODES[self.outcome]:
            raise refuse(
                "code_of_the_other_outcome", en="This code is for the other outcome.", zh="该理由属于另一裁定结果。"
            )
        if self.outcome is Ruled.REJECT and self.amount is not None:
            raise refuse("amount_of_a_refusal", en="A refusal grants no amount.", zh="驳回不附金额。")
        return self


class AppealIn(BodyIn):
    """申诉: why, and what is new."""

    message: Said = Field(description="申诉理由.")
    evidence: Pieces = Field(default=[], description="新证据 · At least one piece that was not put forward before.")


class WithdrawalIn(OptionalBodyIn):
    """撤回."""

    because: Because = Field(
        default=Because.CHANGED_MIND,
        description="撤回原因 · `reissue_accepted` takes the merchant's offer to deliver again.",
    )
    note: FreeText | None = Field(default=None, description="说明.")


class EscalationIn(BodyIn):
    """升级: where the case was taken."""

    venue: Venue = Field(description="途径.")
    reference: Identifier | None = Field(default=None, description="对方受理编号 · Theirs.")
    raised_at: Instant | None = Field(default=None, description="提起时间 · When; left out: now.")
    note: FreeText | None = Field(default=None, description="说明.")
    by: Identifier | None = Field(default=None, description="由谁提起 · Left out: the buyer.")


class NumberedDecisionOut(BodyOut):
    """裁定及其序号."""

    n: int = Field(description="序号 · From 1, in the order in which they were made.")
    decision: DecisionOut = Field(description="裁定.")


class DecisionsOut(BodyOut):
    """案件的全部裁定."""

    data: list[NumberedDecisionOut] = Field(description="裁定 · The first one first; none is ever changed.")


# About no order in particular, so that it counts in whichever case of the sandbox it is tried.
_CHAT: Final[dict[str, Any]] = {
    name: value for name, value in NOT_DELIVERED["evidence"][0].items() if name != "order_no"
}
_SHOT: Final = {
    **{name: value for name, value in _CHAT.items() if name != "channel"},
    "kind": "error_screenshot",
    "file": {"name": "错误提示.png", "media_type": "image/png", "size": 183204},
}

EVIDENCE_EXAMPLES: Final[dict[str, Any]] = {
    "chat_log": {"summary": "站内沟通记录 · A chat log on the site", "value": {"evidence": [_CHAT]}},
    "with_file": {
        "summary": "附文件，随后上传 · With a file that follows",
        "value": {"evidence": [_SHOT]},
    },
}
RESPONSE_EXAMPLES: Final[dict[str, Any]] = {
    "accept": {"summary": "同意退款 · The merchant accepts", "value": {"position": "accept", "message": "同意退款"}},
    "contest": {
        "summary": "有异议 · The merchant contests",
        "value": {
            "position": "contest",
            "message": "已按约定发货",
            "evidence": [{**_CHAT, "party": "merchant", "supports": "merchant"}],
        },
    },
    "offer_reissue": {"summary": "提出补发 · An offer to deliver again", "value": {"position": "offer_reissue"}},
}
RULING_EXAMPLES: Final[dict[str, Any]] = {
    "approve": {
        "summary": "支持 · Granted",
        "value": {"outcome": "approve", "code": "evidence_convinces", "text": "录屏显示卡密无法激活", "by": "op-3"},
    },
    "reject": {
        "summary": "驳回 · Refused",
        "value": {"outcome": "reject", "code": "evidence_insufficient", "text": "截图未显示订单号", "by": "op-3"},
    },
}
APPEAL_EXAMPLES: Final[dict[str, Any]] = {
    "appeal": {
        "summary": "附第三方佐证 · With a third party's statement",
        "value": {
            "message": "游戏官方确认未到账",
            "evidence": [
                {
                    "kind": "third_party_statement",
                    "party": "third_party",
                    "captured_at": _CHAT["captured_at"],
                    "supports": "buyer",
                }
            ],
        },
    }
}
WITHDRAWAL_EXAMPLES: Final[dict[str, Any]] = {
    "resolved": {"summary": "已解决 · Resolved", "value": {"because": "resolved"}},
    "reissue_accepted": {"summary": "接受补发 · The re-issue is accepted", "value": {"because": "reissue_accepted"}},
}
ESCALATION_EXAMPLES: Final[dict[str, Any]] = {
    "complaint": {
        "summary": "已向 12315 投诉 · A complaint to 12315",
        "value": {"venue": "complaint_12315", "reference": "12315-2026-000123"},
    }
}
