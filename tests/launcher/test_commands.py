"""`./run` itself: what it says, and what it hands on."""

import ast
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from launcher.checks import CHECKS, Check, run_checks
from launcher.children import start
from launcher.commands import COMMANDS, SIDE_BY_SIDE, USAGE
from launcher.places import CHECKOUT, Places, places
from launcher.ports import free_port, refuse_taken_port
from launcher.refusals import LaunchRefused
from tests.launcher.waiting import alive, descendants, eventually


def _run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, CHECKOUT / "run", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_an_old_python_can_read_why_it_does_not_do() -> None:
    source = (CHECKOUT / "run").read_text()
    ast.parse(source, feature_version=(3, 4))
    assert source.isascii()
    assert source.index("version_info") < source.index("from launcher")


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_help_names_every_command(arguments: tuple[str, ...]) -> None:
    said = _run(*arguments)
    assert (said.returncode, said.stdout) == (0, USAGE)
    assert all(f"./run {name}" in USAGE for name in COMMANDS)


def test_an_unknown_command_is_answered_with_the_known_ones() -> None:
    said = _run("sevre")
    assert said.returncode == 2
    assert "does not know `sevre`" in said.stderr
    assert USAGE in said.stderr


def test_a_terminal_without_chinese_gets_the_rest() -> None:
    said = _run("help", PYTHONIOENCODING="ascii")
    assert said.returncode == 0
    assert "start everything on this machine" in said.stdout


def test_a_taken_port_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = _run("serve", PORT=str(port), KMR_DATA_DIR=str(tmp_path / "data"))
    assert said.returncode == 1
    assert f"Port {port} on 127.0.0.1: Address already in use. Choose another: PORT={port + 1}" in said.stderr
    assert not (tmp_path / "data").exists()


def test_a_port_that_was_just_left_is_not_taken() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server:
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = server.accept()
        served.close()  # the side that closes first keeps the port in TIME_WAIT
        client.close()
    refuse_taken_port("127.0.0.1", port)


@pytest.mark.parametrize(
    "environ", [{"KMR_SANDBOX_KEY": "secret"}, {"KMR_SANDBOX_KEY": "kmr_test_abc", "HOST": "0.0.0.0"}]
)
def test_a_key_that_will_not_do_stops_the_start(tmp_path: Path, environ: dict[str, str]) -> None:
    said = _run("serve", KMR_DATA_DIR=str(tmp_path / "data"), **environ)
    assert said.returncode == 1
    assert "KMR_SANDBOX_KEY" in said.stderr
    assert "Traceback" not in said.stderr
    assert not (tmp_path / "data").exists()


def test_a_reader_who_leaves_ends_it_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    said = subprocess.run(
        [sys.executable, CHECKOUT / "run", "check"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (said.returncode, said.stderr) == (1, "")


def test_all_checks_run_and_those_that_fail_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("import os\n")
    checks = (
        Check("bad", "ruff", ("check", "--no-cache", "--isolated", str(tmp_path))),
        Check("good", "ruff", ("--version",)),
    )
    assert run_checks(places({}), os.environ, checks) == ["bad"]
    said = capsys.readouterr().out
    assert "FAIL  bad" in said
    assert "F401" in said
    assert "ok    good" in said


def test_arguments_go_to_pytest_alone_and_its_closing_line_comes_last() -> None:
    this = "tests/launcher/test_commands.py::test_help_names_every_command"
    said = _run("test", "-q", "--no-header", "-p", "no:cacheprovider", this)
    assert said.returncode == 0
    assert said.stdout.splitlines()[-1].startswith("3 passed in ")
    assert "dependencies" not in said.stdout


def test_so_it_does_where_processes_share_the_tests() -> None:
    this = "tests/launcher/test_commands.py::test_help_names_every_command"
    said = _run("test", *SIDE_BY_SIDE, "-q", "--no-header", "-p", "no:cacheprovider", this)
    assert said.returncode == 0
    assert "bringing up nodes" in said.stdout
    assert said.stdout.splitlines()[-1].startswith("3 passed in ")


def test_without_arguments_processes_share_the_tests(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Checks and pytest are stood in for: both would take minutes, and this test is one of those that it runs."""
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    for each in [program, *(program.with_name(check.program) for check in CHECKS)]:
        each.write_bytes(program.read_bytes())
        each.chmod(0o755)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").touch()
    (tmp_path / ".venv" / ".locked-dev").write_text(hashlib.sha256(b"").hexdigest())

    assert COMMANDS["test"](Places(tmp_path, tmp_path), {}, []) == 3

    assert capfd.readouterr().out.splitlines()[-1] == " ".join(["-m", "pytest", *SIDE_BY_SIDE])


def test_pytests_failure_is_the_commands() -> None:
    assert _run("test", "-q", "tests/absent.py").returncode == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_at_the_terminal_ends_with_the_command(tmp_path: Path, number: signal.Signals) -> None:
    sleeper = tmp_path / "test_sleeper.py"
    sleeper.write_text(
        "import pathlib, time\ndef test_it():\n    pathlib.Path(__file__ + '.up').touch()\n    time.sleep(600)\n"
    )
    command = [
        sys.executable,
        str(CHECKOUT / "run"),
        "test",
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        str(sleeper),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        try:
            assert eventually((tmp_path / "test_sleeper.py.up").exists)
            started = descendants(run.pid)
            assert started
            run.send_signal(number)
            run.wait(30)
            assert run.returncode != 0
            assert eventually(lambda: not any(alive(pid) for pid in started))
        finally:
            run.kill()


def test_children_are_started_from_the_main_thread_alone(tmp_path: Path) -> None:
    refused: list[str] = []

    def elsewhere() -> None:
        try:
            start("x", ["true"], log=tmp_path / "log", environ={}, cwd=tmp_path)
        except RuntimeError as error:
            refused.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in refused[0]


def test_a_child_that_ignores_the_first_signal_is_ended_all_the_same(tmp_path: Path) -> None:
    ignoring = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    child = start("x", [sys.executable, "-c", ignoring], log=tmp_path / "log", environ=os.environ, cwd=tmp_path)
    assert eventually(lambda: child.tail() == "up")
    child.stop((signal.SIGTERM, 0.1))
    assert child.process.returncode == -signal.SIGKILL


def test_the_output_of_the_run_before_is_kept(tmp_path: Path) -> None:
    for word in ("one", "two"):
        child = start("x", ["echo", word], log=tmp_path / "log", environ=os.environ, cwd=tmp_path)
        child.process.wait()
    assert (tmp_path / "log").read_text() == "two\n"
    assert (tmp_path / "log.1").read_text() == "one\n"


def test_a_port_is_refused_for_a_foreign_address() -> None:
    with pytest.raises(LaunchRefused, match="Cannot assign requested address"):
        refuse_taken_port("192.0.2.1", 8000)
