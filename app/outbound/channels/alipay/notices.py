"""Alipay's asynchronous notices (异步通知): a form whose values are signed as they are after URL decoding.

A notice tells of a trade what was refunded in all, not that one refund is through, so it is a hint and never proof.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Final
from urllib.parse import parse_qsl

from app.outbound.channels.alipay.credentials import AlipayCredentials
from app.outbound.channels.alipay.signing import is_signed, signed_text
from app.outbound.channels.said import Hint, Notice, NoticeRefused

LARGEST_NOTICE_BYTES: Final = 64 * 1024
_MOST_FIELDS: Final = 100
_LONGEST_NUMBER: Final = 64
_NOT_SIGNED: Final = frozenset({"sign", "sign_type"})
# A notice with one of these is about a refund; `out_biz_no` is then the number of that refund.
_OF_A_REFUND: Final = frozenset({"refund_fee", "gmt_refund"})


def read_notice(notice: Notice, credentials: AlipayCredentials) -> Hint:
    """Raises NoticeRefused: oversize, malformed, duplicate_parameter, bad_signature, other_app."""
    fields = _fields(notice)
    signed = signed_text(pair for pair in fields.items() if pair[0] not in _NOT_SIGNED)
    # Undecoded text is kept in latin-1, so that these are the bytes that were signed, whatever the charset.
    proven = is_signed(signed.encode("latin-1"), fields.get("sign", ""), credentials.alipay_public_key)
    if not proven or fields.get("sign_type") != "RSA2":
        raise NoticeRefused("bad_signature")
    if fields.get("app_id") != credentials.app_id:
        raise NoticeRefused("other_app")
    refund_no = _number(fields, "out_biz_no") if fields.keys() & _OF_A_REFUND else None
    payment_no = _number(fields, "out_trade_no")
    if payment_no is None:
        raise NoticeRefused("malformed")
    return Hint(refund_no, payment_no)


def _fields(notice: Notice) -> dict[str, str]:
    """Every parameter once, each byte as one character; those of the body, or of the query where there is no body."""
    if len(notice.body) > LARGEST_NOTICE_BYTES or sum(map(len, chain(*notice.query.items()))) > LARGEST_NOTICE_BYTES:
        raise NoticeRefused("oversize")
    if not notice.body:
        return _from_query(notice.query)
    try:
        pairs = parse_qsl(
            notice.body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            encoding="latin-1",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise NoticeRefused("malformed") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise NoticeRefused("duplicate_parameter")
    return fields


def _from_query(query: Mapping[str, str]) -> dict[str, str]:
    try:
        return {_bytewise(name): _bytewise(value) for name, value in query.items()}
    except UnicodeError:
        raise NoticeRefused("malformed") from None


def _bytewise(text: str) -> str:
    return text.encode().decode("latin-1")


def _number(fields: Mapping[str, str], name: str) -> str | None:
    """A number of ours: printable ASCII, as every number that we ever gave out is."""
    value = fields.get(name, "")
    return value if 0 < len(value) <= _LONGEST_NUMBER and value.isascii() and value.isprintable() else None
