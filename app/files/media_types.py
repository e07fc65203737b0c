"""The types of files that are taken as evidence: a closed set."""

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class MediaType(StrEnum):
    """文件类型."""

    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"
    PDF = "application/pdf"
    MP4 = "video/mp4"
    TEXT = "text/plain"


# The first is the one that is added to a name without any of them.
SUFFIXES: Final = MappingProxyType(
    {
        MediaType.PNG: (".png",),
        MediaType.JPEG: (".jpg", ".jpeg"),
        MediaType.WEBP: (".webp",),
        MediaType.PDF: (".pdf",),
        MediaType.MP4: (".mp4", ".m4v"),
        MediaType.TEXT: (".txt", ".log"),
    }
)
