"""Results as text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.series import Series, Spread


@dataclass(frozen=True, slots=True)
class Table:
    """What one benchmark found. The first column is text, the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Ready to be printed."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        yield f"== {self.title}"
        for row in (self.columns, *self.rows):
            first, *rest = (text.rjust(width) if n else text.ljust(width) for n, (text, width) in _each(row, widths))
            yield "   ".join((first, *rest)).rstrip()
        yield from (f"   {note}" for note in self.notes)


def _each(row: Sequence[str], widths: Sequence[int]) -> Iterator[tuple[int, tuple[str, int]]]:
    return enumerate(zip(row, widths, strict=True))


def figure(number: float) -> str:
    """Three digits that count, or all before the point."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def shown(found: Spread) -> tuple[str, str]:
    """The middle, and the extremes."""
    return figure(found.middle), f"{figure(found.least)}–{figure(found.greatest)}"


def compared(series: Sequence[Series], reference: Series) -> tuple[tuple[str, ...], ...]:
    """A row for each: name, figure, extremes, ratio to the reference, extremes of the ratio."""
    return tuple((each.name, *shown(each.spread), *shown(each.ratio_to(reference))) for each in series)
