"""The files of one database cluster: where they lie, and how they are made."""

import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launcher.accounts import Account
from launcher.binaries import major_version
from launcher.children import call
from launcher.memory import THROWAWAY
from launcher.places import write_secret
from launcher.refusals import LaunchRefused

ROLE = "kmr"
ADMIN = "postgres"
DATABASE = "kmr"

_SYSTEM_STATE = Path("/var/lib/kmr")
# Since version 17. Sorts by code point the same on every machine, and knows that Chinese characters are letters.
# LC_CTYPE must say so too (--locale): with `C` pg_trgm drops every character that is not ASCII.
_BUILTIN_LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with a cluster, its password and its lock; `account` is whom its server runs as (None: as we do)."""

    folder: Path
    account: Account | None

    @property
    def cluster(self) -> Path:
        """Postgres' own data folder."""
        return self.folder / "cluster"

    @property
    def password(self) -> str:
        """Of the role `kmr` and of the superuser."""
        return (self.folder / "password").read_text()


def durable_folder(kept: Path, account: Account | None) -> Path:
    """Beside the logs where Postgres can get there; else, as root only, in /var/lib/kmr under a name made from `kept`.

    A checkout in /root or in a private home cannot be entered by `nobody`. Opening those folders would show more than a
    database to everyone, so the cluster moves instead: /var/lib is for such state and, unlike /var/tmp, never swept.
    """
    if account is None or account.can("-x", kept):
        folder = kept / "postgres"
    else:
        folder = _SYSTEM_STATE / hashlib.sha256(str(kept.resolve()).encode()).hexdigest()[:16]
        _passable(_SYSTEM_STATE)
    _passable(folder)
    return folder.resolve()


@contextmanager
def throwaway_folder(kept: Path, account: Account | None, memory: Path | None) -> Iterator[Path]:
    """A new folder, gone with its content at the end: in `memory`, else in `kept`, or in the machine's temporary
    folder where the server cannot get to `kept`.
    """
    reachable = account is None or account.can("-x", kept)
    place = memory or (kept if reachable else None)
    folder = Path(tempfile.mkdtemp(prefix=THROWAWAY, dir=place)).resolve()
    try:
        _passable(folder)
        yield folder
    finally:
        shutil.rmtree(folder)


def _passable(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
    folder.chmod(0o711)


def ensure_cluster(home: Home, binaries: Path, environ: Mapping[str, str], *, throwaway: bool) -> None:
    """Makes the cluster under another name and renames it when whole, so that an interrupted start is harmless."""
    if home.cluster.is_dir():
        _refuse_other_version(home, binaries)
        return
    unfinished = home.folder / "cluster.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if home.account:
        home.account.own(unfinished)
    password = secrets.token_hex(24)
    _initdb(home, unfinished, binaries, environ, password, throwaway=throwaway)
    _create_database(home, unfinished, binaries, environ, password)
    write_secret(home.folder / "password", password)
    unfinished.rename(home.cluster)


def _refuse_other_version(home: Home, binaries: Path) -> None:
    made_by, running = int((home.cluster / "PG_VERSION").read_text()), major_version(binaries)
    if made_by != running:
        raise LaunchRefused(
            f"The database in {home.folder} was made by Postgres {made_by}, but {binaries} is version {running}. "
            "Use that version through PG_BIN, or move the folder away to begin anew.",
            f"{home.folder} 里的数据库由 Postgres {made_by} 创建，而现在的程序是版本 {running}。",
        )


def _initdb(
    home: Home, target: Path, binaries: Path, environ: Mapping[str, str], password: str, *, throwaway: bool
) -> None:
    password_file = home.folder / "password-for-initdb"
    write_secret(password_file, password)
    if home.account:
        home.account.own(password_file)
    options = [
        "--username", ADMIN, "--pwfile", str(password_file), "--auth=scram-sha-256", "--encoding=UTF8",
        "--locale=C.UTF-8", "--no-instructions",
        *(_BUILTIN_LOCALE if major_version(binaries) >= 17 else ()),
        *(("--no-sync",) if throwaway else ()),
    ]  # fmt: skip
    made = call([binaries / "initdb", "--pgdata", target, *options], environ=environ, cwd=target, account=home.account)
    password_file.unlink()
    if made.returncode != 0:
        raise _not_made(target, made.stdout + made.stderr)


def _create_database(home: Home, target: Path, binaries: Path, environ: Mapping[str, str], password: str) -> None:
    """The service's own role is no superuser: a superuser would pass every row-level policy unseen."""
    statements = (
        f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}';\n\nCREATE DATABASE {DATABASE} OWNER {ROLE};\n\n"
    )
    # The server can be spoken to by standard input alone in this mode: no client library is needed.
    single = [str(binaries / "postgres"), "--single", "-j", "-D", str(target), "postgres"]
    made = call(single, environ=environ, cwd=target, account=home.account, stdin=statements)
    # It exits with 0 after an error, too.
    if made.returncode != 0 or "ERROR:" in made.stderr:
        raise _not_made(target, made.stderr)


def _not_made(target: Path, said: str) -> LaunchRefused:
    return LaunchRefused(f"The database in {target} could not be made:\n{said.strip()}", "无法创建数据库。")
