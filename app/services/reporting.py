"""Signed reports: a site that registers a secret wants every result of a refund to be signed with it."""

from datetime import datetime
from uuid import UUID

from app.errors import SignatureRefused
from app.logs import logger
from app.outbound.signing import SignatureInvalid, Signed, verify
from app.sealing import Sealer
from app.services import webhook_secrets
from app.services.webhook_secrets import Secret
from app.store.engine import Connection
from app.store.sites import SiteStore

_COLUMN = "sites.reporting_secrets"

log = logger(__name__)


async def secrets_of(connection: Connection, sealer: Sealer, site_id: UUID, *, now: datetime) -> list[Secret]:
    """Those that count at `now`, newest first; empty where reports need no signature."""
    sealed = await SiteStore(connection, site_id).reporting_secrets()
    return [] if sealed is None else webhook_secrets.valid(_unseal(sealer, site_id, sealed), now)


async def rotate(connection: Connection, sealer: Sealer, site_id: UUID, *, now: datetime) -> list[Secret]:
    """A new secret in front, to be shown this once; those before it count for 24 hours more.

    From the first one on, a report without a signature is refused. Conflict while five are valid already.
    """
    store = SiteStore(connection, site_id)
    sealed = await store.reporting_secrets(lock=True)
    secrets = webhook_secrets.rotated([] if sealed is None else _unseal(sealer, site_id, sealed), now)
    await store.set_reporting_secrets(webhook_secrets.seal(sealer, site_id, secrets, _COLUMN))
    return secrets


async def remove(connection: Connection, site_id: UUID) -> None:
    """Reports need no signature from now on."""
    await SiteStore(connection, site_id).set_reporting_secrets(None)


async def require_signature(
    connection: Connection, sealer: Sealer, site_id: UUID, signed: Signed | None, body: bytes, *, now: datetime
) -> str | None:
    """The id of a report that is signed as the site wants it; None where it wants no signature. SignatureRefused."""
    secrets = await secrets_of(connection, sealer, site_id, now=now)
    if not secrets:
        return None
    if signed is None:
        raise _refused("signature_missing", site_id)
    try:
        verify([secret.text for secret in secrets], signed, body=body, now=now)
    except SignatureInvalid as invalid:
        raise _refused("signature_expired" if invalid.expired else "signature_invalid", site_id) from None
    return signed.message_id


_TEXTS = {
    "signature_missing": (
        "This site wants reports to be signed: send webhook-id, webhook-timestamp and webhook-signature.",
        "本站点要求对退款结果签名：请提供 webhook-id、webhook-timestamp 与 webhook-signature 请求头。",
    ),
    "signature_expired": (
        "The signature is of another time: sign anew, with a clock that is right to within 5 minutes.",
        "签名时间与当前时间相差超过 5 分钟：请校准时钟后重新签名。",
    ),
    "signature_invalid": (
        "The signature does not fit these bytes under any secret that is valid now.",
        "签名与请求内容不符，或所用密钥已失效。",
    ),
}


def _refused(code: str, site_id: UUID) -> SignatureRefused:
    log.warning("report_signature_refused", site_id=str(site_id), reason=code)
    en, zh = _TEXTS[code]
    return SignatureRefused(code, en=en, zh=zh)


def _unseal(sealer: Sealer, site_id: UUID, sealed: bytes) -> list[Secret]:
    return webhook_secrets.unseal(sealer, site_id, sealed, _COLUMN)
