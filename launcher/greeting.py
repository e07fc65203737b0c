"""What `./run serve` says once it is up: where to look, the key, and one request to begin with."""

import json
import shlex
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from launcher.serve import Service

# A card paid for and never delivered: the plainest claim there is. 200.00 CNY in fen.
_CLAIM = {
    "policy": "standard",
    "as_of": "2026-03-09T12:00:00+08:00",
    "claim": {
        "reason": "not_delivered",
        "remedy": "refund",
        "amount": 20000,
        "filed_at": "2026-03-09T11:00:00+08:00",
        "via": "platform",
    },
    "order": {
        "order_no": "A-1001",
        "merchant_id": "m-7",
        "buyer_id": "b-9",
        "amount": 20000,
        "currency": "CNY",
        "status": "paid",
        "placed_at": "2026-03-09T10:00:00+08:00",
        "goods": {
            "sku": "steam-200",
            "name": "Steam 200",
            "kind": "game_card",
            "delivery_mode": "instant",
            "card_use": "single_use",
            "face_value": 20000,
            "traits": [],
            "terms": {},
        },
    },
    "payments": [
        {
            "payment_no": "P-1",
            "order_no": "A-1001",
            "channel": "alipay",
            "status": "succeeded",
            "amount": 20000,
            "paid_at": "2026-03-09T10:00:30+08:00",
        }
    ],
    "deliveries": [],
    "evidence": [],
}


def coloured(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Colour for a person at a terminal who has not declined it (no-color.org)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def greeting(service: Service, logs: Path, *, colour: bool) -> str:
    """The text, ready to print. The request can be pasted into a shell as it stands."""

    def paint(code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if colour else text

    def row(label: str, value: str) -> str:
        return f"  {label}{' ' * (13 - _columns(label))}{paint('36', value)}"

    return "\n".join(
        [
            "",
            paint("1;32", "The refund adjudicator is running. 退款裁决服务已启动。"),
            "",
            row("Swagger UI", f"{service.url}/docs"),
            row("Redoc", f"{service.url}/redoc"),
            row("Key 密钥", paint("1", service.key)),
            row("Logs 日志", str(logs)),
            "",
            paint("1", "Try it: a card that was paid for and never came. 试一试：已付款但未到货的点卡。"),
            "",
            curl(service),
            "",
            f"{paint('1', 'Ctrl-C')} stops everything and keeps the data. 按 Ctrl-C 停止，数据会保留。",
            "",
        ]
    )


def _columns(text: str) -> int:
    """How much room a terminal gives it: Chinese characters take two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def curl(service: Service) -> str:
    """One complete request to judge a claim; it stores nothing."""
    body = ",\n  ".join(f'"{name}": {json.dumps(value)}' for name, value in _CLAIM.items())
    return (
        f"curl -sS {service.url}/v1/adjudications \\\n"
        f"  -H {shlex.quote(f'Authorization: Bearer {service.key}')} \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d '{{\n  {body}\n}}'"
    )
