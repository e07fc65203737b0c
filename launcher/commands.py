"""The commands of `./run`."""

import io
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from launcher.checks import run_checks
from launcher.children import attached
from launcher.environment import Level, ensure_environment
from launcher.greeting import coloured, greeting
from launcher.places import Places, places
from launcher.refusals import LaunchRefused, Stopped
from launcher.serve import started_service
from launcher.settings import read_settings

USAGE = """\
./run serve              start everything on this machine  在本机启动整个服务
./run demo               file five claims and watch what happens  演示五种退款申请
./run test [arguments]   all checks and tests; with arguments, pytest alone with these  检查并测试
./run check              format, lint, types, layers, dependencies  静态检查
./run bench [arguments]  measure  性能测试
./run help               this text  本说明

Settings, all optional 可选的环境变量:
  PORT             where the API listens (8000)  端口
  HOST             on which address (127.0.0.1)  监听地址
  DATABASE_URL     a Postgres server of your own: postgresql://user:password@host:5432/name  自备数据库
  KMR_SANDBOX_KEY  the sandbox key, beginning kmr_test_; loopback only  指定沙箱密钥
  KMR_DATA_DIR     where data and logs are kept (.data); one folder per running copy  数据文件夹
  PG_BIN           a folder with Postgres' programs to use instead of the packaged ones  自备 Postgres 程序
"""

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# A process and a Postgres for each core that we may use, up to four; `-n auto` may count two threads of a core once.
# The tests of a file stay together, since some share a service; and the order is kept, in which short files come last,
# so that no process waits long for the other.
_PROCESSES = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
SIDE_BY_SIDE = ("-n", str(_PROCESSES), "--dist", "loadfile", "--no-loadscope-reorder")

Command = Callable[[Places, Mapping[str, str], Sequence[str]], int]


def main(arguments: Sequence[str]) -> int:
    """The exit status of `./run` with these arguments."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no Chinese shows the rest
    name, *rest = arguments or ["help"]
    if name in {"help", "-h", "--help"}:
        print(USAGE, end="")
        return 0
    if name not in COMMANDS:
        print(f"./run does not know `{name}`. 没有这个命令。\n\n{USAGE}", end="", file=sys.stderr)
        return 2
    return _obeying_signals(COMMANDS[name], rest)


def serve(here: Places, environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Until Ctrl-C or SIGTERM (0), or until a process ends by itself (LaunchRefused)."""
    if arguments:
        raise LaunchRefused("`./run serve` takes no arguments; see ./run help.", "`./run serve` 不接受参数。")
    try:
        with started_service(read_settings(environ)) as started:
            colour = coloured(sys.stdout, environ)
            print(greeting(started.service, here.logs, colour=colour), flush=True)
            started.watch()
    except Stopped:
        print("Stopped. 已停止。", flush=True)
    return 0


def test(here: Places, environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Checks, then pytest; with arguments pytest alone. pytest's closing line is the last on standard output."""
    python = ensure_environment(here, Level.DEV, environ)
    failing = [] if arguments else run_checks(here, environ)
    status = attached([str(python), "-m", "pytest", *(arguments or SIDE_BY_SIDE)], environ=environ, cwd=here.checkout)
    if failing:
        print(f"./run check: {', '.join(failing)}: FAIL", file=sys.stderr)
    return status or int(bool(failing))


def check(here: Places, environ: Mapping[str, str], _: Sequence[str]) -> int:
    """1 if any check fails."""
    ensure_environment(here, Level.DEV, environ)
    return int(bool(run_checks(here, environ)))


def demo(here: Places, environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """The demonstration, which finds or starts a service by itself."""
    python = ensure_environment(here, Level.DEV, environ)
    return attached([str(python), "-m", "launcher.demo", *arguments], environ=environ, cwd=here.checkout)


def bench(here: Places, environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """The measurements."""
    python = ensure_environment(here, Level.DEV, environ)
    return attached([str(python), "-m", "benchmarks", *arguments], environ=environ, cwd=here.checkout)


COMMANDS: dict[str, Command] = {"serve": serve, "test": test, "check": check, "demo": demo, "bench": bench}


def _obeying_signals(command: Command, arguments: Sequence[str]) -> int:
    for each in _STOPPING:
        signal.signal(each, _stop)
    try:
        _refuse_other_systems()
        return command(places(os.environ), os.environ, arguments)
    except Stopped:
        return 130
    except LaunchRefused as refusal:
        print(f"\n{refusal}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `./run serve | head`: the reader has left, and nothing more can be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _refuse_other_systems() -> None:
    """That nothing outlives the launcher rests on Linux: its parent-death signal, and /proc."""
    if not sys.platform.startswith("linux"):
        raise LaunchRefused(
            "./run needs Linux; elsewhere: docker compose up", "./run 需要 Linux；其他系统请用 docker compose up。"
        )


def _stop(number: int, _frame: FrameType | None) -> None:
    """Once: from here on everything is on its way down, in bounded time, and must not be interrupted again."""
    for each in _STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)
