"""Names that callers give, and what is left of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.files.media_types import MediaType
from app.files.names import LONGEST_NAME, name_for, neutral_name


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("聊天记录.png", "聊天记录.png"),
        ("my photo (1).jpg", "my photo (1).jpg"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\win.ini", "win.ini"),
        ("C:\\Users\\x\\a.png", "a.png"),
        ("/", "file"),
        ("", "file"),
        ("..", "file"),
        (" . ", "file"),
        (".htaccess", "htaccess"),
        ("a.png.", "a.png"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("Com1.png", "_Com1.png"),
        ("LPT¹.png", "_LPT¹.png"),
        ("nul .png", "_nul.png"),
        ("console.png", "console.png"),
        ("a\x00b.png", "ab.png"),
        ("a\r\nSet-Cookie: x=1.png", "aSet-Cookie_ x=1.png"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\u2066b\u2069.png", "ab.png"),
        ('a"<b>|?*:.png', "a__b_____.png"),
        ("a\ud800b.png", "ab.png"),
        ("e\u0301.png", "\u00e9.png"),
        ("a  \t b.png", "a b.png"),
    ],
)
def test_a_name_is_neutralised(given_name: str, kept: str) -> None:
    assert neutral_name(given_name) == kept


def test_a_long_name_keeps_its_ending() -> None:
    assert neutral_name("x" * 4_096 + ".png") == "x" * 96 + ".png"
    chinese = neutral_name("证" * 4_096 + ".png")
    assert chinese.endswith("证.png")
    assert len(chinese.encode()) <= 200


@given(st.text(max_size=400) | st.text(alphabet="conCON.¹1/\\ \u202e证ab", max_size=130))
def test_whatever_comes_is_neutral(given_name: str) -> None:
    kept = neutral_name(given_name)
    assert neutral_name(kept) == kept
    assert 1 <= len(kept) <= LONGEST_NAME
    assert len(kept.encode()) <= 200
    assert kept.isprintable()
    assert not set(kept) & set('/\\<>:"|?*')
    assert kept == kept.strip(". ")


@pytest.mark.parametrize(
    ("name", "media_type", "expected"),
    [
        ("a.png", MediaType.PNG, "a.png"),
        ("a.PNG", MediaType.PNG, "a.PNG"),
        ("a.jpeg", MediaType.JPEG, "a.jpeg"),
        ("invoice.exe", MediaType.PDF, "invoice.exe.pdf"),
        ("page.html", MediaType.TEXT, "page.html.txt"),
        ("a", MediaType.MP4, "a.mp4"),
        ("CON", MediaType.PNG, "_CON.png"),
        ("x" * 200, MediaType.WEBP, "x" * 95 + ".webp"),
    ],
)
def test_a_name_ends_as_its_type_does(name: str, media_type: MediaType, expected: str) -> None:
    assert name_for(name, media_type) == expected


@given(st.text(max_size=300), st.sampled_from(MediaType))
def test_a_name_for_a_type_is_neutral_and_ends_so(given_name: str, media_type: MediaType) -> None:
    name = name_for(given_name, media_type)
    assert neutral_name(name) == name
    assert name_for(name, media_type) == name
