"""What an operator does by hand: `python -m app.cli --help`."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar
from uuid import UUID

import typer

from app import ids
from app.config import Config, ConfigError, read_config
from app.errors import Refusal
from app.models.closed_sets import Scope
from app.rules.presets import STANDARD
from app.services import sites
from app.store.deposits import DepositStore
from app.store.engine import Connection, create_engine, in_transaction
from app.store.sites import all_sites, database_now

Result = TypeVar("Result")

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def sandbox() -> None:
    """Make the sandbox site, or refresh its example records; print its key. 建立沙箱站点并输出密钥。"""
    config = _config()

    async def work(connection: Connection) -> tuple[str, str]:
        site, key = await sites.open_sandbox(connection, config.sandbox_key, now=await database_now(connection))
        return site.name, key

    name, key = _run(config, work)
    _print(site=name, key=key)


@app.command()
def site_create(name: str, mode: Annotated[Literal["test", "live"], typer.Option()], policy: str = STANDARD) -> None:
    """Make a site with its policy in force from the beginning. 新建站点。"""

    async def work(connection: Connection) -> UUID:
        site = await sites.create_site(connection, name, mode, policy=policy, now=await database_now(connection))
        return site.site_id

    _print(site=ids.show("site", _run(_config(), work)))


@app.command()
def key_create(
    site: Annotated[str, typer.Argument(help="site_…")],
    scope: Annotated[list[Scope], typer.Option(help="repeat for more than one")],
    label: str = "",
) -> None:
    """Make a key and print it, this once. 新建密钥，仅显示一次。"""
    site_id = _read("site", site)

    async def work(connection: Connection) -> sites.NewKey:
        return await sites.create_key(connection, site_id, scope, label, now=await database_now(connection))

    new = _run(_config(), work)
    _print(key_id=ids.show("key", new.key_id), key=new.key)


@app.command()
def key_revoke(
    site: Annotated[str, typer.Argument(help="site_…")], key: Annotated[str, typer.Argument(help="key_…")]
) -> None:
    """Revoke a key at once. 立即吊销密钥。"""
    site_id, key_id = _read("site", site), _read("key", key)

    async def work(connection: Connection) -> None:
        await sites.revoke_key(connection, site_id, key_id, now=await database_now(connection))

    _run(_config(), work)
    _print(revoked=key)


@app.command()
def deposits_check() -> None:
    """Rebuild every merchant's deposit from its entries and name those that differ. 核对保证金分录与余额。"""

    async def work(connection: Connection) -> list[dict[str, str]]:
        return [
            {"site": ids.show("site", site_id), "merchant_id": each.merchant_id}
            for site_id in await all_sites(connection)
            for each in await DepositStore(connection, site_id).differences()
        ]

    differing = _run(_config(), work)
    for each in differing:
        _print(**each)
    if differing:
        raise typer.Exit(1)
    _print(deposits="in order")


def _config() -> Config:
    try:
        return read_config(os.environ)
    except ConfigError as error:
        raise _stop(str(error)) from error


def _run(config: Config, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    try:
        return asyncio.run(_in_one_transaction(config, work))
    except Refusal as refusal:
        texts = [refusal.en, refusal.zh, *(f"{fault.where}: {fault.en}" for fault in refusal.faults)]
        raise _stop("\n".join(texts)) from refusal


async def _in_one_transaction(config: Config, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    engine = create_engine(config, application_name="kmr-cli")
    try:
        return await in_transaction(engine, work)
    finally:
        await engine.dispose()


def _read(prefix: str, text: str) -> UUID:
    found = ids.read(prefix, text)
    if found is None:
        raise _stop(f"This is not the id of a {prefix}: it begins with {prefix}_ and goes on with 26 characters.")
    return found


def _stop(text: str) -> typer.Exit:
    typer.echo(text, err=True)
    return typer.Exit(2)


def _print(**fields: str) -> None:
    typer.echo(json.dumps(fields))


if __name__ == "__main__":
    app()
