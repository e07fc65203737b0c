"""Small files, whole and true to their formats, for tests to send and to spoil."""

import struct
import zlib

_HUFFMAN = bytes([0xFF, 0xC4, 0x00, 0x14, 0x00, 0x01, *[0] * 15, 0x00])
ARCHIVE_END = b"PK\x05\x06" + bytes(18)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Length, type, content, checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int = 2, height: int = 2, *, filling: bytes = b"") -> bytes:
    """A grey picture; `filling` is a text chunk in it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\x00\x7f\x7f" * 2)
    note = png_chunk(b"tEXt", b"Comment\x00" + filling) if filling else b""
    chunks = png_chunk(b"IHDR", header) + note + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def jpeg(pixels: bytes = b"\x12\xff\x00\x34\xff\xd0\x56") -> bytes:
    """Segments, a scan with a stuffed byte and a restart in it, the end."""
    start = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    frame = b"\xff\xc0\x00\x0b\x08\x00\x02\x00\x02\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    return start + frame + _HUFFMAN + scan + pixels + b"\xff\xd9"


def webp(content: bytes = b"\x2f\x01\x00\x00\x00") -> bytes:
    """A lossless picture of an odd number of bytes, padded."""
    padded = content + b"\x00" * (len(content) % 2)
    chunk = b"VP8L" + struct.pack("<I", len(content)) + padded
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def box(kind: bytes, content: bytes = b"") -> bytes:
    """One box of a film."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def mp4(brand: bytes = b"isom") -> bytes:
    """A film without pictures; its content has the long form of a size."""
    content = b"\x00" * 9
    long_box = struct.pack(">I", 1) + b"mdat" + struct.pack(">Q", 16 + len(content)) + content
    return box(b"ftyp", brand + b"\x00\x00\x02\x00" + brand) + box(b"moov", box(b"mvhd", bytes(100))) + long_box


def pdf(end: bytes = b"\n") -> bytes:
    """A document without pages."""
    body = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n"
    return body + b"startxref\n9\n%%EOF" + end


TEXT = "2026-03-10 12:01 买家：卡密无效\n2026-03-10 12:02 客服：<小李> 稍等，a < b\n".encode()
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><title>x</title><script>alert(1)</script>"
