"""The life of a case over HTTP and Postgres, driven by hypothesis against a model that was written from the documents.

The few examples of every run are always the same ones. Longer:

    KMR_LONG=1 pytest tests/lifecycle             300 examples of 40 steps, other ones each time

A run that fails prints the steps that lead there; they become a test of their own in `test_found.py`.

    python -m tests.lifecycle.sabotage           plants bugs one by one, each of which has to turn the machine red
    python -m tests.lifecycle.simulation 10000 100       the rules and the table alone, at great speed
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from launcher.postgres import Server
from tests.lifecycle.running import running_desk
from tests.lifecycle.sabotage import is_noticed
from tests.lifecycle.service import Service, over_loopback

IS_LONG = bool(os.environ.get("KMR_LONG"))


def _settings(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=not IS_LONG,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def test_the_service_does_what_the_model_says(service: Service) -> None:
    with running_desk(service) as machine:
        run_state_machine_as_test(machine, settings=_settings(300, 40) if IS_LONG else _settings(12, 25))


def test_so_does_a_process_behind_a_server(postgres: Server) -> None:
    with over_loopback(postgres) as service, running_desk(service) as machine:
        run_state_machine_as_test(machine, settings=_settings(100, 40) if IS_LONG else _settings(3, 10))


@pytest.mark.parametrize(
    "bug",
    [
        "an event told twice",
        "too late is in time",
        "a case in review cannot be withdrawn",
        "what is final is not",
        "a closed refund keeps what is reserved",
        "what the channel found is granted again",
    ],
)
def test_the_machine_notices_what_is_wrong(service: Service, bug: str) -> None:
    """A sample; `python -m tests.lifecycle.sabotage` plants them all."""
    assert is_noticed(service, bug)
