"""Notices of channels: what a signature proves is a report; anything else is at most a reason to ask."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.errors import Invalid, NotFound
from app.logs import logger
from app.models.closed_sets import ReportSource
from app.outbound.channels.exchange import Reply
from app.outbound.channels.opening import ChannelUrls, NoExchange, open_adapter
from app.outbound.channels.said import Hint, Notice, NoticeRefused, Proof
from app.rules.settlement import Report
from app.services import refunds
from app.services.channel_accounts import Keyring, new_nonce
from app.store.cases import CaseStore
from app.store.channels import ChannelStore
from app.store.engine import Connection
from app.store.settling import SettlingStore
from app.store.sites import database_now

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """What the channel wants to hear. `contradicted`: a payment of which more may have gone back than was known."""

    reply: Reply
    contradicted: str | None = None


async def take_in(connection: Connection, keyring: Keyring, site_id: UUID, account_id: UUID, notice: Notice) -> Heard:
    """Takes in what a channel sends. NotFound for an account that is not there.

    Nobody has to show a key to send a notice, so that one which is not signed as it should be changes nothing.
    """
    account = await ChannelStore(connection, site_id).get(account_id)
    credentials = keyring.credentials(site_id, account.kind, account.credentials)
    adapter = open_adapter(credentials, NoExchange(), ChannelUrls("", ""), nonce=new_nonce)
    now = await database_now(connection)
    try:
        read = adapter.read_notice(notice, now)
    except NoticeRefused as refused:
        log.warning("channel_notice_refused", site_id=str(site_id), channel=account.channel.value, reason=refused.code)
        return Heard(adapter.answer_to_notice(accepted=False))
    contradicted = None
    match read:
        case Hint(refund_no=refund_no, payment_no=payment_no):
            store = SettlingStore(connection, site_id)
            await store.hurry(account_id, refund_no=refund_no, payment_no=payment_no, now=now)
        case Proof():
            contradicted = await _report(CaseStore(connection, site_id), account_id, read, now)
    return Heard(adapter.answer_to_notice(accepted=True), contradicted)


async def _report(cases: CaseStore, account_id: UUID, proof: Proof, now: datetime) -> str | None:
    """The payment of the refund, where the notice contradicts it.

    A refund that is another account's is none of its business, whoever signed. One that was handed to an adapter since
    may still be paid by the channel.
    """
    refund = await cases.refunds.by_number(proof.refund_no)
    if refund is None or refund.account_id not in (account_id, None):
        log.warning("channel_notice_of_no_refund", account_id=str(account_id))
        return None
    told = proof.told
    said = Report(
        state=told.state,
        at=told.at or now,
        amount=told.amount,
        currency=told.currency,
        channel_refund_no=told.channel_refund_no,
        failure=told.failure,
        payment_no=proof.payment_no,
    )
    try:
        taken = await refunds.report(cases, refund.refund_id, said, ReportSource.NOTICE)
    except (Invalid, NotFound):
        log.warning("channel_notice_of_odd_moment", refund_id=str(refund.refund_id))
        return None
    return None if taken.conflict is None else refund.payment_no
