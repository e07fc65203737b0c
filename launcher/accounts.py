"""Whom Postgres runs as. It refuses to run as root, so root hands it to `nobody`."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from launcher.refusals import LaunchRefused


@dataclass(frozen=True, slots=True)
class Account:
    """A user to become. Only root can become another."""

    uid: int
    gid: int

    def can(self, mode: str, path: Path) -> bool:
        """Whether this user can read (`-r`) or enter and run (`-x`) a path: the kernel is asked, as that user."""
        asked = subprocess.run(
            ["test", mode, path], user=self.uid, group=self.gid, extra_groups=[], cwd="/", check=False
        )
        return asked.returncode == 0

    def own(self, path: Path) -> None:
        """Gives a path to this user."""
        os.chown(path, self.uid, self.gid)


def database_account(cluster: Path) -> Account | None:
    """None: Postgres runs as we do. As root: the owner of the cluster that is there, or `nobody`."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise LaunchRefused(
            "Postgres does not run as root, and this machine has no user `nobody` to run it as. "
            "Start as an ordinary user, or set DATABASE_URL to a server of your own.",
            "Postgres 不能以 root 运行，而本机没有 nobody 用户。请用普通用户启动，或用 DATABASE_URL 指定数据库。",
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)
