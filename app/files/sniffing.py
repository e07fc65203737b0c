"""The type of a file from its bytes, found while they come in and without holding them.

A file is what it says only if its structure accounts for every byte to the end: nothing may ride behind a picture, and
no archive in front of it or at its end. Where there is no structure, as in text, it may not look like markup.
"""

import codecs
import re
from collections.abc import Generator
from typing import Final, TypeAlias

from app.files.media_types import MediaType

Walk: TypeAlias = Generator[None, None, None]

MOST_PIXELS: Final = 200_000_000
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_VIDEO_BRAND: Final = re.compile(rb"iso[m2-9a-c]|mp4[12]|avc1|M4V |dash|3g[p2][0-9a-z]|mmp4|MSNV")
_BOX: Final = re.compile(rb"[A-Za-z0-9 \xa9]{4}")
# A marker within coded pixels: not a stuffed 00, not a restart, not a fill byte.
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
# The end of an archive's directory, with the numbers of its disks; what reads archives looks for it from the end.
_ARCHIVE_END: Final = b"PK\x05\x06\x00\x00\x00\x00"
_ARCHIVE_TAIL: Final = 22 + 65_535
# What a browser takes for a document, and not a nickname such as <b>: https://mimesniff.spec.whatwg.org, section 7.1
_MARKUP: Final = re.compile(
    r"<(!doctype|!--|\?xml|\?php)"
    r"|<(html|head|body|script|svg|math|iframe|object|embed|style|link|meta|title|table|font|div|img|form|base)[\s/>]",
    re.IGNORECASE,
)
_OTHER_TEXT: Final = ("#!", "%!", "{\\rtf")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
_LONGEST_TRAILER: Final = 64 * 1024
_MOST_PARTS: Final = 100_000  # what is cut into more was made to keep us busy


class Unfit(Exception):
    """The bytes are of no type that is taken, are broken off, or hold something else besides."""


class Sniffer:
    """Feed it all the bytes of one file; the answer comes at the end. Raises Unfit as soon as it is certain."""

    def __init__(self) -> None:
        self._tape = _Tape()
        self._walk = _walk(self._tape)
        self._tail = b""

    def feed(self, block: bytes) -> None:
        """The next bytes."""
        self._tail = (self._tail + block)[-_ARCHIVE_TAIL:]
        self._tape.add(block)
        next(self._walk)

    def finish(self) -> MediaType:
        """What the bytes were."""
        self._tape.ended = True
        if _ARCHIVE_END in self._tail:
            raise Unfit
        try:
            next(self._walk)
        except StopIteration as found:
            media_type: MediaType = found.value
            return media_type
        raise Unfit


class _Tape:
    """What has come in and was not looked at yet. Its generators pause where more is needed."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.ended = False
        self._taken = 0

    def add(self, block: bytes) -> None:
        self.held += block

    def peek(self, count: int) -> Generator[None, None, bytes]:
        """The next `count` bytes, which stay; fewer only at the end."""
        while len(self.held) < count and not self.ended:
            yield
        return bytes(self.held[:count])

    def take(self, count: int) -> Generator[None, None, bytes]:
        """The next `count` bytes; Unfit if there are fewer."""
        taken = yield from self.peek(count)
        self._taken += 1
        if len(taken) < count or self._taken > _MOST_PARTS:
            raise Unfit
        del self.held[:count]
        return taken

    def number(self, count: int) -> Generator[None, None, int]:
        return int.from_bytes((yield from self.take(count)))

    def skip(self, count: int) -> Walk:
        while count > len(self.held):
            count -= len(self.held)
            self.held.clear()
            if self.ended:
                raise Unfit
            yield
        del self.held[:count]

    def at_end(self) -> Generator[None, None, bool]:
        return not (yield from self.peek(1))


def _walk(tape: _Tape) -> Generator[None, None, MediaType]:
    head = yield from tape.peek(12)
    if head.startswith(_PNG):
        kind, walk = MediaType.PNG, _png(tape)
    elif head.startswith(b"\xff\xd8\xff"):
        kind, walk = MediaType.JPEG, _jpeg_and_its_kin(tape)
    elif head.startswith(b"RIFF") and head[8:] == b"WEBP":
        kind, walk = MediaType.WEBP, _webp(tape)
    elif re.match(rb"%PDF-[12]\.\d", head):
        kind, walk = MediaType.PDF, _pdf(tape)
    elif head[4:8] == b"ftyp":
        kind, walk = MediaType.MP4, _mp4(tape)
    else:
        kind, walk = MediaType.TEXT, _text(tape)
    yield from walk
    if not (yield from tape.at_end()):
        raise Unfit
    return kind


def _png(tape: _Tape) -> Walk:
    """Chunks from IHDR to IEND: https://www.w3.org/TR/png-3/#5DataRep."""
    yield from tape.skip(len(_PNG))
    if (yield from tape.take(8)) != b"\x00\x00\x00\rIHDR":
        raise Unfit
    width, height = (yield from tape.number(4)), (yield from tape.number(4))
    if not 0 < width * height <= MOST_PIXELS:
        raise Unfit
    yield from tape.skip(5 + 4)
    kind = b""
    while kind != b"IEND":
        length, kind = (yield from tape.number(4)), (yield from tape.take(4))
        if not kind.isalpha():
            raise Unfit
        yield from tape.skip(length + 4)


