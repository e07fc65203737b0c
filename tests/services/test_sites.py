"""Sites, keys and the sandbox, by hand and from the command line."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app import ids
from app.errors import Invalid, NotFound
from app.models.closed_sets import Scope
from app.rules.facts import Reason
from app.rules.lifecycle import CaseStatus
from app.services import sites
from app.services.example_cases import example_cases
from app.store.case_rows import CaseFilter
from app.store.cases import CaseStore, Consequences
from app.store.engine import transaction
from app.store.record_rows import OrderRow
from app.store.records import RecordStore
from app.store.sites import Caller, SiteStore, caller_of, database_now
from tests.store.rows import NOW, OTHER_SITE, new_case

CHECKOUT = Path(__file__).resolve().parent.parent.parent


async def test_a_new_site_has_its_policy_from_the_beginning(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        site = await sites.create_site(connection, "shop", "live", policy="binghui", now=NOW)
        assert await SiteStore(connection, site.site_id).policy_at(NOW.replace(year=2000)) == ("binghui", 1)
        with pytest.raises(Invalid):
            await sites.create_site(connection, "shop", "live", policy="none", now=NOW)


async def test_a_key_is_of_its_sites_mode_and_ends_when_revoked(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        site = await sites.create_site(connection, "shop", "live", now=NOW)
        new = await sites.create_key(connection, site.site_id, [Scope.CASES], "backend", now=NOW)
        caller = await caller_of(connection, ids.key_hash(new.key))
        assert caller is not None
        assert (caller.site, caller.scopes) == (site, frozenset({Scope.CASES}))
        assert ids.mode_of(new.key) == "live"
        with pytest.raises(NotFound):
            await sites.revoke_key(connection, OTHER_SITE, new.key_id, now=NOW)
        await sites.revoke_key(connection, site.site_id, new.key_id, now=NOW)
        assert await caller_of(connection, ids.key_hash(new.key)) is None
        with pytest.raises(NotFound):
            await sites.create_key(connection, ids.new_uuid(), [Scope.CASES], "", now=NOW)


async def test_the_sandbox_can_be_opened_again_and_has_one_key(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        now = await database_now(connection)
        site, first = await sites.open_sandbox(connection, None, now=now)
        _, second = await sites.open_sandbox(connection, None, now=now)
        assert await caller_of(connection, ids.key_hash(first)) is None
        for _ in range(2):
            assert (await sites.open_sandbox(connection, "kmr_test_mine", now=now))[1] == "kmr_test_mine"
        caller = await caller_of(connection, ids.key_hash("kmr_test_mine"))
        assert await caller_of(connection, ids.key_hash(second)) is None
    assert isinstance(caller, Caller)
    assert (caller.site, caller.scopes) == (site, frozenset(Scope))
    assert site.mode == "test"


async def test_examples_begin_anew_but_not_under_a_case(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        now = await database_now(connection)
        later = now + timedelta(days=30)
        await sites.open_sandbox(connection, None, now=now)
        await CaseStore(connection, sites.SANDBOX).file(new_case("A-1001", Reason.NOT_DELIVERED), Consequences(), now)
        await sites.open_sandbox(connection, None, now=later)
        store = RecordStore(connection, sites.SANDBOX)
        claimed, free = await store.get(OrderRow, "A-1001"), await store.get(OrderRow, "A-1002")
    assert claimed is not None
    assert free is not None
    assert claimed.record.placed_at < now
    assert now < free.record.placed_at < later


async def test_the_command_line_makes_what_it_prints(engine: AsyncEngine, database_url: str) -> None:
    async def run(*arguments: str, expected: int = 0) -> dict[str, str]:
        environment = {**os.environ, "DATABASE_URL": database_url, "KMR_SEALING_KEY": "A" * 43}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.cli", *arguments, cwd=CHECKOUT, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == expected, err
        return dict(json.loads(out)) if out else {"error": err.decode()}

    async def opens(key: str) -> bool:
        async with transaction(engine) as connection:
            return await caller_of(connection, ids.key_hash(key)) is not None

    sandbox = await run("sandbox")
    assert sandbox["site"] == "sandbox"
    assert await opens(sandbox["key"])
    site = (await run("site-create", "shop", "--mode", "live"))["site"]
    made = await run("key-create", site, "--scope", "cases", "--scope", "records")
    assert await opens(made["key"])
    await run("key-revoke", site, made["key_id"])
    assert not await opens(made["key"])
    assert "Presets" in (await run("site-create", "shop", "--mode", "live", "--policy", "x", expected=2))["error"]
    assert "site_" in (await run("key-create", "nonsense", "--scope", "cases", expected=2))["error"]


async def test_opening_the_sandbox_again_files_its_examples_once(engine: AsyncEngine) -> None:
    for _ in range(2):
        async with transaction(engine) as connection:
            await sites.open_sandbox(connection, None, now=await database_now(connection))
    async with transaction(engine) as connection:
        filed = await CaseStore(connection, sites.SANDBOX).page(CaseFilter(), limit=20)
    assert {case.case_id for case in filed} == {example.case_id for example in example_cases(datetime.now(UTC))}
    assert sorted(case.status for case in filed) == sorted(
        [
            *[CaseStatus.APPROVED] * 2,
            *[CaseStatus.REFUND_FAILED] * 2,
            CaseStatus.AWAITING_EVIDENCE,
            CaseStatus.AWAITING_MERCHANT,
            *[CaseStatus.IN_REVIEW] * 2,
            *[CaseStatus.REJECTED] * 2,
        ]
    )
