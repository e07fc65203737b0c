"""Facts, policies, findings and decisions are frozen, and hold nothing that they do not declare."""

import importlib
import pkgutil
from dataclasses import is_dataclass
from typing import Any

import pytest

import app.rules


def shapes() -> list[type[Any]]:
    found = {}
    for module in pkgutil.walk_packages(app.rules.__path__, "app.rules."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and is_dataclass(value) and value.__module__ == module.name:
                found[value.__qualname__] = value
    return list(found.values())


@pytest.mark.parametrize("shape", shapes(), ids=lambda shape: shape.__name__)
def test_a_shape_is_frozen_and_slotted(shape: Any) -> None:
    assert shape.__dataclass_params__.frozen
    assert "__slots__" in vars(shape)


def test_every_shape_is_looked_at() -> None:
    assert {"Facts", "Policy", "Finding", "Verdict", "Decision", "Rule", "Calendar"} <= {
        each.__name__ for each in shapes()
    }
