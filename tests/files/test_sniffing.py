"""A file is what its bytes are, to the last of them; nothing else gets in."""

import io
import random
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.files.media_types import MediaType
from app.files.sniffing import MOST_PIXELS, Sniffer, Unfit
from tests.files.samples import ARCHIVE_END, HTML, SVG, TEXT, box, jpeg, mp4, pdf, png, png_chunk, webp


def sniffed(content: bytes, size: int = 65_536) -> MediaType:
    sniffer = Sniffer()
    for start in range(0, len(content), size):
        sniffer.feed(content[start : start + size])
    return sniffer.finish()


def archive() -> bytes:
    """Half a kilobyte that unpacks to a megabyte."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.html", bytes(1_000_000))
    return held.getvalue()


SAMSUNG = b"\x00\x00\x01\x0a\x0e\x00\x00\x00Image_UTC_Data1767225600000SEFH\x6b\x00\x00\x00\x18\x00\x00\x00SEFT"

GOOD = {
    "png": (png(), MediaType.PNG),
    "png with a note that looks like markup": (png(filling=HTML), MediaType.PNG),
    "jpeg": (jpeg(), MediaType.JPEG),
    "jpeg with fill bytes": (jpeg().replace(b"\xff\xc0", b"\xff\xff\xff\xc0"), MediaType.JPEG),
    "jpeg of two scans": (jpeg(b"\x01" + jpeg()[-19:-2]), MediaType.JPEG),
    "jpeg with a preview behind it": (jpeg() + bytes(5) + jpeg(), MediaType.JPEG),
    "jpeg padded": (jpeg() + bytes(4_097), MediaType.JPEG),
    "jpeg as a telephone takes a screenshot": (jpeg() + SAMSUNG, MediaType.JPEG),
    "motion photo": (jpeg() + bytes(16) + mp4(b"mp42"), MediaType.JPEG),
    "webp": (webp(), MediaType.WEBP),
    "webp of an even number of bytes": (webp(b"\x2f\x01\x00\x00\x00\x00"), MediaType.WEBP),
    "pdf": (pdf(), MediaType.PDF),
    "pdf of an old printer": (pdf(b"\r\n\x00\x00").replace(b"1.7", b"1.3"), MediaType.PDF),
    "mp4": (mp4(), MediaType.MP4),
    "screen recording": (mp4(b"mp42"), MediaType.MP4),
    "film of a telephone": (mp4(b"3gp4"), MediaType.MP4),
    "text": (TEXT, MediaType.TEXT),
    "text with a byte order mark": (b"\xef\xbb\xbf" + TEXT, MediaType.TEXT),
    "chat with nicknames in angle brackets": (b"<b> hello\n<a> hi <img_7>\r\n\tif a<b and c>d\f", MediaType.TEXT),
    "a single letter": (b"x", MediaType.TEXT),
}

NASTY = {
    "nothing": b"",
    "html": HTML,
    "html after white space": b"\xef\xbb\xbf \r\n\t" + HTML,
    "html in capitals": b"<HTML><BODY onload=alert(1)>",
    "html late in a text": TEXT * 2_000 + HTML,
    "a script tag alone": b"hello <script>alert(1)</script>",
    "an image tag with a handler": b"<img src=x onerror=alert(1)>",
    "svg with script": SVG,
    "svg without a declaration": SVG[21:],
    "xml": b'<?xml version="1.0"?><a/>',
    "php": b"hi\n<?php system($_GET[0]);",
    "shell script": b"#!/bin/sh\nrm -rf /\n",
    "postscript": b"%!PS-Adobe-3.0\n",
    "rich text": b"{\\rtf1\\ansi hello}",
    "zip bomb": archive(),
    "empty zip": ARCHIVE_END,
    "gzip": b"\x1f\x8b\x08\x00" + bytes(20),
    "gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes(10) + b"\x3b",
    "gif and java archive": b"GIF89a" + bytes(40) + archive(),
    "windows program": b"MZ\x90\x00\x03" + bytes(60),
    "linux program": b"\x7fELF\x02\x01\x01" + bytes(60),
    "java class": b"\xca\xfe\xba\xbe\x00\x00\x00\x34" + bytes(20),
    "old office document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
    "quicktime": mp4(b"qt  "),
    "heic": box(b"ftyp", b"heic\x00\x00\x00\x00mif1") + box(b"meta") + box(b"mdat"),
    "avif": box(b"ftyp", b"avif\x00\x00\x00\x00mif1") + box(b"moov"),
    "sound": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(28),
    "text with NUL": b"hello\x00world",
    "text with a terminal's escape": b"hello \x1b[2J",
    "text with a control character of the upper half": "hello \x9b2J".encode(),
    "text in GBK": "卡密无效".encode("gbk"),
    "text broken off within a letter": "卡".encode()[:2],
    "text in UTF-16": "hello".encode("utf-16"),
    "overlong utf-8": b"\xc0\xbcscript",
    "png and html": png() + HTML,
    "png and zip": png() + archive(),
    "png and one byte": png() + b"\x00",
    "png with an archive inside": png(filling=archive()),
    "png cut off": png()[:-5],
    "png without its header": png()[:8] + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b""),
    "png's signature and html": png()[:8] + HTML,
    "png that would unpack to gigabytes": png(60_000, 60_000),
    "png without a pixel": png(0, 2),
    "png chunk of the wrong alphabet": png()[:33] + png_chunk(b"<scr", b"") + png_chunk(b"IEND", b""),
    "jpeg and html": jpeg() + HTML,
    "jpeg and zip": jpeg() + archive(),
    "jpeg, notes and html": jpeg() + HTML + SAMSUNG,
    "jpeg and a long unknown trailer": jpeg() + b"x" * 70_000 + SAMSUNG,
    "jpeg cut off": jpeg()[:-2],
    "jpeg cut off in a segment": jpeg()[:30],
    "jpeg's first bytes and html": b"\xff\xd8\xff\xe0" + HTML,
    "jpeg segment of no length": b"\xff\xd8\xff\xe0\x00\x01" + jpeg()[4:],
    "jpeg of nothing but segments": b"\xff\xd8" + b"\xff\xe0\x00\x02" * 200_000 + b"\xff\xd9",
    "webp and html": webp() + HTML,
    "webp cut off": webp()[:-3],
    "webp that says it is tiny": webp()[:4] + b"\x00\x00\x00\x00" + webp()[8:],
    "webp with something else inside": webp().replace(b"VP8L", b"<svg"),
    "pdf and zip": pdf() + archive(),
    "pdf and html": pdf() + HTML,
    "pdf in an archive's comment": archive()[:-2] + b"\x10\x00" + pdf(),
    "pdf without an end": pdf()[:-7],
    "pdf behind other bytes": b"GIF8" + pdf(),
    "mp4 and html": mp4() + HTML,
    "mp4 cut off": mp4()[:-3],
    "mp4 without its film": box(b"ftyp", b"isom\x00\x00\x02\x00isom"),
    "mp4 whose box has no end": mp4() + b"\x00\x00\x00\x00free" + HTML,
    "mp4 whose box is smaller than itself": mp4() + b"\x00\x00\x00\x04free",
    "mp4 in an html": b"<!--ftypisom-->" + mp4(),
    "mp4 and zip": mp4() + box(b"free", archive()),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("size", [1, 7, 65_536])
def test_whole_files_are_known_however_they_are_cut(name: str, size: int) -> None:
    content, expected = GOOD[name]
    assert sniffed(content, size) is expected


@pytest.mark.parametrize("name", NASTY)
def test_nasty_files_are_refused(name: str) -> None:
    for size in (64, 65_536):
        with pytest.raises(Unfit):
            sniffed(NASTY[name], size)


def test_markup_cut_in_two_is_seen() -> None:
    for cut in range(1, 12):
        sniffer = Sniffer()
        sniffer.feed(b"hello <scri"[:cut])
        with pytest.raises(Unfit):
            sniffer.feed(b"hello <script >"[cut:])


def test_the_largest_picture_passes_and_the_next_does_not() -> None:
    assert sniffed(png(MOST_PIXELS // 1_000, 1_000)) is MediaType.PNG
    with pytest.raises(Unfit):
        sniffed(png(MOST_PIXELS // 1_000 + 1, 1_000))


def test_an_unfit_file_is_refused_before_its_end() -> None:
    sniffer = Sniffer()
    with pytest.raises(Unfit):
        sniffer.feed(b"PK\x03\x04" + bytes(100))


def test_bytes_are_looked_at_and_let_go() -> None:
    sniffer = Sniffer()
    sniffer.feed(jpeg()[:-2])
    for _ in range(50):
        sniffer.feed(bytes(65_536))
        assert len(sniffer._tape.held) <= 1
    sniffer.feed(b"\xff\xd9")
    assert sniffer.finish() is MediaType.JPEG


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.integers(0, 2**32), st.binary(min_size=1, max_size=40))
def test_damage_is_refused_or_leaves_a_known_type(name: str, seed: int, other: bytes) -> None:
    """Whatever comes: an answer or Unfit, and never another failure."""
    content = bytearray(GOOD[name][0])
    at = random.Random(seed).randrange(len(content))
    content[at : at + len(other)] = other
    with suppress(Unfit):
        assert sniffed(bytes(content), 33) in MediaType


@given(st.binary(max_size=300))
def test_any_bytes_have_an_answer(content: bytes) -> None:
    with suppress(Unfit):
        assert sniffed(content) in MediaType
