"""The two secrets that a running copy keeps, each in a file that only its owner can read."""

import base64
import ipaddress
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from launcher.places import write_secret
from launcher.refusals import LaunchRefused

_SANDBOX_KEY = re.compile(r"kmr_test_[!-~]{1,200}")


def is_loopback(host: str) -> bool:
    """Whether a listener on `host` is reachable from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def fixed_sandbox_key(environ: Mapping[str, str]) -> str | None:
    """`KMR_SANDBOX_KEY`, if set. A key that somebody wrote down must never open a service that others can reach."""
    key = environ.get("KMR_SANDBOX_KEY")
    if not key:
        return None
    if not _SANDBOX_KEY.fullmatch(key):
        raise LaunchRefused(
            "KMR_SANDBOX_KEY must begin with kmr_test_ and go on with visible ASCII characters.",
            "KMR_SANDBOX_KEY 必须以 kmr_test_ 开头，后面是可见的 ASCII 字符。",
        )
    host = environ.get("HOST") or "127.0.0.1"
    if not is_loopback(host):
        raise LaunchRefused(
            f"KMR_SANDBOX_KEY is accepted only while HOST is a loopback address; HOST is {host}. Unset one of the two.",
            f"只有 HOST 是本机回环地址时才能指定 KMR_SANDBOX_KEY，现在 HOST 是 {host}。请取消其中一个。",
        )
    return key


def kept_sandbox_key(kept: Path) -> str | None:
    """The key that an earlier start made, so that what was copied from its output still works."""
    file = kept / "sandbox-key"
    return file.read_text().strip() if file.exists() else None


def keep_sandbox_key(kept: Path, key: str) -> None:
    """For the next start."""
    write_secret(kept / "sandbox-key", key)


def sealing_key(kept: Path) -> str:
    """32 bytes in base64url that seal secrets in the database; made once, since a new one could not open the old."""
    file = kept / "sealing-key"
    if not file.exists():
        write_secret(file, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    return file.read_text().strip()
