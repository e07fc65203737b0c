"""Stage 2: whether the claim is one that can be judged at all."""

from collections.abc import Iterator

from app.rules.checks.balance import NOTHING_TO_REFUND
from app.rules.checks.records import kept_charge
from app.rules.facts import EvidenceKind, Party, Reason, Remedy, Via
from app.rules.findings import Effect, Fen, Finding, Outcome, Rule, Stage, Value
from app.rules.policy import Strictness
from app.rules.reasons import PARTIAL_BY_NATURE, REASONS
from app.rules.standing import Standing

REMEDY_MUST_BE_REFUND = Rule(
    "remedy-must-be-refund",
    Stage.FORM,
    Effect.BLOCKS,
    "seed 002 §四.2",
    en="The claim asks for a return and a refund; virtual goods cannot be returned, so only a refund can be asked for.",
    zh="申请的是「退货退款」；虚拟商品无法退货，只能申请「仅退款」。",
    when_en="the claim asks for a return of virtual goods",
    when_zh="对虚拟商品申请退货",
    looks_at=("remedy",),
)
OUTSIDE_THE_PLATFORM = Rule(
    "outside-the-platform",
    Stage.FORM,
    Effect.BLOCKS,
    "seed 002 §四.1",
    en="The claim was settled in private; only a claim filed on the platform can be supervised and decided here.",
    zh="该申请走的是私下协商；只有通过平台渠道提交的申请才能受监管并在此裁定。",
    when_en="the claim was made outside the platform",
    when_zh="申请未通过平台渠道提交",
    looks_at=("via",),
)
DUPLICATES_WENT_BACK = Rule(
    "duplicates-went-back",
    Stage.FORM,
    Effect.BLOCKS,
    "seed 000 §二 第三步",
    en="Every charge of this order but {kept} went back already; what is left ({balance}) pays for the order.",
    zh="该订单除 {kept} 外的扣款均已退回；余下的 {balance}是订单本身的货款。",
    when_en="of several charges, all but one went back already",
    when_zh="多笔扣款中除一笔外均已退回",
    reasons=frozenset({Reason.DUPLICATE_CHARGE}),
    looks_at=("succeeded_payments", "balance"),
)
AMOUNT_EXCEEDS_PAID = Rule(
    "amount-exceeds-paid",
    Stage.FORM,
    Effect.BLOCKS,
    "seed 000 §二 第二步",
    en="The claim asks for {claimed}, but what was paid, less what already went back, is {balance}: {excess} too much.",
    zh="申请退款 {claimed}，而已付减已退的余额为 {balance}，多出 {excess}。",
    when_en="the claim asks for more than the balance",
    when_zh="申请金额超过余额",
    looks_at=("claimed", "balance"),
)
AMOUNT_DIFFERS = Rule(
    "amount-differs-from-order",
    Stage.FORM,
    Effect.BLOCKS,
    "seed 002 §四.2; seed 004 §二 步骤2",
    en="The claim asks for {claimed}, {shortfall} less than the balance of {balance}; this reason calls for all of it.",
    zh="申请退款 {claimed}，比余额 {balance}少 {shortfall}；该事由应退全额。",
    when_en="the claim asks for a part where the reason calls for the whole balance, and the policy does not allow it",
    when_zh="事由应退全额却只申请一部分，且规则不允许部分退款",
    reasons=frozenset(set(Reason) - PARTIAL_BY_NATURE),
    looks_at=("claimed", "balance"),
)
REASON_EVIDENCE_MISMATCH = Rule(
    "reason-evidence-mismatch",
    Stage.FORM,
    Effect.BLOCKS,
    "seed 002 §二.3 关键细节",
    en="The reason given is “{reason}”, which rests on {primary}; none was put forward, and {found} belongs to the "
    "reason “{suggested}”.",
    zh="申请事由为「{reason}」，应以{primary}为主要证据，但未提交；已提交的{found}对应的事由是「{suggested}」。",
    when_en="the reason's primary evidence is absent, and a piece is there that is primary to another reason",
    when_zh="缺少该事由的主要证据，而提交了另一事由的主要证据",
    reasons=frozenset(reason for reason, terms in REASONS.items() if terms.primary is not None),
    looks_at=("evidence_put_forward",),
)
RULES = (
    REMEDY_MUST_BE_REFUND,
    OUTSIDE_THE_PLATFORM,
    NOTHING_TO_REFUND,
    DUPLICATES_WENT_BACK,
    AMOUNT_EXCEEDS_PAID,
    AMOUNT_DIFFERS,
    REASON_EVIDENCE_MISMATCH,
)

