"""Whether a file is where it was put, without reading it."""

import asyncio
from collections.abc import Mapping
from typing import Final, TypeVar

import obstore
from obstore.exceptions import BaseError

from app.errors import FilesUnavailable
from app.files.cabinet import Cabinet

Label = TypeVar("Label")

_AT_ONCE: Final = 8


async def sizes_of(cabinet: Cabinet, keys: Mapping[Label, str]) -> dict[Label, int | None]:
    """How many bytes lie under each key; None where there are none. Raises FilesUnavailable."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def size_of(key: str) -> int | None:
        async with places:
            return await asyncio.to_thread(_size, cabinet, key)

    found = await asyncio.gather(*(size_of(key) for key in keys.values()))
    return dict(zip(keys, found, strict=True))


def _size(cabinet: Cabinet, key: str) -> int | None:
    try:
        return int(obstore.head(cabinet.store, key)["size"])
    except FileNotFoundError:
        return None
    except (BaseError, OSError) as error:
        raise FilesUnavailable from error
