"""What happens between a reachable database and an API that answers."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from launcher.children import Child, call
from launcher.places import Places
from launcher.refusals import LaunchRefused
from launcher.secret_files import keep_sandbox_key, kept_sandbox_key
from launcher.settings import Settings

_ANSWERING = timedelta(seconds=60)
# Without the proxies of the environment: this asks a process on the same machine.
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def migrate(here: Places, environ: Mapping[str, str]) -> None:
    """Brings the schema up to date."""
    _run(here, environ, ["-m", "alembic", "upgrade", "head"])


def make_sandbox(settings: Settings, environ: Mapping[str, str]) -> str:
    """The sandbox site with its example records, made unless it is there; its key, the same one at every start."""
    kept = settings.places.kept
    key = settings.sandbox_key or kept_sandbox_key(kept)
    # This command listens nowhere. With HOST as it is, it would refuse the kept key on an address that others reach.
    asked = {**environ, "HOST": "127.0.0.1", **({"KMR_SANDBOX_KEY": key} if key else {})}
    done = _run(settings.places, asked, ["-m", "app.cli", "sandbox"])
    made: str = json.loads(done.stdout.strip().splitlines()[-1])["key"]
    if settings.sandbox_key is None and made != key:
        keep_sandbox_key(kept, made)
    return made


def wait_until_ready(url: str, children: Sequence[Child]) -> None:
    """Returns at the first 200 of /readyz; LaunchRefused with the log's tail if that does not come."""
    give_up = time.monotonic() + _ANSWERING.total_seconds()
    while time.monotonic() < give_up:
        refuse_dead(children)
        if status_of(f"{url}/readyz") == 200:
            return
        time.sleep(0.05)
    api = children[0]
    raise LaunchRefused(
        f"No 200 from {url}/readyz within {_ANSWERING.total_seconds():.0f} s. The end of {api.log}:\n{api.tail()}",
        "服务没有在限定时间内就绪，日志见上。",
    )


def refuse_dead(children: Sequence[Child]) -> None:
    """One process that ends takes the rest down: half a service is worse than none."""
    for child in children:
        status = child.process.poll()
        if status is not None:
            raise LaunchRefused(
                f"{child.name} ended by itself (status {status}). The end of {child.log}:\n{child.tail()}",
                f"{child.name} 意外退出（状态 {status}），其余进程已停止，日志见上。",
            )


def status_of(url: str, key: str | None = None) -> int | None:
    """The status of a GET, or None where nobody answers as HTTP does."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with _LOCAL.open(request, timeout=5) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError):
        return None


def _run(here: Places, environ: Mapping[str, str], arguments: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    done = call([here.python, *arguments], environ=environ, cwd=here.checkout)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-3000:]
        raise LaunchRefused(f"`python {' '.join(map(str, arguments))}` failed:\n{said}", "启动步骤失败，输出见上。")
    return done
