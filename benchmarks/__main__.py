"""`python -m benchmarks [--quick] [rules filing webhooks emptied]`: measures, prints tables, leaves nothing behind."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

import uvloop

from benchmarks import emptied, filing, machine, rules, webhooks
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.stage import Stage, durable_stage
from benchmarks.table import Table

NAMES = ("rules", "filing", "webhooks", "emptied")


def main(arguments: Sequence[str]) -> int:
    """Prints each table as soon as it is there."""
    chosen = _parser().parse_args(arguments)
    plan: Plan = QUICK if chosen.quick else FULL
    signal.signal(signal.SIGTERM, _stop)
    began = time.monotonic()
    if set(chosen.names) == {"rules"}:
        _print([rules.measure(plan)])
    else:
        with durable_stage() as stage:
            _print_machine(stage)
            _on(stage, chosen.names, plan)
    seconds = time.monotonic() - began
    print(f"Done in {seconds:.0f} s. Only ratios within one run mean anything; see docs/performance.md.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench", description="Measure the service. 性能测试。")
    which = f"which: {', '.join(NAMES)} (all)"
    parser.add_argument("names", nargs="*", default=list(NAMES), metavar="name", type=_known, help=which)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under half a minute; figures vary more")
    return parser


def _known(name: str) -> str:
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"there is no benchmark `{name}`; there are {', '.join(NAMES)}")
    return name


def _on(stage: Stage, names: Sequence[str], plan: Plan) -> None:
    if "rules" in names:
        _print([rules.measure(plan)])
    if "filing" in names:
        _print(filing.measure(stage, plan))
    if "webhooks" in names:
        _print([webhooks.measure(stage, plan)])
    if "emptied" in names:
        _print([emptied.measure(stage, plan)])


def _print_machine(stage: Stage) -> None:
    print("\n".join(uvloop.run(machine.facts_of(stage.server, stage.folder))), end="\n\n", flush=True)


def _print(tables: Sequence[Table]) -> None:
    for table in tables:
        print("\n".join(table.lines()), end="\n\n", flush=True)


def _stop(number: int, _frame: FrameType | None) -> None:
    """Like Ctrl-C, so that every process we started is ended on the way out."""
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
