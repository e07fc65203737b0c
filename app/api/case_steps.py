"""What the parties do in a case: each call is one step, and answers with the case as it stands then."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path
from starlette.responses import Response

from app.api.answers import entity_tag, json_answer
from app.api.cases import EXAMPLE_ID, example_id, put_forward
from app.api.dependencies import (
    CasesCaller,
    ExpectedVersion,
    Once,
    Settings,
    Transaction,
    once,
    refuse_unknown_parameters,
)
from app.api.schemas.case_steps import (
    APPEAL_EXAMPLES,
    ESCALATION_EXAMPLES,
    EVIDENCE_EXAMPLES,
    RESPONSE_EXAMPLES,
    RULING_EXAMPLES,
    WITHDRAWAL_EXAMPLES,
    AppealIn,
    DecisionsOut,
    EscalationIn,
    EvidenceAddedIn,
    MerchantAnswerIn,
    RulingGivenIn,
    WithdrawalIn,
)
from app.api.schemas.cases import CaseOut, FiledEvidenceIn
from app.api.strict_route import StrictRoute
from app.config import Config
from app.ids import read
from app.models.closed_sets import Scope
from app.services import parties
from app.services.assembling import PutForward
from app.services.cases import decisions_of
from app.services.example_cases import (
    AWAITING_EVIDENCE,
    AWAITING_MERCHANT,
    IN_REVIEW,
    TO_APPEAL,
    TO_ESCALATE,
    TO_WITHDRAW,
)
from app.services.ruling import Wish, rule
from app.services.showing import CASE, case_document
from app.services.steps import Target
from app.store.case_rows import CaseView
from app.store.cases import CaseStore

router = APIRouter(
    prefix="/v1/cases/{case_id}",
    tags=["cases"],
    route_class=StrictRoute,
    dependencies=[Depends(refuse_unknown_parameters)],
)

ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "案件 · The case as it stands now",
        "headers": {"ETag": {"description": "版本标签 · The version, for `If-Match`.", "schema": {"type": "string"}}},
    },
    409: {"description": "当前状态不允许 · Not allowed now; the answer says what is"},
}


@dataclass(frozen=True, slots=True)
class Stepping:
    """One step of one case, taken once for each idempotency key."""

    cases: CaseStore
    target: Target
    request: Once
    config: Config

    def put_forward(self, pieces: Sequence[FiledEvidenceIn]) -> tuple[PutForward, ...]:
        """Evidence with the files that it announces."""
        return put_forward(pieces, self.request.caller.now, self.config)

    async def take(self, step: Callable[[CaseStore, Target], Awaitable[CaseView]]) -> Response:
        """The answer: the case as it stands after the step."""
        if self.request.replay is not None:
            return self.request.replay
        view = await step(self.cases, self.target)
        return await self.request.answer(case_document(view), 200, {"ETag": entity_tag(view.case.version)})


CaseId = Annotated[str, Path(description="案件编号.", openapi_examples=EXAMPLE_ID)]


def _stepping(example: UUID, scope: Scope = Scope.CASES, *, required: bool = False) -> Any:
    """The dependency of a step. `example`: a case of the sandbox that is in a state for it."""

    async def stepping(
        case_id: Annotated[str, Path(description="案件编号.", openapi_examples=example_id(example))],
        connection: Transaction,
        request: Annotated[Once, Depends(once(scope, required=required))],
        expected: ExpectedVersion,
        config: Settings,
    ) -> Stepping:
        cases = CaseStore(connection, request.caller.site.site_id)
        return Stepping(cases, Target(read(CASE, case_id), expected), request, config)

    return Depends(stepping)


@router.post("/evidence", summary="补充证据 · Add evidence", response_model=CaseOut, responses=ANSWERS)
async def add_evidence(
    body: Annotated[EvidenceAddedIn, Body(openapi_examples=EVIDENCE_EXAMPLES)],
    stepping: Annotated[Stepping, _stepping(AWAITING_EVIDENCE)],
) -> Response:
    """More evidence by any party, while the case is undecided; it is judged anew on all that is known then.

    任何一方补充证据，随后按全部已知事实重新裁定。A piece that announces a file gets an address for its bytes
    (`evidence[].file.upload`), and counts once they are there.
    """
    evidence = stepping.put_forward(body.evidence)
    return await stepping.take(lambda cases, target: parties.supply_evidence(cases, target, evidence))


@router.post(
    "/merchant-response", summary="商家答复 · The merchant's answer", response_model=CaseOut, responses=ANSWERS
)
async def answer_as_merchant(
    body: Annotated[MerchantAnswerIn, Body(openapi_examples=RESPONSE_EXAMPLES)],
    stepping: Annotated[Stepping, _stepping(AWAITING_MERCHANT, required=True)],
) -> Response:
    """Accept, contest, or offer to deliver again, until the merchant's turn ends; the end itself is still in time.

    商家同意、提出异议或提出补发。同意即退款；有异议时由记录或人工定论；补发经买家接受（撤回并注明
    `because: reissue_accepted`）后结案。
    """
    evidence = stepping.put_forward(body.evidence)
    return await stepping.take(
        lambda cases, target: parties.respond(cases, target, body.position, body.message, evidence)
    )


@router.post("/ruling", summary="人工裁定 · A person's ruling", response_model=CaseOut, responses=ANSWERS)
async def rule_case(
    body: Annotated[RulingGivenIn, Body(openapi_examples=RULING_EXAMPLES)],
    stepping: Annotated[Stepping, _stepping(IN_REVIEW, Scope.RULE, required=True)],
) -> Response:
    """Decide a case that waits for a person (`in_review`, `appealed`), within what the claim asks for and is left.

    人工裁定待审核的案件。Above the amount that the policy names, a second person has to give the same ruling; until
    then the first one's waits (`acts`: `ruling_proposal`). 超过规则约定金额时须由另一人作出相同裁定。
    """
    wish = Wish(body.outcome, body.code, body.text, body.amount, body.by)
    return await stepping.take(lambda cases, target: rule(cases, target, wish))


@router.post("/appeal", summary="申诉 · Appeal", response_model=CaseOut, responses=ANSWERS)
async def appeal_case(
    body: Annotated[AppealIn, Body(openapi_examples=APPEAL_EXAMPLES)],
    stepping: Annotated[Stepping, _stepping(TO_APPEAL)],
) -> Response:
    """Once, within the window after a rejection, with new evidence. The rules may grant it; else a person answers.

    驳回后期限内可申诉一次，须附新证据；规则可直接支持，否则由人工答复。
    """
    evidence = stepping.put_forward(body.evidence)
    return await stepping.take(lambda cases, target: parties.appeal(cases, target, body.message, evidence))


@router.post("/withdraw", summary="撤回 · Withdraw", response_model=CaseOut, responses=ANSWERS)
async def withdraw_case(
    stepping: Annotated[Stepping, _stepping(TO_WITHDRAW)],
    body: Annotated[WithdrawalIn | None, Body(openapi_examples=WITHDRAWAL_EXAMPLES)] = None,
) -> Response:
    """The buyer gives the claim up before it is decided, or takes the merchant's offer to deliver again instead.

    买家在裁定前撤回申请，或接受商家补发。
    """
    wanted = body or WithdrawalIn()
    return await stepping.take(lambda cases, target: parties.withdraw(cases, target, wanted.because, wanted.note))


@router.post("/escalate", summary="升级 · Escalate", response_model=CaseOut, responses=ANSWERS)
async def escalate_case(
    body: Annotated[EscalationIn, Body(openapi_examples=ESCALATION_EXAMPLES)],
    stepping: Annotated[Stepping, _stepping(TO_ESCALATE)],
) -> Response:
    """Keep as a fact that the case was taken to the payment channel, to 12315 or to a court.

    记录案件已升级至支付渠道、12315 或法院。`beyond_the_site` names what is open until when; the status stays.
    """
    wanted = parties.Escalation(body.venue, body.reference, body.raised_at, body.note, body.by)
    return await stepping.take(lambda cases, target: parties.escalate(cases, target, wanted))


@router.get("/decisions", summary="全部裁定 · All decisions of a case", response_model=DecisionsOut)
async def read_decisions(
    case_id: CaseId,
    connection: Transaction,
    caller: CasesCaller,
) -> Response:
    """Every decision that was made in the case, the first one first: none is ever changed. 历次裁定，从不修改。"""
    decisions = await decisions_of(read(CASE, case_id), CaseStore(connection, caller.site.site_id))
    return json_answer({"data": decisions})
