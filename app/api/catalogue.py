"""`GET /v1/reasons`, `/v1/rules`, `/v1/policies`: what the service knows, in both languages."""

from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.api.answers import json_answer
from app.api.dependencies import AnyCaller, Transaction, refuse_unknown_parameters
from app.api.schemas.catalogue import PoliciesOut, ReasonsOut, RulesOut
from app.rules.calendar import STATUTORY
from app.rules.catalogue import RULES, STAGE_NAMES
from app.rules.decision import ENGINE, instant
from app.rules.facts import Reason
from app.rules.findings import Rule
from app.rules.lengths import duration_text
from app.rules.policy import Policy
from app.rules.presets import PRESETS
from app.rules.reasons import REASONS
from app.rules.windows import window_terms
from app.services.policies import active_policy
from app.store.sites import SiteStore

router = APIRouter(prefix="/v1", tags=["catalogue"], dependencies=[Depends(refuse_unknown_parameters)])


@router.get("/reasons", summary="退款事由目录 · Reasons", response_model=ReasonsOut)
async def reasons(caller: AnyCaller, connection: Transaction) -> Response:
    """Every reason with its fault, evidence and window under the site's active policy. 退款事由及其证据与期限。"""
    policy = await active_policy(SiteStore(connection, caller.site.site_id), caller.now)
    data = [_reason(reason, policy) for reason in Reason]
    return json_answer({"policy": _version(policy), "data": data})


@router.get("/rules", summary="规则目录 · Rules", response_model=RulesOut)
async def rules(_: AnyCaller) -> Response:
    """Every rule in the order in which claims are judged, and until when the calendar is known. 全部规则。"""
    calendar = {"known_until": STATUTORY.known_until.isoformat()}
    return json_answer({"engine": ENGINE, "calendar": calendar, "data": [_rule(rule) for rule in RULES]})


@router.get("/policies", summary="退款规则 · Policies", response_model=PoliciesOut)
async def policies(caller: AnyCaller, connection: Transaction) -> Response:
    """The presets, every clause with its source, and which one is active for the site. 预设规则。"""
    active = await active_policy(SiteStore(connection, caller.site.site_id), caller.now)
    return json_answer({"active": _version(active), "data": [_policy(policy) for policy in PRESETS.values()]})


def _version(policy: Policy) -> dict[str, Any]:
    return {"name": policy.name, "version": policy.version}


def _reason(reason: Reason, policy: Policy) -> dict[str, Any]:
    terms, window = REASONS[reason], window_terms(reason, policy)
    return {
        "reason": reason.value,
        "zh": terms.zh,
        "en": terms.en,
        "fault": terms.fault.value,
        "primary_evidence": None if terms.primary is None else terms.primary.value,
        "required_evidence": [kind.value for kind in policy.evidence.required[reason]],
        "report_window": None if window is None else duration_text(window.length),
        "window_from": None if window is None else window.counted_from,
        "source": terms.source,
    }


def _rule(rule: Rule) -> dict[str, Any]:
    zh, en = STAGE_NAMES[rule.stage]
    return {
        "rule": rule.id,
        "stage": rule.stage.name.lower(),
        "stage_zh": zh,
        "stage_en": en,
        "effect": rule.effect.value,
        "when_zh": rule.when_zh,
        "when_en": rule.when_en,
        "reasons": None if rule.reasons is None else [reason.value for reason in Reason if reason in rule.reasons],
        "source": rule.source,
    }


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        **_version(policy),
        "title_zh": policy.title_zh,
        "title_en": policy.title_en,
        "effective_from": instant(policy.effective_from),
        "sha256": policy.sha256,
        "clauses": policy.document["clauses"],
        "evidence_required": policy.document["evidence_required"],
        "sources": dict(policy.sources),
    }
