"""The secrets of an endpoint, or of a site's reports: sealed together, newest first, older ones with their end."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from app import ids
from app.errors import Conflict
from app.outbound import signing
from app.sealing import Sealer

OVERLAP: Final = timedelta(hours=24)
MOST_SECRETS: Final = 5
_COLUMN: Final = "webhook_endpoints.secrets"


class Secret(NamedTuple):
    """`until` None: the present one."""

    text: str
    until: datetime | None


_LIST = TypeAdapter(list[Secret])


def new_secret() -> Secret:
    """A fresh one, in the form that receivers are given."""
    return Secret(signing.mint_secret(ids.random_bytes(signing.SECRET_BYTES)), None)


def rotated(secrets: list[Secret], now: datetime) -> list[Secret]:
    """A new one in front; the others sign on for 24 hours, or until the end that they have already."""
    ending = [Secret(each.text, min(each.until or now + OVERLAP, now + OVERLAP)) for each in valid(secrets, now)]
    if len(ending) >= MOST_SECRETS:
        raise Conflict(
            "too_many_secrets",
            en=f"{MOST_SECRETS} secrets are valid already. Wait until the oldest ends.",
            zh=f"已有 {MOST_SECRETS} 个有效密钥，请等待最早的密钥到期。",
        )
    return [new_secret(), *ending]


def valid(secrets: list[Secret], now: datetime) -> list[Secret]:
    """Those that sign at `now`, newest first."""
    return [each for each in secrets if each.until is None or each.until > now]


def seal(sealer: Sealer, site_id: UUID, secrets: list[Secret], column: str = _COLUMN) -> bytes:
    """What is stored."""
    return sealer.seal(_LIST.dump_json(secrets), site=site_id, column=column)


def unseal(sealer: Sealer, site_id: UUID, sealed: bytes, column: str = _COLUMN) -> list[Secret]:
    """The secrets behind what is stored; SealBroken if it was tampered with."""
    return _LIST.validate_json(sealer.open(sealed, site=site_id, column=column))