def _jpeg_and_its_kin(tape: _Tape) -> Walk:
    """A picture, and what telephones put behind it: previews, the moving part of a motion photo, Samsung's notes."""
    yield from _jpeg(tape)
    while not (yield from tape.at_end()):
        head = yield from tape.peek(8)
        if head.startswith(b"\x00"):
            yield from _zeros(tape)
        elif head.startswith(b"\xff\xd8\xff"):
            yield from _jpeg(tape)
        elif head[4:] == b"ftyp":
            yield from _mp4(tape)
        else:
            yield from _samsung_trailer(tape)


def _zeros(tape: _Tape) -> Walk:
    """Padding. The size of a video's first box begins with up to three zeros as well."""
    if (yield from tape.peek(8))[4:] == b"ftyp":
        yield from _mp4(tape)
    else:
        zeros = len(tape.held) - len(tape.held.lstrip(b"\x00"))
        yield from tape.skip(max(zeros - 3, 1))


def _samsung_trailer(tape: _Tape) -> Walk:
    """Notes of a screenshot: https://exiftool.org/TagNames/Samsung.html#Trailer."""
    trailer = yield from tape.peek(_LONGEST_TRAILER + 1)
    if len(trailer) > _LONGEST_TRAILER or not trailer.endswith(b"SEFT") or b"SEFH" not in trailer:
        raise Unfit
    if _MARKUP.search(trailer.decode("latin-1")):
        raise Unfit
    yield from tape.skip(len(trailer))


def _jpeg(tape: _Tape) -> Walk:
    """Segments to the end of the image: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B."""
    yield from tape.skip(2)
    code = 0
    while code != 0xD9:
        code = yield from _jpeg_marker(tape)
        if code != 0xD9:
            yield from _skip_segment(tape)
        if code == 0xDA:
            yield from _coded_pixels(tape)


def _skip_segment(tape: _Tape) -> Walk:
    length = yield from tape.number(2)
    if length < 2:
        raise Unfit
    yield from tape.skip(length - 2)


def _jpeg_marker(tape: _Tape) -> Generator[None, None, int]:
    if (yield from tape.number(1)) != 0xFF:
        raise Unfit
    code = 0xFF
    while code == 0xFF:
        code = yield from tape.number(1)
    if code < 0xC0 or 0xD0 <= code <= 0xD8:
        raise Unfit
    return code


def _coded_pixels(tape: _Tape) -> Walk:
    """Up to the next marker."""
    while (found := _MARKER.search(tape.held)) is None:
        if tape.ended:
            raise Unfit
        del tape.held[: -1 if tape.held.endswith(b"\xff") else None]
        yield
    del tape.held[: found.start()]


def _webp(tape: _Tape) -> Walk:
    """One RIFF chunk: https://developers.google.com/speed/webp/docs/riff_container."""
    yield from tape.skip(4)
    size = int.from_bytes((yield from tape.take(4)), "little")
    yield from tape.skip(4)
    if (yield from tape.peek(4)) not in {b"VP8 ", b"VP8L", b"VP8X"}:
        raise Unfit
    yield from tape.skip(size - 4 + size % 2)


def _pdf(tape: _Tape) -> Walk:
    """To its last `%%EOF`, behind which there is nothing but white space."""
    tail = b""
    while not (yield from tape.at_end()):
        tail = (tail + tape.held)[-1024:]
        tape.held.clear()
    if not tail.rstrip(b"\x00\t\n\f\r ").endswith(b"%%EOF"):
        raise Unfit


def _mp4(tape: _Tape) -> Walk:
    """Boxes to the end, the film's own among them: ISO/IEC 14496-12, 4.2."""
    if not _VIDEO_BRAND.fullmatch((yield from tape.peek(12))[8:]):
        raise Unfit
    kinds = set()
    while not (yield from tape.at_end()):
        size, kind = (yield from tape.number(4)), (yield from tape.take(4))
        if not _BOX.fullmatch(kind):
            raise Unfit
        kinds.add(kind)
        yield from _box_content(tape, size)
    if b"moov" not in kinds:
        raise Unfit


def _box_content(tape: _Tape, size: int) -> Walk:
    """What a size says is left; 1: the size follows in 8 bytes. A box without a size could be hiding anything."""
    header = 8
    if size == 1:
        size, header = (yield from tape.number(8)), 16
    if size < header:
        raise Unfit
    yield from tape.skip(size - header)


def _text(tape: _Tape) -> Walk:
    """UTF-8 without control characters that does not look like markup."""
    decoder, seen, is_first = codecs.getincrementaldecoder("utf-8")(), "", True
    while not (yield from tape.at_end()):
        seen = seen[-16:] + _decoded(decoder, bytes(tape.held))
        tape.held.clear()
        if _CONTROL.search(seen) or _MARKUP.search(seen) or (is_first and _begins_otherwise(seen)):
            raise Unfit
        is_first = False
    _decoded(decoder, b"", final=True)
    if is_first:
        raise Unfit


def _decoded(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> str:
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError:
        raise Unfit from None


def _begins_otherwise(seen: str) -> bool:
    return seen.lstrip("\ufeff \t\r\n").startswith(_OTHER_TEXT)
