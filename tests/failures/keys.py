"""The same request under the same idempotency key, sixteen times at once, to two processes.

python -m tests.failures.keys              500 keys, under a seed that is printed
python -m tests.failures.keys 1000 42      that many, under that seed
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Final

import httpx

from tests.failures.operations import FILINGS, IN_USE, OPERATIONS, REPORTS, STEPS, Operation, code_of, is_replay, said
from tests.failures.report import Report, main
from tests.failures.serving import Refused, Shop, serving
from tests.failures.traces import at_odds, difference, traces

KEYS: Final = 500
AT_ONCE: Final = 16
KEYS_AT_ONCE: Final = 2
PROCESSES: Final = 2
# What an execution adds to, to be shown with the result.
_ADDED: Final = """
    SELECT (SELECT count(*) FROM cases) AS cases, (SELECT count(*) FROM events) AS events,
           (SELECT count(*) FROM refunds) AS refunds, (SELECT count(*) FROM idempotency_keys) AS keys"""


async def race_keys(database_url: str, keys: int, seed: int, *, fault: str | None = None) -> Report:
    """Each key once executed, and answered with that everywhere; what is left is what one execution leaves.

    Every other one is a filing, the rest whatever else there is.
    """
    report, random = Report(seed), Random(seed)
    async with serving(database_url, processes=PROCESSES, fault=fault) as shop:
        left = {name: await _calm(shop, operation) for name, operation in OPERATIONS.items()}
        drawn = [random.choice(random.choice((FILINGS, (*STEPS, *REPORTS)))) for _ in range(keys)]
        raced = list(enumerate(drawn))
        for first in range(0, keys, KEYS_AT_ONCE):
            some = raced[first : first + KEYS_AT_ONCE]
            for faults in await asyncio.gather(*(_raced(shop, n, operation, report) for n, operation in some)):
                report.faults += faults
        for n, operation in raced:
            report.faults += _of_traces(operation, left, await traces(shop.database, _order(n, operation)))
        report.faults += [f"payment {number} is at odds with its refunds" for number in await at_odds(shop.database)]
        [row] = await shop.database.fetch(_ADDED)
        report.counts.update({f"{table} in the end": number for table, number in row.items()})
    return report


def _order(n: int, operation: Operation) -> str:
    return f"T-{n:05}-{operation.name}"


async def _calm(shop: Shop, operation: Operation) -> str:
    """What one execution leaves behind."""
    order_no = f"calm-{operation.name}"
    answer = await shop.send(await operation.prepare(shop, order_no), order_no)
    if not operation.is_regular(answer):
        raise Refused(f"{operation.name}: {answer.status_code} {answer.text[:200]}")
    return await traces(shop.database, order_no)


async def _raced(shop: Shop, n: int, operation: Operation, report: Report) -> list[str]:
    request = await operation.prepare(shop, _order(n, operation))
    sent = await asyncio.gather(*(shop.send(request, f"key-{n}") for _ in range(AT_ONCE)), return_exceptions=True)
    answers = [answer for answer in sent if isinstance(answer, httpx.Response)]
    kinds = Counter(_kind(operation, answer) for answer in answers)
    report.counts += kinds
    unanswered = [repr(answer) for answer in sent if not isinstance(answer, httpx.Response)]
    bodies = {said(answer) for answer in answers if operation.is_regular(answer)}
    return [f"key {n}, {operation.name}: {fault}" for fault in (*unanswered, *_of_kinds(kinds, len(bodies)))]


def _kind(operation: Operation, answer: httpx.Response) -> str:
    if operation.is_regular(answer):
        return "replayed" if is_replay(answer) else "executed"
    return f"{answer.status_code} {code_of(answer)}"


def _of_kinds(kinds: Counter[str], bodies: int) -> Iterator[str]:
    if kinds["executed"] != 1:
        yield f"executed {kinds['executed']} times"
    for kind, number in kinds.items():
        if kind not in ("executed", "replayed", f"409 {IN_USE}"):
            yield f"{number} were answered {kind}"
    if bodies > 1:
        yield f"{bodies} different answers"


def _of_traces(operation: Operation, left: dict[str, str], found: str) -> Iterator[str]:
    for fault in difference(found, left[operation.name]):
        yield f"{operation.name} {fault}"


if __name__ == "__main__":
    main(race_keys, KEYS)