_PARTIAL_OUTCOMES = {Strictness.REJECT: Outcome.REJECT, Strictness.MANUAL_REVIEW: Outcome.MANUAL_REVIEW}


def form(standing: Standing) -> Iterator[Finding]:
    """Everything that is wrong with the claim as it was written."""
    claim = standing.claim
    if claim.remedy is Remedy.RETURN_AND_REFUND:
        yield Finding(REMEDY_MUST_BE_REFUND, Outcome.REJECT, {"remedy": claim.remedy})
    if claim.via is Via.PRIVATE:
        yield Finding(OUTSIDE_THE_PLATFORM, Outcome.REJECT, {"via": claim.via})
    yield from _amount(standing)
    suggested = suggested_reason(standing)
    if suggested is not None:
        yield _mismatch(standing, suggested)


def _amount(standing: Standing) -> Iterator[Finding]:
    claimed, balance = standing.claim.amount, standing.balance
    if balance == 0:
        yield Finding(NOTHING_TO_REFUND, Outcome.REJECT, {"balance": Fen(0)})
    elif _duplicates_went_back(standing):
        facts: dict[str, Value] = {"balance": Fen(balance), "kept": kept_charge(standing)}
        yield Finding(DUPLICATES_WENT_BACK, Outcome.REJECT, facts)
    elif claimed is not None and claimed != balance:
        yield from _other_amount(standing, claimed, balance)


def _other_amount(standing: Standing, claimed: int, balance: int) -> Iterator[Finding]:
    facts: dict[str, Value] = {"claimed": Fen(claimed), "balance": Fen(balance)}
    if claimed > balance:
        yield Finding(AMOUNT_EXCEEDS_PAID, Outcome.REJECT, {**facts, "excess": Fen(claimed - balance)})
        return
    outcome = _PARTIAL_OUTCOMES.get(standing.policy.partial_claims)
    if outcome is not None and AMOUNT_DIFFERS.concerns(standing.reason):
        yield Finding(AMOUNT_DIFFERS, outcome, {**facts, "shortfall": Fen(balance - claimed)})


def _duplicates_went_back(standing: Standing) -> bool:
    """Whether only the charge that pays for the order is left."""
    if standing.reason is not Reason.DUPLICATE_CHARGE or len(standing.succeeded) < 2:
        return False
    return sum(payment.remaining > 0 for payment in standing.succeeded) < 2


def suggested_reason(standing: Standing) -> Reason | None:
    """The reason that the buyer's evidence belongs to, where it does not belong to the one that was given."""
    primary = REASONS[standing.reason].primary
    put_forward = {piece.kind for piece in standing.facts.evidence}
    if primary is None or not put_forward or primary in put_forward:
        return None
    required = standing.policy.evidence.required[standing.reason]
    stray = {
        piece.kind for piece in standing.facts.evidence if piece.party is Party.BUYER and piece.kind not in required
    }
    return next((reason for reason, terms in REASONS.items() if terms.primary in stray), None)


def _mismatch(standing: Standing, suggested: Reason) -> Finding:
    primary, found = REASONS[standing.reason].primary, REASONS[suggested].primary
    assert isinstance(primary, EvidenceKind)
    assert isinstance(found, EvidenceKind)
    facts: dict[str, Value] = {"reason": standing.reason, "primary": primary, "found": found, "suggested": suggested}
    return Finding(REASON_EVIDENCE_MISMATCH, Outcome.REJECT, facts)
