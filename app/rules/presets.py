"""The presets that ship with the service, read once from the documents beside this module."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from app.rules.policy import Policy
from app.rules.policy_document import policy_from

STANDARD = "standard"
DERIVED = ("recharge", "consumption", "chargeback", "card_error", "binghui")


def _document(name: str) -> Mapping[str, object]:
    return tomllib.loads(files("app.rules.policies").joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def _read_presets() -> Mapping[str, Policy]:
    standard = policy_from(_document(STANDARD))
    derived = {name: policy_from(_document(name), base=standard) for name in DERIVED}
    return MappingProxyType({STANDARD: standard, **derived})


PRESETS: Mapping[str, Policy] = _read_presets()
