"""A call that claims to come from a 易支付 aggregator: at most a reason to ask.

Notices say that an order was paid, come by GET or POST, and are sent again until they hear `success`. An MD5 key is
known to the merchant's whole shop, and a right signature over false content has been seen: nothing in a notice is
ever proof.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from app.outbound.channels.epay_credentials import EpayCredentials
from app.outbound.channels.epay_signing import md5_holds, rsa_holds
from app.outbound.channels.said import Hint, Notice, NoticeRefused

_LARGEST: Final = 16 * 1024
_MOST_FIELDS: Final = 64
_NUMBER: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)


def read_notice(credentials: EpayCredentials, notice: Notice) -> Hint:
    """Raises NoticeRefused where the signature is wrong or missing, or the notice is for another merchant."""
    fields = _fields(notice)
    if not fields.get("sign"):
        raise NoticeRefused("unsigned")
    if not _signature_holds(credentials, fields):
        raise NoticeRefused("bad_signature")
    # All merchants of an aggregator share its key, so that another's notice is signed as well.
    if fields.get("pid") != credentials.pid:
        raise NoticeRefused("other_merchant")
    hint = Hint(_number(fields, "out_refund_no"), _number(fields, "out_trade_no"))
    if hint == Hint():
        raise NoticeRefused("no_number")
    return hint


def _fields(notice: Notice) -> Mapping[str, str]:
    if len(notice.body) > _LARGEST or sum(len(name) + len(value) for name, value in notice.query.items()) > _LARGEST:
        raise NoticeRefused("too_large")
    if notice.method.upper() == "GET":
        return notice.query
    try:
        pairs = parse_qsl(notice.body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise NoticeRefused("garbled") from error
    if len({name for name, _ in pairs}) != len(pairs):
        raise NoticeRefused("garbled")
    return dict(pairs)


def _signature_holds(credentials: EpayCredentials, fields: Mapping[str, str]) -> bool:
    if credentials.platform_public_key is not None:
        return rsa_holds(fields, credentials.platform_public_key)
    return md5_holds(fields, credentials.key)


def _number(fields: Mapping[str, str], name: str) -> str | None:
    value = fields.get(name, "")
    return value if _NUMBER.fullmatch(value) else None
