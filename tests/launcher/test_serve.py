"""`./run serve` from end to end: what it prints works, and nothing is left when it has gone."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.greeting import curl, greeting
from launcher.occupancy import processes_in
from launcher.places import CHECKOUT
from launcher.ports import free_port
from launcher.serve import Service
from tests.launcher.waiting import alive, descendants, eventually

# The first start in a folder makes the database; with the environment at hand it is a matter of seconds.
_UP_S = 120.0
_DOWN_S = 60.0
_FIND = """
import json, os
from launcher.serve import running_service
with running_service(os.environ) as found:
    print(json.dumps([found.url, found.key]))
"""


@dataclass(frozen=True, slots=True)
class Serving:
    """A `./run serve` in a process of its own, with its output in a file, and a free port."""

    process: subprocess.Popen[bytes]
    output: Path
    port: int

    def says(self, words: str) -> bool:
        """Whether it has said this by now."""
        return words in self.output.read_text()

    def up(self) -> bool:
        """Waits until it has said all it says when it is up; False if it has ended instead."""
        assert eventually(lambda: self.says("stops everything") or self.process.poll() is not None, _UP_S)
        return self.process.poll() is None

    @property
    def key(self) -> str:
        """The key it printed."""
        found = re.search(r"kmr_test_[!-~]+", self.output.read_text())
        assert found is not None, self.output.read_text()
        return found[0]


Serve = Callable[..., Serving]


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Starts services on one data folder, and ends those that are left."""
    begun: list[Serving] = []

    def start(**environ: str) -> Serving:
        port = free_port()
        output = folder / f"output-{len(begun)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, CHECKOUT / "run", "serve"],
                env={**_clean(), "KMR_DATA_DIR": str(folder / "data"), "PORT": str(port), **environ},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        begun.append(Serving(process, output, port))
        return begun[-1]

    yield start
    for serving in begun:
        left = descendants(serving.process.pid)
        serving.process.kill()
        serving.process.wait()
        assert _all_gone(left)


def _all_gone(pids: set[int]) -> bool:
    return eventually(lambda: not any(alive(pid) for pid in pids), _DOWN_S)


def _clean() -> dict[str, str]:
    ours = ("KMR_", "DATABASE_URL", "HOST", "PORT")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _status(url: str) -> int:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as answer:
        return int(answer.status)


def _request_in(text: str) -> str:
    found = re.search(r"^curl .*?\}'$", text, re.DOTALL | re.MULTILINE)
    assert found is not None, text
    return found[0]


def _running(module: str, pids: set[int]) -> list[int]:
    return [pid for pid in pids if module in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]


def test_what_it_prints_works_and_ctrl_c_leaves_nothing(serve: Serve) -> None:
    serving = serve()
    assert serving.up(), serving.output.read_text()
    text = serving.output.read_text()
    assert "\033[" not in text

    judged = subprocess.run(["bash", "-c", _request_in(text)], capture_output=True, text=True, check=True)
    assert json.loads(judged.stdout)["outcome"] in {"approve", "request_evidence"}
    addresses = re.findall(r"http://\S+/(?:docs|redoc)$", text, re.MULTILINE)
    assert [_status(address) for address in addresses] == [200, 200]

    started = descendants(serving.process.pid)
    assert len(_running("app.main", started)) == len(_running("app.worker", started)) == 1
    serving.process.send_signal(signal.SIGINT)
    assert serving.process.wait(_DOWN_S) == 0
    assert serving.says("Stopped.")
    assert not any(alive(pid) for pid in started)


def test_kill_9_leaves_nothing_and_the_next_start_prints_the_same_key(serve: Serve) -> None:
    first = serve()
    assert first.up(), first.output.read_text()
    started = descendants(first.process.pid)
    assert len(started) > 3
    first.process.kill()
    first.process.wait()
    assert _all_gone(started)

    second = serve()
    assert second.up(), second.output.read_text()
    assert second.key == first.key


@pytest.mark.parametrize("module", ["app.main", "app.worker"])
def test_a_process_that_dies_takes_the_rest_down(serve: Serve, module: str) -> None:
    serving = serve()
    assert serving.up(), serving.output.read_text()
    started = descendants(serving.process.pid)
    (victim,) = _running(module, started)
    os.kill(victim, signal.SIGKILL)
    assert serving.process.wait(_DOWN_S) == 1
    assert serving.says("ended by itself (status -9)")
    assert not any(alive(pid) for pid in started)


def test_a_stop_in_the_middle_of_the_start_leaves_nothing(serve: Serve, folder: Path) -> None:
    serving = serve()
    assert eventually((folder / "data" / "logs" / "postgres.log").exists, _UP_S)
    started = descendants(serving.process.pid)
    serving.process.send_signal(signal.SIGTERM)
    assert serving.process.wait(_DOWN_S) == 0
    assert _all_gone(started)
    # The server may have been started after the count; then the kernel tells it that the launcher is gone.
    assert eventually(lambda: processes_in((folder / "data" / "postgres" / "cluster").resolve()) == [], _DOWN_S)


def test_a_second_copy_on_the_same_folder_is_refused_and_the_first_is_found_by_its_folder(
    serve: Serve, folder: Path
) -> None:
    key = "kmr_test_chosen_by_the_caller"
    first = serve(KMR_SANDBOX_KEY=key)
    assert first.up(), first.output.read_text()
    assert first.key == key
    second = serve()
    assert not second.up()
    assert second.says("is in use by a copy that is running")
    found = subprocess.run(
        [sys.executable, "-c", _FIND],
        cwd=CHECKOUT,
        env={**_clean(), "KMR_DATA_DIR": str(folder / "data"), "PORT": str(free_port()), "KMR_SANDBOX_KEY": key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(found.stdout) == [f"http://127.0.0.1:{first.port}", key], found.stderr
    assert first.process.poll() is None


def test_where_none_is_found_one_is_started_and_stopped_again(folder: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", _FIND],
        cwd=CHECKOUT,
        env={**_clean(), "KMR_DATA_DIR": str(folder / "data"), "PORT": str(free_port())},
        capture_output=True,
        text=True,
        check=False,
        timeout=_UP_S,
    )
    url, key = json.loads(found.stdout)
    assert key.startswith("kmr_test_")
    with pytest.raises(OSError, match="refused"):
        _status(f"{url}/healthz")


def test_an_unreachable_database_is_told_with_the_output_of_the_step(serve: Serve) -> None:
    serving = serve(DATABASE_URL=f"postgresql://kmr:kmr@127.0.0.1:{free_port()}/kmr")
    assert not serving.up()
    assert serving.process.returncode == 1
    assert serving.says("`python -m alembic upgrade head` failed")


def test_the_greeting_has_colours_only_for_a_terminal() -> None:
    service = Service("http://127.0.0.1:8000", "kmr_test_abc")
    plain = greeting(service, Path("logs"), colour=False)
    assert re.sub(r"\033\[[\d;]*m", "", greeting(service, Path("logs"), colour=True)) == plain
    assert curl(service) in plain


def test_the_printed_request_is_one_shell_command_with_a_json_body() -> None:
    echo = curl(Service("http://127.0.0.1:8000", "kmr_test_a$b'c")).replace("curl", 'printf "%s\\0"', 1)
    bash = shutil.which("bash")
    assert bash is not None
    words = subprocess.run([bash, "-c", echo], capture_output=True, text=True, check=True).stdout.split("\0")
    assert "Authorization: Bearer kmr_test_a$b'c" in words
    assert json.loads(words[words.index("-d") + 1])["claim"]["reason"] == "not_delivered"
