"""`python -m models_rm COMMAND …`: trainers, which take a run directory, and tools for people.

A new command is one line in a table below: its word, where its function is, what it does. Torch is
imported with the function and not before, so that `--help` is quick and a broken installation
still leaves the outcome of a run.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from formats.errors import FormatError
from formats.outcome import ExitCode, Outcome
from formats.run_dir import RunDir
from formats.supervised import BadConfigError, NonFiniteError, Supervised, end_process, supervise
from trainers.bodies import imported
from trainers.observing import observe


@dataclass(frozen=True, slots=True)
class Command:
    """`function` is `module:name`."""

    function: str
    help: str


# RUN_DIR is the one argument; the function takes a Supervised and gives an Outcome.
TRAINERS: Final = {
    "train": Command("models_rm.training.run:train", "train a reward model"),
    "learning-curve": Command(
        "models_rm.learning_curve.run:learning_curve", "accuracy over growing amounts of votes"
    ),
    "score": Command("models_rm.scores.run:score", "score the clips of a generation set"),
    "gather": Command("models_rm.scores.gathering:gather", "make one score set of its chunks"),
    "benchmark": Command("models_rm.benchmarks.running:benchmark", "examine on a benchmark"),
    "conversion": Command("models_rm.released.running:conversion", "convert a release, as a run"),
    "compose": Command(
        "models_rm.reward_models.composing:compose", "make one reward model of several"
    ),
    "evaluate": Command("models_rm.examination.run:evaluate", "compare a reward model with people"),
}

# The function takes the words behind the command, has a parser of its own and gives an exit code.
TOOLS: Final = {
    "rewardbench": Command(
        "models_rm.benchmarks.tool:main", "examine on VideoGen-RewardBench or GenAI-Bench"
    ),
    "clip": Command("models_rm.scores.clip_tool:main", "score single clips"),
    "convert": Command("models_rm.released.converting:main", "convert a released VideoReward"),
    "describe": Command(
        "models_rm.reward_models.describing:main", "parameters and memory of a backbone"
    ),
}

_CODES: Final[dict[type[Exception], ExitCode]] = {
    BadConfigError: ExitCode.BAD_CONFIG,
    FormatError: ExitCode.BAD_DATA,
    NonFiniteError: ExitCode.NON_FINITE,
}


def main(words: Sequence[str] | None = None) -> int:
    command, *arguments = [*(sys.argv[1:] if words is None else words), ""]
    arguments = arguments[:-1]
    if command in TRAINERS and len(arguments) == 1 and not arguments[0].startswith("-"):
        return _train(TRAINERS[command], arguments[0])
    if command in TOOLS:
        return _use(command, arguments)
    asked = command in ("-h", "--help") or bool({"-h", "--help"} & set(arguments))
    print(usage(), file=sys.stdout if asked else sys.stderr)
    return ExitCode.DONE if asked else 2


def usage() -> str:
    rows = [(f"{name} RUN_DIR", each.help) for name, each in TRAINERS.items()]
    rows += [(f"{name} …", each.help) for name, each in TOOLS.items()]
    width = max(len(form) for form, _ in rows)
    lines = "\n".join(f"  {form:<{width}}  {text}" for form, text in rows)
    more = "A command with … says more with --help." if TOOLS else ""
    return f"usage: python -m models_rm COMMAND …\n\n{lines}\n\n{more}".rstrip()


def _train(command: Command, run_dir: str) -> int:
    def body(run: Supervised) -> Outcome:
        # Imported under supervision: a broken installation leaves an outcome too.
        outcome: Outcome = imported(command.function)(run)
        return outcome

    return supervise(body, RunDir(run_dir), observe)


def _use(name: str, arguments: Sequence[str]) -> int:
    """A tool ends like a trainer: 0, or one sentence and a code that says whose fault it was."""
    try:
        code: int = imported(TOOLS[name].function)(list(arguments))
    except tuple(_CODES) as error:
        print(f"python -m models_rm {name}: {error}", file=sys.stderr)
        return next(code for kind, code in _CODES.items() if isinstance(error, kind))
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    end_process(main())
