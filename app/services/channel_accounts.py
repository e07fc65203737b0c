"""Accounts at channels: registered, changed, opened. Their credentials are sealed at rest and never shown."""

import base64
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from app import ids
from app.errors import Conflict, Fault, Invalid
from app.models.closed_sets import ChannelKind
from app.outbound.channels.adapter import Adapter
from app.outbound.channels.exchange import Exchange
from app.outbound.channels.opening import ChannelUrls, Credentials, CredentialsInvalid, open_adapter, read_credentials
from app.rules.decision import instant
from app.rules.facts import Channel
from app.sealing import Sealer
from app.store.channels import AccountRow, ChannelStore

ACCOUNT: Final = "ca"
MOST_OPEN: Final = 256
_COLUMN: Final = "channel_accounts.credentials"
# An interface of the channel's own speaks for that channel alone; an aggregator stands before any of them.
CHANNELS: Final[Mapping[ChannelKind, tuple[Channel, ...]]] = {
    ChannelKind.WECHAT_PAY: (Channel.WECHAT_PAY,),
    ChannelKind.ALIPAY: (Channel.ALIPAY,),
    ChannelKind.EPAY: (Channel.ALIPAY, Channel.WECHAT_PAY, Channel.UNIONPAY, Channel.BANK_CARD),
}


class ForMode(Protocol):
    """Carries requests to channels: to public addresses for live data, also to this machine for test data."""

    def of(self, mode: str) -> Exchange:
        """For a site's mode."""
        ...


@dataclass(frozen=True, slots=True)
class Channels:
    """What it takes to speak to channels."""

    exchanges: ForMode
    keyring: "Keyring"
    urls: ChannelUrls
    public_url: str | None

    def adapter(self, site_id: UUID, kind: ChannelKind, sealed: bytes, mode: str) -> Adapter:
        """The adapter of an account."""
        credentials = self.keyring.credentials(site_id, kind, sealed)
        return open_adapter(credentials, self.exchanges.of(mode), self.urls, nonce=new_nonce)


class Keyring:
    """Credentials behind what is stored, those used last kept open."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._open: OrderedDict[tuple[UUID, bytes], Credentials] = OrderedDict()

    def credentials(self, site_id: UUID, kind: ChannelKind, sealed: bytes) -> Credentials:
        """SealBroken where it was tampered with."""
        found = self._open.pop((site_id, sealed), None)
        if found is None:
            found = read_credentials(kind, json.loads(self._sealer.open(sealed, site=site_id, column=_COLUMN)))
        self._open[site_id, sealed] = found
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return found


def notify_url(public_url: str | None, site_id: UUID, account_id: UUID) -> str | None:
    """Where a channel may send notices of an account's refunds; None where nobody outside can reach us."""
    if public_url is None:
        return None
    return f"{public_url}/v1/channel-notices/{ids.show('site', site_id)}/{ids.show(ACCOUNT, account_id)}"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account as a site registers it; `credentials` as the channel's kind wants them."""

    kind: ChannelKind
    channel: Channel
    label: str
    credentials: Mapping[str, Any]
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change of an account; None stays. Its kind and channel stay."""

    label: str | None = None
    credentials: Mapping[str, Any] | None = None
    enabled: bool | None = None


async def register(
    accounts: ChannelStore, sealer: Sealer, site_id: UUID, wish: NewAccount, *, now: datetime
) -> AccountRow:
    """A new account. Invalid for credentials that cannot be used, Conflict where the channel has an enabled one."""
    if wish.channel not in CHANNELS[wish.kind]:
        en, zh = "This interface does not speak for that channel.", "该接口不支持此支付渠道。"
        raise Invalid(Fault("/channel", "channel_of_kind", en=en, zh=zh))
    account = AccountRow(
        account_id=ids.new_uuid(),
        kind=wish.kind,
        channel=wish.channel,
        label=wish.label,
        identity=_read(wish.kind, wish.credentials).identity,
        credentials=_sealed(sealer, site_id, wish.kind, wish.credentials),
        enabled=wish.enabled,
        created_at=now,
        updated_at=now,
        version=1,
    )
    await accounts.add(account)
    return account


async def change(
    accounts: ChannelStore,
    sealer: Sealer,
    site_id: UUID,
    account_id: UUID,
    changes: Changes,
    *,
    now: datetime,
    expected: int | None = None,
) -> AccountRow:
    """The changed account; what it was asked for already is followed to its end even when it is disabled.

    Conflict for credentials of another account: a refund would be looked for where nobody was asked for it, and paid.
    """
    present = await accounts.get(account_id, lock=True)
    told = changes.credentials
    if told is not None and _read(present.kind, told).identity != present.identity:
        raise _another_account()
    wanted = replace(
        present,
        label=present.label if changes.label is None else changes.label,
        credentials=present.credentials if told is None else _sealed(sealer, site_id, present.kind, told),
        enabled=present.enabled if changes.enabled is None else changes.enabled,
        updated_at=now,
    )
    return await accounts.replace(wanted, expected=present.version if expected is None else expected)


def account_document(row: AccountRow) -> dict[str, Any]:
    """An account as it is shown: without its credentials."""
    return {
        "id": ids.show(ACCOUNT, row.account_id),
        "kind": row.kind.value,
        "channel": row.channel.value,
        "label": row.label,
        "identity": row.identity,
        "enabled": row.enabled,
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
        "version": row.version,
    }


def new_nonce() -> str:
    """32 letters and digits that nobody can guess."""
    return base64.b32encode(ids.random_bytes(20)).decode("ascii")


def _another_account() -> Conflict:
    return Conflict(
        "another_account",
        en="These credentials are of another account at the channel. Disable this one, and register that one.",
        zh="该凭据属于另一个渠道账户。请停用当前账户，并另行登记新账户。",
    )


def _read(kind: ChannelKind, credentials: Mapping[str, Any]) -> Credentials:
    """Tried before they are kept: a key that cannot be read would only be noticed when money is to go back."""
    try:
        return read_credentials(kind, credentials)
    except CredentialsInvalid as invalid:
        raise Invalid(
            Fault(f"/credentials/{invalid.field}", "credentials_unusable", en=invalid.en, zh=invalid.zh)
        ) from None


def _sealed(sealer: Sealer, site_id: UUID, kind: ChannelKind, credentials: Mapping[str, Any]) -> bytes:
    plain = json.dumps(dict(credentials), sort_keys=True).encode()
    return sealer.seal(plain, site=site_id, column=_COLUMN)
