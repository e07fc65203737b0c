"""Names of files as they may be kept, answered and written into an archive, whatever a caller calls a file."""

import re
import unicodedata
from typing import Final

from app.files.media_types import SUFFIXES, MediaType

LONGEST_NAME: Final = 100
_MOST_BYTES: Final = 200  # file systems take 255, and an archive adds its own

NAMELESS: Final = "file"

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: reserved with any suffix, and also with ¹²³
_DEVICE: Final = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)")
_UNFIT: Final = re.compile(r'[<>:"|?*]')
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def neutral_name(name: str) -> str:
    """A name without path, control and direction characters, that no file system acts on; 1 to 100 characters.

    A name that is neutral already stays as it is.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    visible = "".join(letter for letter in last if unicodedata.category(letter) not in _INVISIBLE)
    plain = _UNFIT.sub("_", " ".join(visible.split()))
    return _undeviced(_cut(_trimmed(unicodedata.normalize("NFC", plain))))


def name_for(name: str, media_type: MediaType) -> str:
    """A neutral name whose ending is one of its type, so that no program is started by what the name pretends."""
    suffixes = SUFFIXES[media_type]
    neutral = neutral_name(name)
    return (
        neutral if neutral.lower().endswith(suffixes) else neutral_name(_cut(neutral, len(suffixes[0])) + suffixes[0])
    )


def _trimmed(name: str) -> str:
    return name.strip(". ") or NAMELESS


def _undeviced(name: str) -> str:
    return f"_{_cut(name, 1)}" if _DEVICE.match(name) else name


def _cut(name: str, room: int = 0) -> str:
    """Within the limits of characters and bytes, less `room`; the ending is kept where it is a short one."""
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > 10:
        stem, dot, ending = name, "", ""
    suffix = dot + ending
    stem = stem[: LONGEST_NAME - room - len(suffix)]
    while len((stem + suffix).encode()) > _MOST_BYTES - room:
        stem = stem[:-1]
    return _trimmed(stem + suffix) if suffix == "" else f"{_trimmed(stem)}{suffix}"
