"""What is due, site by site: found without a lock, and settled in the transaction that locked the case."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.models.closed_sets import TimerKind, TimerState
from app.models.timers import Timer
from app.rules.calendar import SHANGHAI
from app.store.statement import statement

# The instant of a limit is still in time, so that it is over only afterwards.
_DUE = "t.state = 'pending' AND t.next_attempt_at < now()"

# One look into the index for each site. In no order, so that sites beyond the limit get their turn in another round.
_SITES_DUE = statement(f"""
    SELECT s.site_id
    FROM sites s CROSS JOIN LATERAL (
        SELECT FROM case_timers t WHERE t.site_id = s.site_id AND {_DUE} ORDER BY t.next_attempt_at LIMIT 1
    ) due
    ORDER BY random() LIMIT :limit""")  # noqa: S608 - no value is among the parts

_OLDEST = statement(f"""
    SELECT t.case_id, t.name, t.kind, t.due_at, t.attempts FROM case_timers t
    WHERE t.site_id = :site_id AND {_DUE} AND t.case_id <> ALL(:busy)
    ORDER BY t.next_attempt_at, t.due_at, t.case_id, t.name, t.kind LIMIT :limit""")  # noqa: S608 - as above

_FIRE = statement(f"""
    UPDATE case_timers t SET state = 'fired', settled_at = now()
    WHERE t.site_id = :site_id AND t.case_id = :case_id AND t.name = :name AND t.kind = :kind AND t.due_at = :at
      AND {_DUE} RETURNING true""")  # noqa: S608 - as above

_PROVISIONAL = """t.site_id = :site_id AND t.state = 'pending' AND t.kind = 'due' AND t.provisional
    AND t.due_at < :before"""
_PROVISIONAL_CASES = statement(f"""
    SELECT DISTINCT t.case_id FROM case_timers t WHERE {_PROVISIONAL} AND t.case_id > :case_id
    ORDER BY t.case_id LIMIT :limit""")  # noqa: S608 - as above
_IS_PROVISIONAL = statement(f"""
    SELECT EXISTS (SELECT FROM case_timers t WHERE {_PROVISIONAL} AND t.case_id = :case_id)""")  # noqa: S608 - as above

_BEFORE_ALL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A deadline that is over, or work that is to be done. `attempts`: how many have failed."""

    case_id: UUID
    name: str
    kind: TimerKind
    due_at: datetime
    attempts: int


async def sites_due(connection: AsyncConnection, limit: int) -> list[UUID]:
    """Some of the sites where something is due. Reads only: no lock spans two sites."""
    return list((await connection.scalars(_SITES_DUE, {"limit": limit})).all())


class TimerStore:
    """The timers of one site."""

    def __init__(self, connection: AsyncConnection, site_id: UUID) -> None:
        self._connection = connection
        self._site_id = site_id

    async def due(self, limit: int, busy: Collection[UUID] = ()) -> list[DueTimer]:
        """The oldest that are due, without those of the cases that are `busy`. Unlocked: see `pending`."""
        found = await self._connection.execute(_OLDEST, {"site_id": self._site_id, "limit": limit, "busy": list(busy)})
        return [DueTimer(**{**row, "kind": TimerKind(row["kind"])}) for row in found.mappings()]

    async def fire(self, timer: DueTimer) -> bool:
        """Marks it as fired; False if it is not to be fired any more: others did, or the case went on. Lock it before.

        From then on the case's next step neither ends this timer nor sets it again.
        """
        parameters = {
            "site_id": self._site_id,
            "case_id": timer.case_id,
            "name": timer.name,
            "kind": timer.kind.value,
            "at": timer.due_at,
        }
        return await self._connection.scalar(_FIRE, parameters) is not None

    async def void(self, timer: DueTimer) -> None:
        """It did not matter any more when it came to be fired."""
        nothing = {"state": TimerState.VOID.value, "settled_at": func.now()}
        await self._connection.execute(update(Timer).where(self._this(timer)).values(nothing))

    async def failed(self, timer: DueTimer, next_attempt_at: datetime) -> bool:
        """An attempt has failed: another one then. False if the timer was settled or tried by others meanwhile."""
        again = {"attempts": Timer.attempts + 1, "next_attempt_at": next_attempt_at}
        unchanged = and_(Timer.state == TimerState.PENDING.value, Timer.attempts == timer.attempts)
        tried = update(Timer).where(self._this(timer), unchanged).values(again)
        return (await self._connection.execute(tried)).rowcount > 0

    async def provisional_until(self, day: date, limit: int, after: UUID | None = None) -> list[UUID]:
        """Cases with a provisional deadline on `day` of Shanghai or before, in the order of their ids."""
        parameters = {"site_id": self._site_id, "before": _end_of(day), "case_id": after or _BEFORE_ALL, "limit": limit}
        return list((await self._connection.scalars(_PROVISIONAL_CASES, parameters)).all())

    async def is_provisional(self, case_id: UUID, day: date) -> bool:
        """Whether a case still has such a deadline."""
        parameters = {"site_id": self._site_id, "before": _end_of(day), "case_id": case_id}
        return bool(await self._connection.scalar(_IS_PROVISIONAL, parameters))

    def _this(self, timer: DueTimer) -> ColumnElement[bool]:
        return and_(
            Timer.site_id == self._site_id,
            Timer.case_id == timer.case_id,
            Timer.name == timer.name,
            Timer.kind == timer.kind.value,
            Timer.due_at == timer.due_at,
        )


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time.min, SHANGHAI)
