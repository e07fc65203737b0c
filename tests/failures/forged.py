"""Reports of refunds that are forged or odd, at refunds in every state: none of them moves anything.

python -m tests.failures.forged              40 signed reports spoilt at random beside the forms that are listed
python -m tests.failures.forged 1000 42      that many, under that seed
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import Final
from uuid import uuid4

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from app import logs
from app.config import read_config
from app.ids import Mode
from app.main import create_app
from app.models.closed_sets import Scope
from app.services import sites
from app.store.engine import transaction
from app.store.sites import database_now
from tests.api.conftest import Access
from tests.api.reporting import Refund, as_bytes, books, requested, result, send, signed
from tests.database_clock import DatabaseClock, database_clock
from tests.failures.forged_faults import planted
from tests.failures.forged_forms import (
    AGAINST,
    CANARY,
    FORMS,
    HARMLESS,
    STATES,
    Form,
    Scene,
    Sent,
    a_signed_report,
    an_honest_report,
)
from tests.failures.report import Report, main

SPOILT: Final = 40
PROBLEM: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Stage:
    """The service in this process, and the hands of its clock."""

    http: httpx.AsyncClient
    app: FastAPI
    engine: AsyncEngine
    clock: DatabaseClock

    async def site(self, *scopes: Scope, mode: Mode = "test") -> Access:
        """A new site, and a key of it for everything."""
        async with transaction(self.engine) as connection:
            site = await sites.create_site(connection, "shop", mode, now=await database_now(connection))
        return await self.key(Access(site.site_id, "", self.http), *scopes)

    async def key(self, site: Access, *scopes: Scope) -> Access:
        """Another key of a site; no scope is all of them."""
        async with transaction(self.engine) as connection:
            now = await database_now(connection)
            new = await sites.create_key(connection, site.site_id, scopes or tuple(Scope), "", now=now)
        return replace(site, key=new.key)

    async def revoked(self, site: Access) -> str:
        """A key that opened everything."""
        async with transaction(self.engine) as connection:
            now = await database_now(connection)
            new = await sites.create_key(connection, site.site_id, tuple(Scope), "", now=now)
            await sites.revoke_key(connection, site.site_id, new.key_id, now=now)
        return new.key

    async def send(self, sent: Sent) -> httpx.Response:
        """The answer to exactly that."""
        return await self.http.post(sent.path, content=sent.content, headers=list(sent.headers))


async def forge_reports(database_url: str, spoilt: int, seed: int) -> Report:
    """Every form at a refund in each of the states, and some that are spoilt at random; then one that is honest."""
    report, random = Report(seed), Random(seed)
    async with _stage(database_url) as stage:
        scene = await _scene(stage)
        for state in STATES:
            scene = await _in_state(stage, scene, state, f"A-{state}")
            forms = {**FORMS, **AGAINST[state], **dict(_spoilt(random, spoilt // len(STATES)))}
            report.counts[f"forms at a refund that is {state}"] = len(forms)
            report.faults += [f"{state}, {it}" async for it in _tried(stage, scene, forms)]
            report.faults += [f"{state}, an honest report: {it}" async for it in _honest(stage, scene, state)]
    return report


async def see(database_url: str, mistakes: Mapping[str, str]) -> dict[str, str | None]:
    """What is seen first of each planted mistake, at a refund in the state that is given; None: nothing."""
    seen: dict[str, str | None] = {}
    async with _stage(database_url) as stage:
        scene = await _scene(stage)
        for n, (mistake, state) in enumerate(mistakes.items()):
            scene = await _in_state(stage, scene, state, f"A-{n}")
            with planted(mistake, stage.app):
                seen[mistake] = await anext(_tried(stage, scene, {**FORMS, **AGAINST[state]}), None)
    return seen


@asynccontextmanager
async def _stage(database_url: str) -> AsyncIterator[Stage]:
    settings = {"DATABASE_URL": database_url, "KMR_SEALING_KEY": "A" * 43, "KMR_FILES_URL": "file:///nowhere"}
    app = create_app(read_config(settings))
    async with database_clock(database_url) as clock, app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as http:
            yield Stage(http, app, app.state.engine, clock)


async def _scene(stage: Stage) -> Scene:
    """The site's first secret was rotated out a day and an hour ago; from then on time stands still."""
    await stage.clock.advance(-timedelta(hours=25))
    site, signing = await stage.site(), await stage.site()
    retired, secret = [(await signing.post("/v1/reporting-secret")).json()["secret"] for _ in range(2)]
    await stage.clock.advance(timedelta(hours=25))
    now = await stage.clock.freeze()
    paid, other = await requested(site, "A-paid"), await requested(signing, "A-other")
    await stage.send(_told(site, paid, "succeeded"))
    content = as_bytes(result(other, "failed"))
    headers = {**signing.auth, "Content-Type": "application/json", **signed(secret, content, now)}
    captured = Sent(f"/v1/refunds/{other['id']}/result", tuple(headers.items()), content)
    await stage.send(captured)
    everything_else = [scope for scope in Scope if scope is not Scope.REPORT]
    return Scene(
        now=now,
        open=site,
        signing=signing,
        stranger=await stage.site(),
        live=await stage.site(mode="live"),
        unscoped=await stage.key(site, *everything_else),
        revoked=await stage.revoked(site),
        secret=secret,
        retired=retired,
        refund=paid,
        sealed=other,
        paid={**paid, "channel_refund_no": result(paid, "succeeded")["channel_refund_no"]},
        captured=captured,
    )


