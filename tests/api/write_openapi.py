"""Writes `openapi.yaml`: `python -m tests.api.write_openapi`."""

from pathlib import Path
from typing import Any

import yaml

from app.config import read_config
from app.main import create_app

PLACE = Path(__file__).resolve().parents[2] / "openapi.yaml"


def document() -> dict[str, Any]:
    """What a server serves; it is not started, so that no database is needed."""
    config = read_config({"DATABASE_URL": "postgresql://nobody@127.0.0.1/none", "KMR_SEALING_KEY": "A" * 43})
    return create_app(config).openapi()


def as_text(served: dict[str, Any]) -> str:
    """The file's text: in the order of the document, without references within YAML."""
    return yaml.dump(served, Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True, width=120)


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def main() -> None:
    """Replaces the file."""
    PLACE.write_text(as_text(document()), encoding="utf-8")


if __name__ == "__main__":
    main()
