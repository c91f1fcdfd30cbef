"""Run kinds that exist in tests alone."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from formats.outcome import Outcome, OutputKind
from formats.supervised import Supervised
from pipelines import kinds
from pipelines.kinds import KindSpec, Role
from pipelines.models import QueueName
from pipelines.trainer_configs import plain

COUNTING = Path(__file__).with_name("counting.py")
AGREEING = Path(__file__).with_name("agreeing.py")
TOGETHER = Path(__file__).with_name("together.py")
LEAVING = Path(__file__).with_name("leaving.py")
PRINTING = Path(__file__).with_name("printing.py")
FAR = Path(__file__).with_name("together_torch.py")


def perform(run: Supervised) -> Outcome:
    """A Django-bound run: sees the row of its run, and waits as long as its config says."""
    from pipelines.models import Run

    row = Run.objects.get(pk=run.dir.root.name)
    for step in range(run.dir.config()["steps"]):
        run.check()
        run.dir.log_metrics(step + 1, run.dir.config()["steps"], stage="performing")
        time.sleep(run.dir.config().get("pause", 0.0))
    return Outcome(0, summary={"kind": row.kind, "module": __name__})


def check(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"steps": 10} | plain(config)


SPECS = (
    KindSpec(
        "counting",
        "Count",
        check,
        command=("-I", str(COUNTING)),
        roles=(
            Role("before", (OutputKind.SCORES,), required=False),
            Role("prompts", given=True, required=False),
        ),
        output=OutputKind.SCORES,
    ),
    # The same, and it knows what to do where memory was missing.
    KindSpec(
        "splitting",
        "Count in pieces",
        check,
        command=("-I", str(COUNTING)),
        output=OutputKind.SCORES,
        splits=True,
    ),
    KindSpec(
        "agreeing",
        "Agree on each step",
        check,
        command=("-I", str(AGREEING)),
        processes=lambda config: config.get("processes", 1),
    ),
    KindSpec(
        "together",
        "Work together",
        check,
        command=("-I", str(TOGETHER)),
        processes=lambda config: config.get("processes", 1),
    ),
    KindSpec(
        "far",
        "Work together on other hosts",
        check,
        command=("-I", str(FAR)),
        output=OutputKind.SCORES,
        queue=QueueName.GPU,
        processes=lambda config: config.get("processes", 1),
    ),
    KindSpec(
        "leaving", "Leave a folder", check, command=("-I", str(LEAVING)), output=OutputKind.SCORES
    ),
    KindSpec("performing", "Perform", check, perform=perform, threads=3),
    KindSpec("printing", "Print", check, command=("-I", str(PRINTING))),
)


def register() -> None:
    for spec in SPECS:
        kinds.register(spec)


def unregister() -> None:
    for spec in SPECS:
        kinds.unregister(spec.name)
