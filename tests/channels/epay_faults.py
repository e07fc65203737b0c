"""What goes wrong with calls to a 易支付 aggregator."""

from enum import Enum, auto

from app.outbound.channels.exchange import Reply, Unanswered


class Fault(Enum):
    """What goes wrong with one call; `AFTER`: it took effect all the same."""

    LOST_BEFORE = auto()
    LOST_AFTER = auto()
    DOWN_BEFORE = auto()
    DOWN_AFTER = auto()
    HTML_BEFORE = auto()
    HTML_AFTER = auto()
    GARBAGE_AFTER = auto()
    EMPTY_AFTER = auto()
    RATE_LIMITED = auto()
    WRONG_SIGNATURE_AFTER = auto()
    UNSIGNED_AFTER = auto()
    STALE_AFTER = auto()
    CRASH_BEFORE = auto()
    CRASH_AFTER = auto()


class Crash(BaseException):
    """Our own process ends here."""


BEFORE = {
    Fault.LOST_BEFORE,
    Fault.DOWN_BEFORE,
    Fault.HTML_BEFORE,
    Fault.RATE_LIMITED,
    Fault.CRASH_BEFORE,
}


def broken(fault: Fault | None) -> Reply:
    """The answer of a call that went wrong, if one came. Raises Unanswered, or Crash."""
    match fault:
        case Fault.CRASH_BEFORE | Fault.CRASH_AFTER:
            raise Crash
        case Fault.LOST_BEFORE | Fault.LOST_AFTER:
            raise Unanswered("timed_out")
        case Fault.DOWN_BEFORE | Fault.DOWN_AFTER:
            return Reply(502, {}, b"<html>502 Bad Gateway</html>")
        case Fault.RATE_LIMITED:
            return Reply(429, {}, b"")
        case Fault.EMPTY_AFTER:
            return Reply(200, {}, b"")
        case Fault.GARBAGE_AFTER:
            return Reply(200, {}, b'\x80\x00{"code":1')
    return Reply(200, {"content-type": "text/html"}, "<!DOCTYPE html><h3>系统发生错误</h3>".encode())
