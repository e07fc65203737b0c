"""How much of each harness a run of the tests takes: a sample each time, all of it if asked."""

import os
from collections.abc import Iterable
from typing import Final

IS_LONG: Final = bool(os.environ.get("KMR_LONG"))


def sized(sample: int, whole: int) -> int:
    """`KMR_LONG=1 pytest tests/failures` takes the whole."""
    return whole if IS_LONG else sample


def seeds(red: Iterable[int]) -> list[int]:
    """One for every run, and whichever once went red."""
    return [1, *red]