def _told(site: Access, refund: Refund, state: str) -> Sent:
    headers = {**site.auth, "Content-Type": "application/json", "Idempotency-Key": uuid4().hex}
    return Sent(f"/v1/refunds/{refund['id']}/result", tuple(headers.items()), as_bytes(result(refund, state)))


async def _in_state(stage: Stage, scene: Scene, state: str, order_no: str) -> Scene:
    """A refund in this state at either site."""
    refund, sealed = await requested(scene.open, order_no), await requested(scene.signing, order_no)
    if state != "requested":
        content = as_bytes(result(sealed, state))
        for answer in (
            await stage.send(_told(scene.open, refund, state)),
            await send(scene.signing, sealed, content, signed(scene.secret, content, scene.now)),
        ):
            assert answer.status_code == 200, answer.text
    return replace(scene, refund=refund, sealed=sealed)


def _spoilt(random: Random, number: int) -> Iterator[tuple[str, Form]]:
    """A signed report with one character of its signature, its id, its time or its body changed."""
    for n in range(number):
        place = random.choice(("id", "timestamp", "signature", "body"))
        yield f"spoilt {n} ({place})", partial(_spoil, place, random.random(), random.randrange(1, 10))


def _spoil(place: str, where: float, by: int, scene: Scene) -> Sent:
    sent = a_signed_report(scene)
    if place == "body":
        at = int(where * len(sent.content))
        return replace(sent, content=sent.content[:at] + bytes([sent.content[at] ^ by]) + sent.content[at + 1 :])
    headers, name = dict(sent.headers), f"webhook-{place}"
    value = headers[name]
    at = int(where * len(value))
    headers[name] = f"{value[:at]}{chr(ord(value[at]) ^ by)}{value[at + 1 :]}"
    return replace(sent, headers=tuple(headers.items()))


async def _tried(stage: Stage, scene: Scene, forms: Mapping[str, Form]) -> AsyncIterator[str]:
    """What is wrong with the answers, or with what is there afterwards."""
    before = await books(stage.engine)
    for name, form in forms.items():
        answer = await stage.send(form(scene))
        after = await books(stage.engine)
        if after != before:
            yield f"{name}: moved something, answered {answer.status_code}"
        before = after
        for fault in _of_an_answer(answer, harmless=name in HARMLESS):
            yield f"{name}: {fault}"


def _of_an_answer(answer: httpx.Response, *, harmless: bool) -> Iterator[str]:
    said = f"answered {answer.status_code} {answer.text[:200]}"
    if answer.status_code >= 500 or (answer.is_success and not harmless):
        yield said
    elif not answer.is_success and answer.headers["Content-Type"] != PROBLEM:
        yield f"{said} as {answer.headers['Content-Type']}"
    elif not answer.is_success and CANARY in answer.text:  # a refund shows what was said of it before
        yield f"what was sent came back: {said}"


async def _honest(stage: Stage, scene: Scene, state: str) -> AsyncIterator[str]:
    """At the end the same report as it should be is taken: else all of this would have been refused for nothing."""
    if state == "closed":
        return
    for form in (an_honest_report, a_signed_report):
        answer = await stage.send(form(scene))
        if answer.status_code != 200 or answer.json()["refund"]["state"] != "succeeded":
            yield f"answered {answer.status_code} {answer.text[:200]}"


if __name__ == "__main__":
    logs.configure("error")
    main(forge_reports, SPOILT)
