"""Child processes that cannot outlive the launcher, not even when it is killed with `kill -9`."""

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from launcher.accounts import Account
from launcher.refusals import Stopped

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Loaded before any fork: between fork and exec nothing may be imported.
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Child:
    """A running process, what to call it in a message, and the file that its output goes to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 15) -> str:
        """The last lines of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, *signals: tuple[signal.Signals, float]) -> None:
        """Sends each signal in turn and waits so many seconds for the end; at last SIGKILL, which always ends it."""
        for number, seconds in signals:
            if self.process.poll() is not None:
                return
            self.process.send_signal(number)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        self.process.kill()
        self.process.wait()


def start(
    name: str,
    argv: Sequence[str | Path],
    *,
    log: Path,
    environ: Mapping[str, str],
    cwd: Path,
    account: Account | None = None,
    dying_wish: signal.Signals = signal.SIGKILL,
) -> Child:
    """Starts a process in a group of its own, since Ctrl-C is for the launcher alone, its output in `log`.

    The output of the run before stays in `log` + `.1`. `dying_wish` is the signal that the kernel sends it when the
    launcher is gone, however it went.
    """
    _refuse_other_threads()
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            cwd=cwd,
            process_group=0,
            preexec_fn=_tied_to(os.getpid(), dying_wish),  # noqa: PLW1509 - one thread forks, see above
            **_identity(account),
        )
    return Child(name, process, log)


def call(
    argv: Sequence[str | Path],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    account: Account | None = None,
    stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    """Runs a process to its end and captures what it says; it is tied to the launcher's life all the same."""
    _refuse_other_threads()
    return subprocess.run(
        argv,
        input=stdin,
        capture_output=True,
        text=True,
        env=dict(environ),
        cwd=cwd,
        check=False,
        preexec_fn=_tied_to(os.getpid(), signal.SIGKILL),
        **_identity(account),
    )


def attached(argv: Sequence[str | Path], *, environ: Mapping[str, str], cwd: Path) -> int:
    """Runs a program at our terminal and returns its exit status. Asked to stop, we wait for it to do so."""
    _refuse_other_threads()
    process = subprocess.Popen(argv, env=dict(environ), cwd=cwd, preexec_fn=_tied_to(os.getpid(), signal.SIGKILL))  # noqa: PLW1509
    try:
        return process.wait()
    except Stopped as stopped:
        # Ctrl-C at a terminal has reached it as well; a second one would interrupt its cleaning up.
        if not (stopped.number == signal.SIGINT and os.isatty(0)):
            process.send_signal(signal.SIGINT)
        return process.wait()


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _identity(account: Account | None) -> _Identity:
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def _tied_to(parent: int, dying_wish: signal.Signals) -> Callable[[], None]:
    """Runs in the child after the change of user (which would clear it) and before exec (which keeps it)."""

    def tie() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(dying_wish), 0, 0, 0)
        if os.getppid() != parent:  # the launcher died between fork and prctl: no signal will come
            os._exit(1)

    return tie


def _refuse_other_threads() -> None:
    """The kernel's parent-death signal follows the thread that forked, not the process."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("start child processes from the main thread: they end when the thread that forked them ends")
