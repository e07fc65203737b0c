"""The books after the demonstration: the merchant's deposit, and what a day's refunds come to."""

from collections.abc import Iterator
from typing import Any

from launcher.demo.screen import Screen, yuan

ENTRIES = {
    "told": "told with the merchant 随商家资料约定",
    "deduction": "taken for a refund 退款扣款",
}
GROUPS = {
    "settled": "money is back 已到账",
    "open": "on the way 未完结",
    "stopped": "stopped 已停止",
    "conflict": "contradicted 结果矛盾",
    "found": "made by others 他人退款",
    "overdrawn": "more than was paid 超额退款",
}


def deposit(screen: Screen, account: dict[str, Any], entries: list[dict[str, Any]]) -> Iterator[str]:
    """The merchant's deposit, and how it came to that."""
    yield from screen.heading("The merchant's deposit 商家保证金")
    label = "Entries 分录"
    for entry in reversed(entries):
        moved = entry["moved"]["available"]
        sign = "-" if moved < 0 else "+"
        words = ENTRIES.get(entry["kind"], entry["kind"])
        yield from screen.row(label, f"#{entry['n']} {sign}{yuan(abs(moved)):>11}  {words}")
        label = ""
    yield from screen.row("Now 现在", f"{yuan(account['balances']['available'])} available 可用", "1")
    yield from screen.row("", f"{yuan(account['balances']['refunds'])} went into refunds 已用于退款")
    yield from screen.row("", f"{yuan(account['top_up_due'])} for the merchant to top up 应补缴")


def reconciliation(screen: Screen, report: dict[str, Any]) -> Iterator[str]:
    """What the day's refunds come to, those of the whole sandbox."""
    yield from screen.heading(f"Refunds of {report['day']}, the whole sandbox 当日退款对账（整个沙箱）")
    for group, words in GROUPS.items():
        total = report["totals"][group]
        if total["count"]:
            yield from screen.row("Refunds 退款", f"{total['count']:3} × {words}, {yuan(total['amount'])}")
