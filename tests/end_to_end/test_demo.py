"""`./run demo` against a running service, as a stranger reads it."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE

import pytest

from launcher.demo.receiver import is_signed
from launcher.demo.screen import Screen
from tests.live import CHECKOUT, Live

SECONDS_TO_SHOW = 120
SYSTEMS = ("recharge", "consumption", "chargeback", "card_error", "binghui")


@pytest.fixture
async def shown(live: Live) -> str:
    """What the demonstration prints."""
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "launcher.demo", cwd=CHECKOUT, env=dict(live.environ), stdout=PIPE, stderr=PIPE
    )
    said, complained = await asyncio.wait_for(done.communicate(), SECONDS_TO_SHOW)
    assert done.returncode == 0, said.decode() + complained.decode()
    return said.decode()


async def test_the_demonstration_shows_all_five_systems_with_their_webhooks(shown: str) -> None:
    for system in SYSTEMS:
        assert system in shown
    for outcome in ("request_evidence", "await_merchant", "reject", "approve"):
        assert outcome in shown
    assert shown.count("签名有效") == 24
    assert "SIGNATURE INVALID" not in shown
    assert shown.count("refund.requested") == 6
    for rule in ("merchant-accepts", "appeal-needs-a-person", "granted-by-a-person"):
        assert rule in shown
    unbroken = re.sub(r"\n +", " ", shown)
    assert "late by 24 min 30 s" in unbroken
    assert "迟到 24 分 30 秒" in unbroken


async def test_the_demonstration_follows_two_refunds_to_the_money_and_shows_the_books(shown: str) -> None:
    assert shown.count("applied: the refund is succeeded, the case is refunded") == 2
    assert shown.count("repeated: the refund is succeeded, the case is refunded") == 1
    assert shown.count("refund.succeeded") == 2
    stopped = shown[shown.index("applied: the refund is abnormal, the case is refund_failed") :]
    assert "refund.abnormal" in stopped
    assert "the refund is requested again, the case is refunding" in stopped
    assert "to 退至 招商银行 尾号 1234" in stopped
    instructed = re.findall(r"back over (\S+) as (rf\w{26})", shown)
    assert len(instructed) == 6
    assert len(set(instructed)) == 5, "the retry goes out under the same number"
    assert "4,400.00 元 available" in shown
    assert re.search(r"2 × money is back 已到账, 400\.00 元", shown)


async def test_the_demonstration_fits_a_terminal_and_has_no_colour_in_a_file(shown: str) -> None:
    assert "\033[" not in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_a_signature_that_is_not_ours_is_seen() -> None:
    assert not is_signed(
        "whsec_AAAA", {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}, b"", 1
    )


def test_long_lines_are_broken_between_words_and_chinese_characters() -> None:
    lines = list(Screen(colour=False).row("Label", "词" * 60 + " and " + "word " * 30))
    assert len(lines) > 2
    assert re.match(r"^Label +词", lines[0])
    assert all(line.startswith(" " * 16) for line in lines[1:])
