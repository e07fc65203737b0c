"""The sandbox's cases: one in each state from which a call can be tried, so that the documentation's examples work."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from app.ids import Mint
from app.models.closed_sets import FileState
from app.rules.facts import ChatChannel, Claim, Evidence, EvidenceKind, Party, Reason
from app.services.assembling import PutForward
from app.services.filing import Filing
from app.store.case_rows import FileRow
from app.store.record_rows import Told


def _case_id(number: int) -> UUID:
    return UUID(int=UUID("01900000-0000-7000-8000-0000000005c0").int + 0x100 * number)


# What the documentation names, there to be looked at and tried: granted, and in each state in which a call is allowed.
EXAMPLE_CASE = _case_id(0)
AWAITING_EVIDENCE, AWAITING_MERCHANT, TO_WITHDRAW = _case_id(1), _case_id(2), _case_id(3)
IN_REVIEW, TO_APPEAL, TO_ESCALATE = _case_id(4), _case_id(5), _case_id(6)
TO_PAY_BACK, TO_RETRY, TO_GIVE_UP = _case_id(7), _case_id(8), _case_id(9)
EXAMPLE_REFUND, STOPPED_REFUND, GIVEN_UP_REFUND = (
    UUID(int=case.int + 1) for case in (TO_PAY_BACK, TO_RETRY, TO_GIVE_UP)
)
EXAMPLE_EVENT = UUID(int=EXAMPLE_CASE.int + 2)
EXAMPLE_FILE = UUID(int=AWAITING_EVIDENCE.int + 0x80)
# A text of so many bytes can be sent for it.
EXAMPLE_FILE_SIZE = 12


@dataclass(frozen=True, slots=True)
class ExampleCase:
    """A case of the sandbox, about an order that is there."""

    case_id: UUID
    filing: Filing

    def mint(self) -> Mint:
        """The case's id, then those of all that comes with it."""
        numbers = count(self.case_id.int)
        return lambda: UUID(int=next(numbers))


def example_cases(now: datetime) -> Iterator[ExampleCase]:
    """The claims, made now."""
    screenshot, chat = _piece(EvidenceKind.ERROR_SCREENSHOT, now), _piece(EvidenceKind.CHAT_LOG, now)
    proven = (screenshot, chat)
    awaited = PutForward(screenshot.piece, _awaited_file(now))
    yield _example(EXAMPLE_CASE, "A-1000", Reason.NOT_DELIVERED, now)
    yield _example(AWAITING_EVIDENCE, "A-1004", Reason.NOT_WORKING, now, (awaited,))
    yield _example(AWAITING_MERCHANT, "A-1005", Reason.NOT_WORKING, now, proven)
    yield _example(TO_WITHDRAW, "A-1006", Reason.NOT_WORKING, now, proven)
    yield _example(IN_REVIEW, "A-1007", Reason.OTHER, now)
    yield _example(TO_APPEAL, "A-1008", Reason.CHANGE_OF_MIND, now)
    yield _example(TO_ESCALATE, "A-1009", Reason.CHANGE_OF_MIND, now)
    yield _example(TO_PAY_BACK, "A-1010", Reason.ORDER_CANCELLED, now)
    yield _example(TO_RETRY, "A-1011", Reason.ORDER_CANCELLED, now)
    yield _example(TO_GIVE_UP, "A-1012", Reason.ORDER_CANCELLED, now)


def _example(
    case_id: UUID, order_no: str, reason: Reason, now: datetime, evidence: tuple[PutForward, ...] = ()
) -> ExampleCase:
    return ExampleCase(case_id, Filing(Claim(reason, now), order_no, (), evidence, Told(), None))


def _piece(kind: EvidenceKind, now: datetime) -> PutForward:
    channel = ChatChannel.IN_PLATFORM if kind is EvidenceKind.CHAT_LOG else None
    return PutForward(Evidence(kind, Party.BUYER, now - timedelta(minutes=30), channel=channel))


def _awaited_file(now: datetime) -> FileRow:
    until = now + timedelta(hours=24)
    return FileRow(EXAMPLE_FILE, FileState.AWAITED, "错误提示.txt", "text/plain", EXAMPLE_FILE_SIZE, None, until)
