"""HTML in which everything is text unless it was made by `tag`, so that nothing that anybody wrote is ever acted on."""

import unicodedata
from collections.abc import Iterable
from html import escape
from typing import Final, TypeAlias
from urllib.parse import quote

_BARE: Final = frozenset({"meta", "hr", "br"})
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# A line feed and a tab are shown as what they are; the joiners are parts of words and pictures.
_LEFT_ALONE: Final = frozenset("\n\t\u200c\u200d")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child: TypeAlias = "Html | str | None"


def tag(name: str, /, *children: Child, **attributes: str) -> Html:
    """An element; children that are plain text are escaped, None is left out. `class_` is written `class`."""
    written = "".join(f' {key.rstrip("_")}="{_escaped(value)}"' for key, value in attributes.items())
    if name in _BARE:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{together(children)}</{name}>")


def together(children: Iterable[Child]) -> Html:
    """Several pieces one after another."""
    return Html("".join(_markup(child) for child in children if child is not None))


def said(text: str) -> Html:
    """What somebody wrote: its lines are kept, and its direction does not spread to what stands beside it."""
    return tag("bdi", text, class_="said")


def link(path: str, text: str) -> Html:
    """To another file of the bundle; `path` as it is named there."""
    return tag("a", text, href=quote(path))


def table(heads: Iterable[str], rows: Iterable[Iterable[Child]], *, class_: str = "") -> Html:
    """A table whose head is repeated on every printed page."""
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
    return tag("table", head, body, class_=class_) if class_ else tag("table", head, body)


def pairs(rows: Iterable[tuple[str, Child]]) -> Html:
    """Names and values; a value None is left out with its name."""
    shown = [(name, value) for name, value in rows if value is not None]
    return tag(
        "table",
        tag("tbody", *(tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in shown)),
        class_="pairs",
    )


def section(title: str, *children: Child) -> Html:
    """A part of a page under its heading."""
    return tag("section", tag("h2", title), *children)


def bullets(items: Iterable[Child]) -> Html | None:
    """A list; None for one without items."""
    shown = [tag("li", item) for item in items]
    return tag("ul", *shown) if shown else None


def visible(text: str) -> str:
    """The same with control and direction characters written out: `⟨U+202E⟩`."""
    return "".join(
        f"⟨U+{ord(letter):04X}⟩" if unicodedata.category(letter) in _INVISIBLE and letter not in _LEFT_ALONE else letter
        for letter in text
    )


def _markup(child: Html | str) -> str:
    return child if isinstance(child, Html) else _escaped(child)


def _escaped(text: str) -> str:
    return escape(visible(text), quote=True)
