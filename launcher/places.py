"""Where things lie: the checkout, its environment, and the folder for what a running copy keeps."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.refusals import LaunchRefused

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Places:
    """`kept` is the data folder: logs, secrets and, where its owner can reach it, the database."""

    checkout: Path
    kept: Path

    @property
    def venv(self) -> Path:
        """The project's own environment."""
        return self.checkout / ".venv"

    @property
    def python(self) -> Path:
        """The interpreter that has the locked requirements."""
        return self.venv / "bin" / "python"

    @property
    def logs(self) -> Path:
        """One file per child process."""
        return self.kept / "logs"


def places(environ: Mapping[str, str]) -> Places:
    """The checkout this file is part of; `KMR_DATA_DIR` moves the data folder, so that copies can run side by side."""
    chosen = environ.get("KMR_DATA_DIR")
    return Places(CHECKOUT, Path(chosen).absolute() if chosen else CHECKOUT / ".data")


def make_kept(kept: Path) -> None:
    """Makes the data folder. Others may pass through it (the database runs as `nobody` under root) but not list it."""
    if not kept.is_dir():
        kept.mkdir(parents=True)
        kept.chmod(0o711)
    if not os.access(kept, os.W_OK | os.X_OK):
        raise LaunchRefused(
            f"{kept} belongs to another user (made as root?). Give this copy its own: KMR_DATA_DIR=~/kmr ./run serve",
            f"{kept} 属于其他用户。请另设数据文件夹：KMR_DATA_DIR=~/kmr ./run serve",
        )


def write_secret(path: Path, content: str) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
