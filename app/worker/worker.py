"""All loops of the process together: what comes back, and what is sent."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from app.files.cabinet import Cabinet
from app.sealing import Sealer
from app.services.channel_accounts import Channels
from app.store.engine import Engine
from app.worker.chores import chores_of, repeat
from app.worker.sending import Outlets, Sending

LAST_TIMERS: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Worker:
    """Fires, sends and tidies up. `cabinet` None: no files are kept."""

    engine: Engine
    sealer: Sealer
    outlets: list[Outlets]
    channels: Channels
    cabinet: Cabinet | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then lets what is under way end, for a while."""
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(repeat(chore.work, stop, every=chore.every))
                for chore in chores_of(self.engine, self.channels, self.cabinet)
            ]
            await Sending(self.engine, self.sealer, self.outlets).run(stop)
            # A chore that is cut off here has done nothing, and is done by the next worker.
            await asyncio.wait(loops, timeout=LAST_TIMERS.total_seconds())
            for loop in loops:
                loop.cancel()
