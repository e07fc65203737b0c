"""Signals about good faith, and how a buyer stands."""

from typing import Any

from pydantic import Field

from app.api.schemas.base import BodyOut
from app.api.schemas.decision import PolicyOut
from app.api.schemas.flags import QueryFlag
from app.api.schemas.pages import PageQuery
from app.api.text import Identifier
from app.rules.signals import SignalKind, Subject


class SignalOut(BodyOut):
    """信号: what the records showed about a buyer's or a merchant's good faith. It blocks nobody."""

    id: str = Field(description="信号编号.")
    subject: Subject = Field(description="信号对象.")
    subject_id: str = Field(description="对象编号 · The site's own id of the buyer or the merchant.")
    kind: SignalKind = Field(description="信号类型.")
    zh: str = Field(description="中文名称.")
    en: str = Field(description="英文名称 · Its name in English.")
    rule: str = Field(description="规则 · Which saw it; for `high_refund_rate` the policy's clause.")
    case_id: str = Field(description="案件编号 · In which it was seen.")
    order_no: str | None = Field(description="订单号.")
    facts: dict[str, Any] = Field(description="依据 · What was seen.")
    strike: bool = Field(description="是否失信记录 · Only buyers have strikes.")
    active: bool = Field(description="是否有效 · Neither expired nor revoked.")
    counts: bool = Field(description="是否计入 · An active strike: it counts towards the policy's limit.")
    seen_at: str = Field(description="发现时间.")
    expires_at: str = Field(description="失效时间.")
    revoked_at: str | None = Field(description="撤销时间 · When a person's ruling went against the rule that saw it.")


class SignalPageOut(BodyOut):
    """信号列表, newest first."""

    data: list[SignalOut] = Field(description="信号列表.")
    next_cursor: str | None = Field(description="下一页游标 · null on the last page.")


class SignalQuery(PageQuery):
    """Which signals to list."""

    subject: Subject | None = Field(default=None, description="信号对象 · Of buyers, or of merchants.")
    id: Identifier | None = Field(default=None, description="对象编号 · Of one of them; takes `subject`.")
    kind: SignalKind | None = Field(default=None, description="信号类型.")
    active: QueryFlag | None = Field(
        default=None, description="是否有效 · true: neither expired nor revoked; false: one of these."
    )


class BuyerStandingOut(BodyOut):
    """买家信用: what counts against a buyer now, and whether it stops the automatic approval."""

    buyer_id: str = Field(description="买家编号.")
    strikes: int = Field(description="失信次数 · Those that count now.")
    limit: int = Field(description="上限 · `strikes_limit` of the site's active policy.")
    automatic_approval: bool = Field(
        description="是否可自动通过 · false: the limit is reached, and a person looks at what would be approved."
    )
    policy: PolicyOut = Field(
        description="所依据的规则版本 · The active one; an order is judged by the one that it was placed under."
    )
    as_of: str = Field(description="时间.")
    signals: list[SignalOut] = Field(description="失信记录 · Those that count, newest first; at most 100.")


class SignalKindOut(BodyOut):
    """信号类型: when it is seen, by which rules, and what makes it a strike."""

    kind: SignalKind = Field(description="信号类型.")
    subject: Subject = Field(description="信号对象.")
    zh: str = Field(description="中文名称.")
    en: str = Field(description="英文名称 · Its name in English.")
    when_zh: str = Field(description="出现条件.")
    when_en: str = Field(description="出现条件（英文） · When it is seen.")
    rules: list[str] = Field(description="规则 · Those that see it, or the policy's clause.")
    strikes: list[str] = Field(description="计为失信的规则 · What these see may be a strike.")
    source: str = Field(description="出处 · Where it comes from.")


class SignalKindsOut(BodyOut):
    """All kinds of signals (信号目录)."""

    data: list[SignalKindOut] = Field(description="列表.")
