"""Enough of a Dockerfile's and a .dockerignore's language to build the project's own image in a folder."""

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instruction:
    """`RUN`, and what follows it on its logical line."""

    name: str
    rest: str


def instructions(text: str) -> list[Instruction]:
    """In order; comments dropped, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    logical = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [Instruction(*re.split(r"\s+", line.strip(), maxsplit=1)) for line in logical]


def executable_form(rest: str) -> list[str]:
    """`["python", "-m", "app.main"]`, also behind HEALTHCHECK's options."""
    found: list[str] = json.loads(rest[rest.index("[") :])
    return found


@dataclass(slots=True)
class FolderImage:
    """A build that takes `root` for `/`. Each stage begins empty; what an earlier one made waits in `finished`.

    Absolute paths in commands are moved below `root`. The base image's system is this machine's.
    """

    context: Path
    root: Path
    environ: dict[str, str]
    workdir: str = "/"
    stages: dict[str, Path] = field(default_factory=dict)
    stage: str = ""

    def build(self, steps: list[Instruction]) -> None:
        """Carries out what changes files or settings; the rest is for the engine."""
        for step in steps:
            carry_out = getattr(self, f"_{step.name.lower()}", None)
            if carry_out is not None:
                carry_out(step.rest)

    def run(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        """One command inside the image."""
        return subprocess.run(
            argv, cwd=self.path("."), env=self.environ, capture_output=True, text=True, check=False, timeout=300
        )

    def path(self, inside: str) -> Path:
        """Where a path of the image lies on this machine."""
        return self.root / (Path(self.workdir) / inside).relative_to("/")

    def _from(self, rest: str) -> None:
        if self.root.exists():
            self.root.rename(self.stages.setdefault(self.stage, self.root.with_name(f"stage-{self.stage}")))
        self.stage = rest.split(" AS ")[1] if " AS " in rest else ""
        self.root.mkdir()

    def _workdir(self, rest: str) -> None:
        self.workdir = rest
        self.path(".").mkdir(parents=True, exist_ok=True)

    def _env(self, rest: str) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            self.environ[name] = self._moved(value).replace("$PATH", self.environ["PATH"])

    def _copy(self, rest: str) -> None:
        source, target = rest.split()[-2:]
        stage = re.match(r"--from=(\S+)", rest)
        origin = self.stages[stage[1]] / source.lstrip("/") if stage else self.context / source
        destination = self.path(target)
        destination.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, destination, symlinks=True, ignore=None if stage else self._ignored)
        elif stage or self._sent(origin):
            shutil.copy2(origin, destination)
        else:
            raise FileNotFoundError(f"{source} is kept out of the build by .dockerignore")

    def _run(self, rest: str) -> None:
        done = self.run(["sh", "-c", self._moved(rest)])
        if done.returncode != 0:
            raise RuntimeError(f"RUN {rest}\n{done.stdout}{done.stderr}")

    def _moved(self, text: str) -> str:
        return re.sub(r"(?<![\w.])(/(?:opt|srv)/)", rf"{self.root}\1", text)

    def _ignored(self, folder: str, names: list[str]) -> list[str]:
        return [name for name in names if not self._sent(Path(folder) / name)]

    def _sent(self, path: Path) -> bool:
        """Whether .dockerignore lets a path of the context through: the last line that matches it decides."""
        inside = path.relative_to(self.context).as_posix()
        sent = True
        for pattern in _patterns(self.context):
            if _matches(pattern.removeprefix("!"), inside):
                sent = pattern.startswith("!")
        return sent


def _patterns(context: Path) -> Iterator[str]:
    for line in (context / ".dockerignore").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def _matches(pattern: str, inside: str) -> bool:
    """A pattern names a path, or a folder above it; `**/` stands for any number of folders."""
    parts = inside.split("/")
    above = ["/".join(parts[: length + 1]) for length in range(len(parts))]
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
    return any(path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern) for path in above)


def base_environment() -> dict[str, str]:
    """As in the base image: a python on PATH, and nothing of the caller's but how to reach a package index."""
    return {"PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}
