"""What a person sees: the claim, the decision with its reasons, the deadlines, the webhooks."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from launcher.demo.claims import DemoClaim, DemoStep
from launcher.demo.receiver import Received

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
        yield ""
        yield self.paint("1", f"━━ {number}/{of}  {claim.system} · {claim.source} ".ljust(WIDTH, "━"))
        yield from self._row("Claim 申请", claim.story_zh)
        yield from self._row("", claim.story_en)
        asked = claim.body["claim"]
        yield from self._row(
            "", f"reason {asked['reason']}, order {claim.order_no}, policy {claim.body['policy']}", "2"
        )

    def decision(self, case: dict[str, Any]) -> Iterator[str]:
        """What was decided, and why."""
        decision = case["decision"]
        name, code = OUTCOMES[decision["outcome"]]
        yield from self._row("Decision 裁定", f"{name} {decision['outcome']}  (case {case['id']})", code)
        yield from self._refund(decision)
        for finding in decision["findings"]:
            yield from self._finding(finding)
        for change in decision["would_change"]:
            yield from self._row("What if 假如", change["message"])
            yield from self._row("", change["message_en"])
        for deadline in decision["deadlines"]:
            at = datetime.fromisoformat(deadline["at"]).strftime("%Y-%m-%d %H:%M:%S")
            yield from self._row("Until 期限", f"{at}  {deadline['name']} ({deadline['rule']})")
        yield from self._next(case)

    def step(self, step: DemoStep, case: dict[str, Any]) -> Iterator[str]:
        """What somebody did, and what the case was judged to then."""
        decision = case["decision"]
        name, code = OUTCOMES[decision["outcome"]]
        yield from self._row("Then 随后", step.story_zh, "1")
        yield from self._row("", step.story_en)
        yield from self._row("", f"POST /v1/cases/…/{step.call}", "2")
        yield from self._row("Decision 裁定", f"{name} {decision['outcome']}, the case is {case['status']}", code)
        yield from self._refund(decision)
        for finding in decision["findings"]:
            if finding["decisive"]:
                yield from self._finding(finding)
        yield from self._next(case)

    def _next(self, case: dict[str, Any]) -> Iterator[str]:
        for step in case["next"]:
            until = "" if step["until"] is None else f" until {step['until'][:16].replace('T', ' ')}"
            yield from self._row("Next 下一步", f"{step['action']} by {step['by']}{until}")

    def _refund(self, decision: dict[str, Any]) -> Iterator[str]:
        refund = decision["refund"]
        if refund is not None:
            said = f"{yuan(refund['amount'])} from {refund['funding']}, liable: {decision['liability']}"
            yield from self._row("Refund 退款", said, "1")

    def _finding(self, finding: dict[str, Any]) -> Iterator[str]:
        mark = "●" if finding["decisive"] else "○"
        code = EFFECTS[finding["effect"]] + (";1" if finding["decisive"] else "")
        yield from self._row("Finding 认定", f"{mark} {finding['rule']} ({finding['effect']})", code)
        yield from self._row("", f"  {finding['message']}")
        yield from self._row("", f"  {finding['message_en']}")
        yield from self._row("", f"  source 出处: {finding['source']}", "2")

    def webhook(self, received: Received) -> Iterator[str]:
        """One webhook, and whether its signature is good."""
        envelope = received.envelope
        signature = "signature verified 签名有效" if received.verified else "SIGNATURE INVALID 签名无效"
        said = f"{'✔' if received.verified else '✘'} {envelope['type']} → {received.role} adapter, {signature}"
        yield from self._row("Webhook 回调", said, "32" if received.verified else "31;1")
        if envelope["type"] == "refund.requested":
            refund = envelope["data"]
            said = f"  pay {yuan(refund['amount'])} back over {refund['payment_no']} as {refund['refund_no']}"
            yield from self._row("", said)

    def _row(self, label: str, text: str, code: str = "0") -> Iterator[str]:
        for line in _wrapped(text, WIDTH - LABEL):
            yield f"{self.paint('36', _padded(label, LABEL))}{self.paint(code, line)}"
            label = ""


def yuan(fen: int) -> str:
    """An amount as people read it."""
    return f"{fen // 100:,}.{fen % 100:02d} 元"


def _cells(text: str) -> int:
    """How wide a terminal shows it: Chinese characters take two cells."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _padded(text: str, width: int) -> str:
    return text + " " * max(0, width - _cells(text))


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Lines no wider than `width` cells, indented as the first; Chinese may break anywhere."""
    indent = text[: len(text) - len(text.lstrip())]
    line = ""
    for word in _pieces(text.strip()):
        if line.strip() and _cells(indent + line + word.rstrip()) > width:
            yield indent + line.rstrip()
            line = ""
        line += word if line else word.lstrip()
    yield indent + line.rstrip()


def _pieces(text: str) -> Iterator[str]:
    """Words with the space behind them, and Chinese characters one by one; closing punctuation stays with its word."""
    piece = ""
    for letter in text:
        wide = unicodedata.east_asian_width(letter) in "WF" and unicodedata.category(letter)[0] != "P"
        if wide and piece:
            yield piece
            piece = ""
        piece += letter
        if letter == " ":
            yield piece
            piece = ""
    if piece:
        yield piece
