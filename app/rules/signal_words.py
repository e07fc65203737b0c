"""Every kind of signal in words: when it is seen, by which rules, and which of those make it a strike."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from app.rules.checks import records
from app.rules.checks.contradictions import CARD_VALID, USED_AFTER_DELIVERY
from app.rules.checks.good_faith import ABUSE_SUSPECTED
from app.rules.checks.merchant_turn import MERCHANT_SILENT
from app.rules.findings import Rule
from app.rules.reasons import MERCHANT_FAULT
from app.rules.signals import ARRIVED, REFUND_RATE_LIMIT, WAS_USED, SignalKind, Subject


@dataclass(frozen=True, slots=True)
class SignalWords:
    """A kind of signal. `rules` see it, ids of rules or the clause; what those among `strikes` see may be a strike."""

    subject: Subject
    zh: str
    en: str
    when_zh: str
    when_en: str
    rules: tuple[str, ...]
    strikes: frozenset[str]
    source: str


def _of(
    subject: Subject, rules: tuple[str, ...], source: str, *, strikes: tuple[Rule, ...] = (), **said: str
) -> SignalWords:
    return SignalWords(subject=subject, rules=rules, source=source, strikes=frozenset(_ids(strikes)), **said)


def _ids(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    return tuple(rule.id for rule in rules)


_CONFIRMS_A_FAULT = tuple(rule for rule in records.RULES if any(rule.concerns(reason) for reason in MERCHANT_FAULT))

SIGNALS: Mapping[SignalKind, SignalWords] = MappingProxyType(
    {
        SignalKind.CONTRADICTED_BY_LOG: _of(
            Subject.BUYER,
            _ids((*ARRIVED, CARD_VALID)),
            "seed 000 §二 第五步",
            strikes=ARRIVED,
            zh="申请与记录不符",
            en="contradicted by the log",
            when_zh="申请被驳回：记录显示买家提出问题时商品已全部到账，或卡密校验有效（卡密可能只是输错，不计失信）",
            when_en="rejected: by the log all had arrived when the buyer complained, or the card is valid (no strike: "
            "it may have been mistyped)",
        ),
        SignalKind.CLAIM_AFTER_USE: _of(
            Subject.BUYER,
            _ids(WAS_USED),
            "seed 004 §四.2; seed 004 §一 不可退款",
            strikes=(USED_AFTER_DELIVERY,),
            zh="使用后申请退款",
            en="claimed after use",
            when_zh="申请被驳回：记录显示买家提出问题之前已使用商品；若全部使用后仍称卡密无效，计为失信",
            when_en="rejected: by the records the buyer used goods before complaining; a strike where all were used, "
            "and called dead",
        ),
        SignalKind.FILE_REUSED: _of(
            Subject.BUYER,
            _ids((ABUSE_SUSPECTED,)),
            "seed 004 §四.2",
            strikes=(ABUSE_SUSPECTED,),
            zh="重复使用证据文件",
            en="a file put forward again",
            when_zh="买家提交的文件曾用于其他订单的案件，无论裁定结果如何",
            when_en="a file of the buyer's was put forward in another order's case, whatever the outcome",
        ),
        SignalKind.SILENT: _of(
            Subject.MERCHANT,
            _ids((MERCHANT_SILENT,)),
            "seed 001 §二.2",
            zh="商家逾期未答复",
            en="no answer in time",
            when_zh="因商家未按时答复而支持退款",
            when_en="approved because the merchant gave no answer in time",
        ),
        SignalKind.CONTEST_CONTRADICTED: _of(
            Subject.MERCHANT,
            _ids(_CONFIRMS_A_FAULT),
            "seed 001 §三",
            zh="商家异议与记录不符",
            en="an objection that the records refute",
            when_zh="商家对其责任提出异议，而记录证实申请并据此支持退款",
            when_en="the merchant objected to its fault, and the claim was approved because the records confirm it",
        ),
        SignalKind.CARD_SOLD_TWICE: _of(
            Subject.MERCHANT,
            _ids((records.CARD_SOLD_TWICE,)),
            "seed 002 §一; seed 002 §五",
            zh="一卡多售",
            en="a card sold twice",
            when_zh="一次性卡密被用于多个订单，无论裁定结果如何",
            when_en="a single-use card was given out in more than one order, whatever the outcome",
        ),
        SignalKind.HIGH_REFUND_RATE: _of(
            Subject.MERCHANT,
            (REFUND_RATE_LIMIT,),
            "seed 001 §四",
            zh="退款率过高",
            en="a high rate of refunds",
            when_zh="规则所定期间内，因商家责任支持退款的案件占其订单的比例达到上限，且订单数足够",
            when_en="within the policy's period, cases approved for the merchant's fault reach the policy's share of "
            "its orders, and there are enough of these",
        ),
    }
)
