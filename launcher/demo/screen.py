"""What a person sees: the claim, the decision with its reasons, the webhooks, the way of the money."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from launcher.demo.claims import DemoClaim, DemoStep
from launcher.demo.money import DemoReport, DemoRetry
from launcher.demo.receiver import Received
from launcher.demo.wrapping import cells, padded, wrapped

WIDTH = 100
LABEL = 16
OUTCOMES = {
    "approve": ("通过", "32;1"),
    "reject": ("驳回", "31;1"),
    "wait": ("等待", "33;1"),
    "request_evidence": ("补充证据", "33;1"),
    "await_merchant": ("等待商家答复", "33;1"),
    "manual_review": ("人工审核", "35;1"),
}
MOVED = {
    "accepted": "33;1",
    "processing": "33;1",
    "succeeded": "32;1",
    "abnormal": "31;1",
}
LISTENERS = {
    "site": "shop 站点",
    "merchant": "merchant's adapter 商家",
    "channel": "channel's adapter 渠道",
}
EFFECTS = {"supports": "32", "blocks": "31", "defers": "33", "notes": "2"}


@dataclass(frozen=True, slots=True)
class Screen:
    """Lines for a terminal, in colour or not."""

    colour: bool

    def paint(self, code: str, text: str) -> str:
        """Text in a colour, where colours are wanted."""
        return f"\033[{code}m{text}\033[0m" if self.colour else text

    def title(self, number: int, of: int, claim: DemoClaim) -> Iterator[str]:
        """A claim's heading and story."""
        yield from self.heading(f"{number}/{of}  {claim.system} · {claim.source}")
        yield from self.row("Claim 申请", claim.story_zh)
        yield from self.row("", claim.story_en)
        asked = claim.body["claim"]
        yield from self.row("", f"reason {asked['reason']}, order {claim.order_no}, policy {claim.body['policy']}", "2")

    def decision(self, case: dict[str, Any]) -> Iterator[str]:
        """What was decided, and why."""
        decision = case["decision"]
        name, code = OUTCOMES[decision["outcome"]]
        yield from self.row("Decision 裁定", f"{name} {decision['outcome']}  (case {case['id']})", code)
        yield from self._refund(decision)
        for finding in decision["findings"]:
            yield from self._finding(finding)
        for change in decision["would_change"]:
            yield from self.row("What if 假如", change["message"])
            yield from self.row("", change["message_en"])
        for deadline in decision["deadlines"]:
            at = datetime.fromisoformat(deadline["at"]).strftime("%Y-%m-%d %H:%M:%S")
            yield from self.row("Until 期限", f"{at}  {deadline['name']} ({deadline['rule']})")
        yield from self._next(case)

    def step(self, step: DemoStep, case: dict[str, Any]) -> Iterator[str]:
        """What somebody did, and what the case was judged to then."""
        decision = case["decision"]
        name, code = OUTCOMES[decision["outcome"]]
        yield from self.row("Then 随后", step.story_zh, "1")
        yield from self.row("", step.story_en)
        yield from self.row("", f"POST /v1/cases/…/{step.call}", "2")
        yield from self.row("Decision 裁定", f"{name} {decision['outcome']}, the case is {case['status']}", code)
        yield from self._refund(decision)
        for finding in decision["findings"]:
            if finding["decisive"]:
                yield from self._finding(finding)
        yield from self._next(case)

    def _next(self, case: dict[str, Any]) -> Iterator[str]:
        for step in case["next"]:
            until = "" if step["until"] is None else f" until {step['until'][:16].replace('T', ' ')}"
            yield from self.row("Next 下一步", f"{step['action']} by {step['by']}{until}")

    def _refund(self, decision: dict[str, Any]) -> Iterator[str]:
        refund = decision["refund"]
        if refund is not None:
            said = f"{yuan(refund['amount'])} from {refund['funding']}, liable: {decision['liability']}"
            yield from self.row("Refund 退款", said, "1")

    def _finding(self, finding: dict[str, Any]) -> Iterator[str]:
        mark = "●" if finding["decisive"] else "○"
        code = EFFECTS[finding["effect"]] + (";1" if finding["decisive"] else "")
        yield from self.row("Finding 认定", f"{mark} {finding['rule']} ({finding['effect']})", code)
        yield from self.row("", f"  {finding['message']}")
        yield from self.row("", f"  {finding['message_en']}")
        yield from self.row("", f"  source 出处: {finding['source']}", "2")

    def webhook(self, received: Received) -> Iterator[str]:
        """One webhook, and whether its signature is good."""
        envelope = received.envelope
        signature = "signature verified 签名有效" if received.verified else "SIGNATURE INVALID 签名无效"
        said = f"{'✔' if received.verified else '✘'} {envelope['type']} → {LISTENERS[received.role]}, {signature}"
        yield from self.row("Webhook 回调", said, "32" if received.verified else "31;1")
        if envelope["type"] == "refund.requested":
            refund = envelope["data"]
            said = f"  pay {yuan(refund['amount'])} back over {refund['payment_no']} as {refund['refund_no']}"
            yield from self.row("", said)
            if refund["other_account"] is not None:
                yield from self.row("", f"  to 退至 {refund['other_account']['display']}")

    def report(self, report: DemoReport, taken: dict[str, Any], case: dict[str, Any]) -> Iterator[str]:
        """What the channel's adapter reported, and what became of it."""
        refund = taken["refund"]
        yield from self.row("Money 资金", report.story_zh)
        yield from self.row("", report.story_en)
        yield from self.row("", f"POST /v1/refunds/…/result {report.state}", "2")
        said = f"{taken['verdict']}: the refund is {refund['state']}, the case is {case['status']}"
        yield from self.row("", said, MOVED[refund["state"]])

    def retry(self, retry: DemoRetry, refund: dict[str, Any], case: dict[str, Any]) -> Iterator[str]:
        """What a person decided about a refund that had stopped."""
        yield from self.row("Then 随后", retry.story_zh, "1")
        yield from self.row("", retry.story_en)
        yield from self.row("", "POST /v1/refunds/…/retry", "2")
        yield from self.row("", f"the refund is {refund['state']} again, the case is {case['status']}", "33;1")

    def end(self, judged: int, paid_back: int) -> Iterator[str]:
        """That all went well."""
        yield ""
        tick = self.paint("32;1", "✔")
        yield f"{tick} {judged} claims judged and carried on, {paid_back} of them until the money was back."
        yield "  Every signature is good."
        yield f"  {judged} 件申请均已裁定并继续推进，其中 {paid_back} 件已退款到账，所有回调签名均有效。"

    def heading(self, text: str) -> Iterator[str]:
        """What the lines that follow are about."""
        yield ""
        yield self.paint("1", f"━━ {text} ".ljust(WIDTH - cells(text) + len(text), "━"))

    def row(self, label: str, text: str, code: str = "0") -> Iterator[str]:
        for line in wrapped(text, WIDTH - LABEL):
            yield f"{self.paint('36', padded(label, LABEL))}{self.paint(code, line)}"
            label = ""


def yuan(fen: int) -> str:
    """An amount as people read it."""
    return f"{fen // 100:,}.{fen % 100:02d} 元"
