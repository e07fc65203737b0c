"""Yuan as text, and fen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.outbound.channels.yuan import fen, yuan


@given(st.integers(min_value=0, max_value=10**15 - 1))
def test_what_is_written_is_read_back_exactly(amount: int) -> None:
    assert fen(yuan(amount)) == amount


@given(st.text(max_size=20))
def test_whatever_is_read_is_what_was_written(text: str) -> None:
    amount = fen(text)
    if amount is not None:
        assert yuan(amount).startswith(text)
        assert set(text) <= set("0123456789.")


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0", 0), ("0.01", 1), ("1", 100), ("1.5", 150), ("12.34", 1234), ("9999999999999.99", 10**15 - 1)],
)
def test_plain_amounts_are_read(text: str, amount: int) -> None:
    assert fen(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "1.",
        ".5",
        "01",
        "00.10",
        "-1",
        "+1",
        "1e2",
        "1,000.00",
        "1.005",
        " 1",
        "1 ",
        "1\n",
        "１",
        "NaN",
        "0x1",
        "10000000000000",
    ],
)
def test_anything_else_is_no_amount(text: str) -> None:
    assert fen(text) is None


def test_a_negative_amount_is_never_written() -> None:
    with pytest.raises(ValueError, match="negative"):
        yuan(-1)
