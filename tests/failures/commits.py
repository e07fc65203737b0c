"""The reply to COMMIT is lost, or the COMMIT itself: what a client is told, what its retry finds, what is left.

python -m tests.failures.commits              200 lost replies, under a seed that is printed
python -m tests.failures.commits 1000 42      that many, under that seed
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

import httpx

from tests.failures.operations import OPERATIONS, Operation, is_replay, said
from tests.failures.proxy import Accident, Cut, Loss, LossyProxy, lossy
from tests.failures.report import Report, main
from tests.failures.serving import Refused, Request, Shop, serving
from tests.failures.traces import at_odds, difference, traces

REPLIES: Final = 200
AT_ONCE: Final = 6
# Of five requests two lose the reply once; the others the commit, both, or the reply of the retry as well.
COURSES: Final = (
    (Loss.REPLY,), (Loss.REPLY,), (Loss.COMMIT,), (Loss.REPLY, Loss.REPLY), (Loss.COMMIT, Loss.REPLY),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Sent:
    """One request, and what befalls its COMMITs, attempt by attempt; then it is heard."""

    request: Request
    key: str
    course: tuple[Accident, ...]

    @property
    def took_effect_unheard(self) -> bool:
        return any(accident.loss is Loss.REPLY for accident in self.course)


@dataclass(slots=True)
class _Losing:
    """`left`: what each operation leaves behind where nothing is lost."""

    shop: Shop
    proxy: LossyProxy
    report: Report
    left: dict[str, str] = field(default_factory=dict)
    lanes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def calm(self, operation: Operation) -> None:
        """Notes what the operation leaves behind by itself."""
        order_no = f"calm-{operation.name}"
        answer = await self.shop.send(await operation.prepare(self.shop, order_no), order_no)
        if not operation.is_regular(answer):
            raise Refused(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
        self.left[operation.name] = await self.traces(order_no)

    async def disturbed(self, n: int, operation: Operation, course: tuple[Accident, ...]) -> None:
        """The operation on an order of its own, its COMMITs lost as in the course."""
        order_no = f"T-{n:05}-{operation.name}"
        async with self.lanes:
            request = await operation.prepare(self.shop, order_no)
            sent = _Sent(request, f"lossy-{operation.name.replace('-', '')}-{n}", course)
            self.proxy.plan[sent.key] = deque(course)
            try:
                faults = await self._faults(operation, sent)
            except httpx.HTTPError as error:
                faults = [repr(error)]
        self.report.faults += [f"{order_no}, {', '.join(each.loss for each in course)} lost: {it}" for it in faults]

    async def _faults(self, operation: Operation, sent: _Sent) -> list[str]:
        faults: list[str] = []
        for _ in sent.course:
            faults += _of_a_loss(await self._asked(sent))
        heard, again = await self._asked(sent), await self._asked(sent)
        if not operation.is_regular(heard):
            faults.append(f"the retry was answered {heard.status_code} {heard.text[:200]}")
        faults += _of_what_is_heard(sent, heard, again)
        return faults + difference(await self.traces(sent.request.trace), self.left[operation.name])

    async def _asked(self, sent: _Sent) -> httpx.Response:
        answer = await self.shop.send(sent.request, sent.key)
        self.report.counts[f"answers {answer.status_code}"] += 1
        return answer

    async def traces(self, order_no: str) -> str:
        """One look at a time: there is one connection to look by."""
        async with self.looking:
            return await traces(self.shop.database, order_no)


async def lose_commits(
    database_url: str, replies: int, seed: int, *, names: Sequence[str] = tuple(OPERATIONS), fault: str | None = None
) -> Report:
    """The operations in turn, several at once, until that many replies to COMMIT are lost."""
    report = Report(seed)
    async with lossy(database_url) as (proxy, through), serving(database_url, through=through, fault=fault) as shop:
        # Somebody wants to be told of everything; no worker runs, so it stays with what is to be told.
        await shop.do(Request("POST", "/v1/webhook-endpoints", {"url": "http://127.0.0.1:65000/", "role": "site"}, ""))
        losing = _Losing(shop, proxy, report)
        for name in names:
            await losing.calm(OPERATIONS[name])
        async with asyncio.TaskGroup() as group:
            for n, course in enumerate(_courses(Random(seed), replies)):
                group.create_task(losing.disturbed(n, OPERATIONS[names[n % len(names)]], course))
        report.faults += [f"payment {number} is at odds with its refunds" for number in await at_odds(shop.database)]
        report.counts += Counter({f"{each.loss} lost, {each.cut}": n for each, n in proxy.happened.items()})
        report.counts["replies lost"] = sum(n for each, n in proxy.happened.items() if each.loss is Loss.REPLY)
    return report


def _courses(random: Random, replies: int) -> Iterator[tuple[Accident, ...]]:
    while replies > 0:
        course = tuple(Accident(loss, random.choice(tuple(Cut))) for loss in random.choice(COURSES))
        replies -= sum(accident.loss is Loss.REPLY for accident in course)
        yield course


def _of_a_loss(answer: httpx.Response) -> Iterator[str]:
    """Nobody knows whether it took effect: come again."""
    if answer.status_code != 503:
        yield f"answered {answer.status_code} {answer.text[:200]}"
    elif not answer.headers.get("Retry-After", "").isdecimal():
        yield "503 without Retry-After"
    elif answer.headers["Content-Type"] != "application/problem+json":
        yield f"503 as {answer.headers['Content-Type']}"


def _of_what_is_heard(sent: _Sent, heard: httpx.Response, again: httpx.Response) -> Iterator[str]:
    if is_replay(heard) is not sent.took_effect_unheard:
        yield "it was executed again" if sent.took_effect_unheard else "what never took effect was replayed"
    if said(again) != said(heard) or not is_replay(again):
        yield f"once more it was answered {again.status_code} {again.text[:200]}"


if __name__ == "__main__":
    main(lose_commits, REPLIES)
