"""The embedded Postgres: it keeps what it committed, and never outlives who started it."""

import os
import pwd
import shutil
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from launcher.accounts import Account, database_account
from launcher.binaries import find_binaries
from launcher.cluster import durable_folder, throwaway_folder
from launcher.occupancy import clear_remains, processes_in
from launcher.places import places
from launcher.postgres import Server, running
from launcher.refusals import LaunchRefused
from tests.launcher.conftest import Hold
from tests.launcher.waiting import alive, eventually

AS_ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody").pw_uid
# None: as whoever runs the tests. Root can also try the life of an ordinary user.
USERS = [None, NOBODY] if AS_ROOT else [None]


async def _value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _plain(server: Server, database: str = "kmr") -> str:
    return server.url(database).replace("+asyncpg", "")


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _owner(path: Path) -> int:
    return path.stat().st_uid


def _stranger(account: Account | None) -> subprocess.Popen[bytes]:
    """A process that is no database, of the user whom the database runs as."""
    if account is None:
        return subprocess.Popen(["sleep", "600"])
    return subprocess.Popen(["sleep", "600"], user=account.uid, group=account.gid)


def _database_processes(folder: Path) -> list[int]:
    return processes_in((folder / "postgres" / "cluster").resolve())


async def test_rows_are_there_after_a_stop_and_a_start(folder: Path) -> None:
    with running(folder, throwaway=False) as server:
        await _run(_plain(server), "CREATE TABLE kept AS SELECT 42 AS answer")
    assert _database_processes(folder) == []
    with running(folder, throwaway=False) as server:
        assert await _value(_plain(server), "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
async def test_a_kept_database_is_durable(folder: Path, setting: str) -> None:
    with running(folder, throwaway=False) as server:
        assert await _value(_plain(server), f"SHOW {setting}") == "on"


async def test_the_services_role_is_no_superuser_but_may_create_databases(postgres: Server) -> None:
    roles = "SELECT (rolsuper, rolcreatedb)::text FROM pg_roles WHERE rolname = current_user"
    assert await _value(_plain(postgres, "postgres"), roles) == "(f,t)"


async def test_chinese_text_can_be_searched(folder: Path) -> None:
    with running(folder, throwaway=True) as server:
        await _run(_plain(server), "CREATE EXTENSION pg_trgm")
        assert await _value(_plain(server), "SELECT cardinality(show_trgm('退款'))") == 3


async def test_a_wrong_password_is_refused(folder: Path) -> None:
    with running(folder, throwaway=True) as server, pytest.raises(asyncpg.InvalidPasswordError):
        await _value(_plain(server).replace(server.password, "guess"), "SELECT 1")


async def test_a_throwaway_server_leaves_no_files(folder: Path) -> None:
    with running(folder, throwaway=True) as server:
        assert await _value(_plain(server), "SHOW fsync") == "off"
        lies_in = Path(str(await _value(server.admin_url("kmr"), "SHOW data_directory"))).parent
        assert (lies_in / "lock").exists()
    assert not lies_in.exists()
    assert _names(folder) == {"logs"}


@pytest.mark.parametrize("roomy", [True, False])
def test_a_throwaway_cluster_lies_in_memory_where_there_is_room(folder: Path, roomy: bool) -> None:
    memory = folder / "memory"
    memory.mkdir()
    with throwaway_folder(folder, None, memory if roomy else None) as made:
        assert made.parent == (memory if roomy else folder).resolve()
    assert not made.exists()


async def test_secrets_can_be_read_by_their_owner_alone(folder: Path) -> None:
    with running(folder, throwaway=False):
        assert (folder / "postgres" / "password").stat().st_mode & 0o777 == 0o600
        assert (folder / "postgres" / "cluster").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("uid", USERS)
async def test_kill_9_leaves_no_process_and_loses_no_committed_row(folder: Path, hold: Hold, uid: int | None) -> None:
    binaries = None
    if uid is not None:
        os.chown(folder, uid, uid)
        binaries = find_binaries(places(os.environ), os.environ, Account(uid, uid))
    holder = hold(folder, uid, binaries)
    busy = await asyncpg.connect(holder.url)
    await busy.execute("CREATE TABLE kept (row int)")
    for row in range(100):
        await busy.execute("INSERT INTO kept VALUES ($1)", row)
    assert holder.postmaster in _database_processes(folder)

    holder.process.send_signal(signal.SIGKILL)

    assert eventually(lambda: not alive(holder.postmaster))
    assert eventually(lambda: _database_processes(folder) == [])
    busy.terminate()
    again = hold(folder, uid, binaries)
    assert await _value(again.url, "SELECT count(*) FROM kept") == 100


async def test_under_root_the_server_runs_as_an_ordinary_user(folder: Path, hold: Hold) -> None:
    holder = hold(folder)
    assert _owner(Path(f"/proc/{holder.postmaster}")) == (NOBODY if AS_ROOT else os.geteuid())


async def test_an_ordinary_start_and_stop_ends_the_server(folder: Path, hold: Hold) -> None:
    holder = hold(folder)
    holder.process.communicate(timeout=60)
    assert holder.process.returncode == 0
    assert not alive(holder.postmaster)
    assert _database_processes(folder) == []


async def test_two_copies_run_side_by_side(folder: Path) -> None:
    with running(folder / "a", throwaway=False) as one, running(folder / "b", throwaway=False) as other:
        await _run(_plain(one), "CREATE TABLE mine ()")
        assert await _value(_plain(other), "SELECT to_regclass('mine')") is None
        assert one.port != other.port


async def test_a_second_copy_on_the_same_folder_is_told_who_has_it(folder: Path, hold: Hold) -> None:
    holder = hold(folder)
    told = f"in use by a copy that is running \\(process {holder.process.pid}\\)"
    with pytest.raises(LaunchRefused, match=told), running(folder, throwaway=False):
        pass
    assert await _value(holder.url, "SELECT 1") == 1


async def test_a_stale_pid_file_that_names_a_living_stranger_does_not_prevent_the_start(folder: Path) -> None:
    with running(folder, throwaway=False):
        cluster = folder / "postgres" / "cluster"
        pid_file = (cluster / "postmaster.pid").read_text()
    account = database_account(cluster)
    with _stranger(account) as stranger:
        try:
            remains = cluster / "postmaster.pid"
            remains.write_text("\n".join([str(stranger.pid), *pid_file.splitlines()[1:]]) + "\n")
            if account is not None:
                account.own(remains)
            with running(folder, throwaway=False) as server:
                assert await _value(_plain(server), "SELECT 1") == 1
        finally:
            stranger.kill()


def test_a_pid_file_stays_while_a_process_of_that_server_lives(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").touch()
    with subprocess.Popen(["sleep", "600"], cwd=tmp_path) as backend:
        try:
            assert eventually(lambda: processes_in(tmp_path) == [backend.pid])
            with pytest.raises(LaunchRefused, match=str(backend.pid)):
                clear_remains(tmp_path, patience=timedelta(0))
            assert (tmp_path / "postmaster.pid").exists()
        finally:
            backend.kill()


async def test_an_interrupted_first_start_is_begun_anew(folder: Path) -> None:
    unfinished = folder / "postgres" / "cluster.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with running(folder, throwaway=False) as server:
        assert await _value(_plain(server), "SELECT 1") == 1


def test_a_cluster_of_another_version_is_refused_untouched(folder: Path) -> None:
    with running(folder, throwaway=False):
        pass
    version = folder / "postgres" / "cluster" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(LaunchRefused, match="made by Postgres 9"), running(folder, throwaway=False):
        pass


def test_a_folder_without_programs_is_refused_as_pg_bin(tmp_path: Path) -> None:
    with pytest.raises(LaunchRefused, match="PG_BIN"):
        find_binaries(places({}), {"PG_BIN": str(tmp_path)}, None)


def test_a_checkout_closed_to_the_server_keeps_its_modes_and_the_database_lies_elsewhere(folder: Path) -> None:
    closed = folder / "private" / "data"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)
    account = database_account(closed)
    lies_in = durable_folder(closed, account)
    try:
        assert (lies_in == closed / "postgres") == (account is None)
        assert account is None or account.can("-x", lies_in)
        assert closed.parent.stat().st_mode & 0o777 == 0o700
        assert durable_folder(closed, account) == lies_in
    finally:
        shutil.rmtree(lies_in)


async def test_a_test_that_asks_gets_a_migrated_database_of_its_own(database_url: str, postgres: Server) -> None:
    own = database_url.replace("+asyncpg", "")
    assert await _value(own, "SELECT count(*) FROM alembic_version") == 1
    assert await _value(own, "SELECT current_database()") != "kmr"
    assert own.startswith(_plain(postgres, ""))
