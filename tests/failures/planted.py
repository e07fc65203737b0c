"""The service's API with one fault planted: `PLANTED_FAULT=… python -m tests.failures.planted`."""

import os
from contextlib import ExitStack
from unittest.mock import patch

from app import main
from tests.failures.faults import FAULTS, PLANTED


def run() -> None:
    """Serves, with the fault that the environment names, until told to stop."""
    fault = FAULTS[os.environ[PLANTED]]
    with ExitStack() as stack:
        for where, name, value in fault.plants:
            stack.enter_context(patch.object(where, name, value))
        main.run()


if __name__ == "__main__":
    run()
