"""What waits for a person, as it is listed."""

from typing import Literal

from pydantic import Field

from app.api.schemas.base import BodyOut
from app.api.schemas.cases import CaseSummaryOut
from app.api.schemas.flags import QueryFlag
from app.api.schemas.pages import PageQuery
from app.api.text import Identifier
from app.rules.facts import Reason, Ruled, RulingCode


class ProposalOut(BodyOut):
    """待第二人确认的裁定: one person's ruling that takes another person to stand."""

    outcome: Ruled = Field(description="裁定结果.")
    code: RulingCode = Field(description="裁定理由.")
    text: str = Field(description="裁定说明.")
    amount: int | None = Field(description="支持金额（分） · null with a refusal.")
    by: str | None = Field(description="提出人 · The site's own id of the person.")
    at: str = Field(description="提出时间.")


class ReviewOut(BodyOut):
    """待人工处理的案件."""

    case: CaseSummaryOut = Field(description="案件.")
    task: Literal["ruling", "repair"] = Field(
        description="待办事项 · `ruling`: decide the claim; `repair`: a refund has stopped, see `POST …/retry`."
    )
    promised_by: str = Field(description="承诺时限 · The end of the case's `review`, or of `money_back` for a repair.")
    overdue: bool = Field(description="是否逾期 · The promise is over; its last instant is still in time.")
    waiting_since: str | None = Field(description="开始等待时间 · When the person's turn began.")
    amount_at_stake: int | None = Field(
        description="涉及金额（分） · The most that a ruling could grant: what the claim asks for, as far as it was "
        "paid and was left when the case was last judged. null: it was not judged yet."
    )
    decisive_rule: str | None = Field(description="决定性规则 · Why a person is needed: the latest decision's rule.")
    proposal: ProposalOut | None = Field(
        description="待确认的裁定 · A ruling that waits for a second person; null: none."
    )


class ReviewPageOut(BodyOut):
    """待办队列, the oldest promise first."""

    data: list[ReviewOut] = Field(description="待办列表.")
    next_cursor: str | None = Field(description="下一页游标 · null on the last page.")


class ReviewQuery(PageQuery):
    """Which of them to list."""

    merchant: Identifier | None = Field(default=None, description="商家编号.")
    reason: Reason | None = Field(default=None, description="退款事由.")
    overdue: QueryFlag | None = Field(
        default=None, description="是否逾期 · true: only what is overdue; false: only what is not; left out: both."
    )
