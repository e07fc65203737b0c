"""An answer of Alipay's gateway: `{"alipay_trade_refund_response": {...}, "sign": "..."}`.

The signature is over the node exactly as it was sent, so the node is cut out of the text and never written anew.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from app.outbound.channels.alipay.refusals import unclear_of
from app.outbound.channels.alipay.signing import is_signed
from app.outbound.channels.exchange import Reply
from app.outbound.channels.said import Unclear
from app.outbound.channels.yuan import fen

SUCCESS: Final = "10000"
BUSINESS_FAILED: Final = "40004"
LARGEST_ANSWER_BYTES: Final = 1024 * 1024
_ERROR_NODE: Final = "error_response"
_SPACE: Final = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Answer:
    """What Alipay has signed; `code` 10000 means that the call was carried out, not more."""

    code: str
    sub_code: str
    fields: Mapping[str, object]

    def text(self, name: str) -> str | None:
        """A field that is a text with something in it."""
        value = self.fields.get(name)
        return value if isinstance(value, str) and value else None

    def fen(self, name: str) -> int | None:
        """A field that is an amount in yuan, as fen."""
        return fen(self.text(name) or "")


def read_answer(reply: Reply, method: str, key: RSAPublicKey) -> Answer | Unclear:
    """The answer to a call of `method`, once its signature is proven."""
    if reply.status != 200:
        return unclear_of("40005" if reply.status == 429 else "", f"http_{reply.status}")
    if len(reply.body) > LARGEST_ANSWER_BYTES:
        return Unclear("oversize")
    try:
        nodes = members(reply.body.decode("utf-8"))
        content = _node(nodes, method)
        signature = json.loads(nodes.get("sign", "null"))
    except (ValueError, RecursionError):
        return Unclear("garbage")
    if not isinstance(signature, str):
        return _unsigned(content)
    proven = _proven(content, signature, key)
    return Unclear("bad_signature") if proven is None else _answer(proven)


def members(text: str) -> dict[str, str]:
    """The members of a JSON object, each as the very text that it was sent in; ValueError for anything else."""
    found: dict[str, str] = {}
    at = _past(text, 0, "{")
    while True:
        name, end = _DECODER.raw_decode(text, at)
        if not isinstance(name, str) or name in found:
            raise ValueError("a member has one name, and once")
        start = _past(text, end, ":")
        _, end = _DECODER.raw_decode(text, start)
        found[name] = text[start:end]
        at = _skip(text, end)
        if text[at:].rstrip(" \t\r\n") == "}":
            return found
        at = _past(text, at, ",")


def _past(text: str, at: int, mark: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"expected {mark}")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a member stands twice")
    return read


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


def _node(nodes: Mapping[str, str], method: str) -> str:
    """The one node that answers the call: its own, or the gateway's `error_response`."""
    names = {method.replace(".", "_") + "_response", _ERROR_NODE} & nodes.keys()
    if len(names) != 1:
        raise ValueError("one node answers")
    return nodes[names.pop()]


def _proven(content: str, signature: str, key: RSAPublicKey) -> str | None:
    r"""The text that was signed: the node as sent, or with `\/` as `/`.

    Alipay has signed before it escaped slashes (so does its own Java SDK verify: AlipaySignature, DefaultAlipayClient).
    What is read afterwards is the text that verified.
    """
    variants = dict.fromkeys((content, content.replace("\\/", "/")))
    return next((text for text in variants if is_signed(text.encode(), signature, key)), None)


def _answer(proven: str) -> Answer | Unclear:
    try:
        fields = _DECODER.decode(proven)
    except (ValueError, RecursionError):
        return Unclear("garbage")
    if not isinstance(fields, dict) or not isinstance(fields.get("code"), str):
        return Unclear("garbage")
    sub_code = fields.get("sub_code")
    return Answer(fields["code"], sub_code if isinstance(sub_code, str) else "", fields)


def _unsigned(content: str) -> Unclear:
    """The gateway cannot sign for an application that it does not know, so a fault of its own level keeps its code.

    Nothing is concluded from it. What is about business is never said unsigned.
    """
    answer = _answer(content)
    if isinstance(answer, Unclear) or answer.code in {SUCCESS, BUSINESS_FAILED}:
        return Unclear("bad_signature")
    return unclear_of(answer.code, answer.sub_code)
