"""Figures of several rounds, and how two ways compare within each round.

Other work on the machine slows neighbouring measurements alike, so a ratio is taken round by round, and its median and
its extremes are told. An absolute figure says little about any other machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of several figures, and the least and the greatest of them."""

    middle: float
    least: float
    greatest: float


def spread(figures: Sequence[float]) -> Spread:
    """Of one figure or more."""
    return Spread(median(figures), min(figures), max(figures))


@dataclass(frozen=True, slots=True)
class Series:
    """One way of doing something: a figure for each round."""

    name: str
    figures: tuple[float, ...]

    @property
    def spread(self) -> Spread:
        """Over the rounds."""
        return spread(self.figures)

    def ratio_to(self, other: "Series") -> Spread:
        """Over the rounds that both have, each compared with its neighbour."""
        return spread([ours / theirs for ours, theirs in zip(self.figures, other.figures, strict=False)])
