"""What 微信支付 says, read strictly: JSON, times, amounts, and the states of a refund."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, NoReturn

from app.outbound.channels.said import Told
from app.rules.settlement import Failure, FailureCode, RefundState

STATES: Final = {
    "SUCCESS": RefundState.SUCCEEDED,
    "PROCESSING": RefundState.PROCESSING,
    "ABNORMAL": RefundState.ABNORMAL,
    "CLOSED": RefundState.CLOSED,
}
# 「退款到银行发现用户的卡作废或者冻结了，导致原路退款银行卡失败」 (REFUND.ABNORMAL)
FAILURES: Final = {
    RefundState.ABNORMAL: Failure(
        FailureCode.ACCOUNT_GONE, "ABNORMAL: 退款异常，用户的卡已作废或冻结，需在商户平台处理"
    ),
    RefundState.CLOSED: Failure(FailureCode.REJECTED, "CLOSED: 退款关闭"),
}
NUMBER: Final = re.compile(r"[!-~]{1,64}")
CURRENCY: Final = re.compile(r"[A-Z]{3}")
MOST_FEN: Final = 10**12
RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


def read_object(body: bytes) -> dict[str, object]:
    """A JSON object without doubled names; raises ValueError for anything else."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse, parse_float=Decimal)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def text_at(document: Mapping[str, object], name: str) -> str:
    """A text that is there; ValueError."""
    value = document.get(name)
    if not isinstance(value, str):
        raise ValueError(name)  # noqa: TRY004
    return value


def number_at(document: Mapping[str, object], name: str) -> str:
    """A number of an order or a refund; ValueError."""
    value = text_at(document, name)
    if not NUMBER.fullmatch(value):
        raise ValueError(name)
    return value


def object_at(document: Mapping[str, object], name: str) -> Mapping[str, object]:
    """An object within; ValueError."""
    value = document.get(name)
    if not isinstance(value, dict):
        raise ValueError(name)  # noqa: TRY004
    return value


def moment(text: str) -> datetime:
    """A moment of RFC 3339 with its offset; ValueError, for years outside 2000 to 2100 too."""
    if not RFC3339.fullmatch(text):
        raise ValueError("not a moment")
    at = datetime.fromisoformat(text)
    if not 2000 <= at.year <= 2100:
        raise ValueError("not in this century")
    return at


def read_told(document: Mapping[str, object], state: RefundState, at: datetime | None) -> Told:
    """What an answer and a notice say alike; ValueError. `at` stands for a state that carries no moment of its own."""
    amount = object_at(document, "amount")
    return Told(
        state=state,
        amount=_fen(amount.get("refund")),
        currency=_currency(amount.get("currency")),
        channel_refund_no=number_at(document, "refund_id"),
        at=moment(text_at(document, "success_time")) if state is RefundState.SUCCEEDED else at,
        failure=FAILURES.get(state),
    )


def _fen(value: object) -> int:
    if type(value) is not int or not 0 < value <= MOST_FEN:
        raise ValueError("not an amount")
    return value


def _currency(value: object) -> str | None:
    """Notices leave it out."""
    if value is None:
        return None
    if not isinstance(value, str) or not CURRENCY.fullmatch(value):
        raise ValueError("not a currency")
    return value
