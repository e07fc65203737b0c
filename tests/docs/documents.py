"""The documents as the tests read them: their headings, links and code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "README.zh-CN.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")

_FENCE = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(?P<level>#{1,6}) (?P<text>.+)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True)
class Code:
    """A fenced block."""

    language: str
    text: str


def documents() -> list[Path]:
    """Every document of the project."""
    return [*(CHECKOUT / name for name in TOP), *sorted((CHECKOUT / "docs").rglob("*.md"))]


def text_of(name: str) -> str:
    """A document, by its path from the checkout."""
    return (CHECKOUT / name).read_text("utf-8")


def code(text: str, language: str) -> list[str]:
    """The fenced blocks in a language, in order."""
    return [found["text"] for found in _FENCE.finditer(text) if found["language"] == language]


def prose(text: str) -> str:
    """What is left without the fenced blocks."""
    return _FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """What stands between single backticks."""
    return _SPAN.findall(prose(text))


def links(text: str) -> list[str]:
    """The targets of links, in order."""
    return [found["target"] for found in _LINK.finditer(prose(text))]


def headings(text: str) -> list[tuple[int, str]]:
    """Level and text of each heading."""
    return [(len(found["level"]), found["text"].strip()) for found in _HEADING.finditer(prose(text))]


def anchors(text: str) -> set[str]:
    """The fragments that a heading can be linked by, as GitHub makes them."""
    return set(_numbered(_slug(heading) for _, heading in headings(text)))


def _slug(heading: str) -> str:
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _numbered(slugs: Iterator[str]) -> Iterator[str]:
    """The second heading of one text gets `-1`, and so on."""
    seen: dict[str, int] = {}
    for slug in slugs:
        count = seen[slug] = seen.get(slug, -1) + 1
        yield f"{slug}-{count}" if count else slug
