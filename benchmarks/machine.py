"""The machine, as far as the figures depend on it."""

import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import asyncpg

from launcher.postgres import Server

_SYNCS = 40


async def facts_of(server: Server, folder: Path) -> list[str]:
    """Lines that say what the figures were measured on."""
    connection = await asyncpg.connect(server.admin_url("postgres"))
    try:
        version = await connection.fetchval("SHOW server_version")
        durable = {name: await connection.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit")}
    finally:
        await connection.close()
    settings = ", ".join(f"{name} {value}" for name, value in durable.items())
    return [
        f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before, {platform.machine()}, "
        f"Python {sys.version.split()[0]}",
        f"Postgres {version} on the same machine, {settings}; one synced write of 8 kB takes "
        f"{median(_synced_writes(folder)):.0f} µs",
    ]


def _synced_writes(folder: Path) -> Iterator[float]:
    """In µs: what a durable commit waits for at the least."""
    with (folder / "synced").open("wb") as file:
        for _ in range(_SYNCS):
            file.seek(0)
            file.write(bytes(8192))
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            yield (time.perf_counter() - started) * 1e6
