"""Lines for a terminal whose Chinese characters are twice as wide as the others."""

import unicodedata
from collections.abc import Iterator


def cells(text: str) -> int:
    """How wide a terminal shows it: Chinese characters take two cells."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def padded(text: str, width: int) -> str:
    """With spaces behind it, up to that many cells."""
    return text + " " * max(0, width - cells(text))


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines no wider than `width` cells, indented as the first; Chinese may break anywhere."""
    indent = text[: len(text) - len(text.lstrip())]
    line = ""
    for word in _pieces(text.strip()):
        if line.strip() and cells(indent + line + word.rstrip()) > width:
            yield indent + line.rstrip()
            line = ""
        line += word if line else word.lstrip()
    yield indent + line.rstrip()


def _pieces(text: str) -> Iterator[str]:
    """Words with the space behind them, and Chinese characters one by one; closing punctuation stays with its word."""
    piece = ""
    for letter in text:
        wide = unicodedata.east_asian_width(letter) in "WF" and unicodedata.category(letter)[0] != "P"
        if wide and piece:
            yield piece
            piece = ""
        piece += letter
        if letter == " ":
            yield piece
            piece = ""
    if piece:
        yield piece
